"""Pings in the manner of Healthchecks (https://healthchecks.io/docs/http_api/): a POST when a run begins and ends.

Whoever watches there is told by what does not come, so a ping that fails is repeated once and then left: a later one
would say something else.
"""

from __future__ import annotations

import enum
from urllib.parse import urlsplit, urlunsplit

from errors import NotificationError
from model import Secret
from notifications.limits import within
from utils import HOLDFAST_VERSION, redact

LONGEST_SECONDS = 10.0
LONGEST_BODY = 10_000
"""In bytes, as the service documents it: what is beyond that it cuts off."""

_TRIES = 2
_REQUEST_SECONDS = 5.0


class Signal(enum.StrEnum):
    """What is appended to the path of the address."""

    START = "/start"
    SUCCESS = ""
    FAIL = "/fail"
    LOG = "/log"


def ping(url: Secret, signal: Signal, run_id: str, body: str = "", seconds: float = LONGEST_SECONDS) -> None:
    """Send it, with the end of ``body``. ``run_id`` is a UUID, by which the service finds the start of a run.

    Raises NotificationError where it was not taken within so many seconds.
    """
    address = _address(url.reveal(), signal, run_id)
    content = redact(body).encode()[-LONGEST_BODY:]
    within(seconds, lambda: _post(address, content))


def _address(url: str, signal: Signal, run_id: str) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, f"rid={run_id}")))
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + signal.value, query=query))


def _post(address: str, content: bytes) -> None:
    import requests

    headers = {"User-Agent": f"Holdfast/{HOLDFAST_VERSION}", "Content-Type": "text/plain; charset=utf-8"}
    reason = ""
    for _ in range(_TRIES):
        try:
            answer = requests.post(
                address, data=content, headers=headers, timeout=_REQUEST_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            reason = type(error).__name__
            continue
        if 200 <= answer.status_code < 300:
            return
        reason = f"HTTP status {answer.status_code}"
        if answer.status_code < 500:
            break
    raise NotificationError(f"The ping was not taken: {reason}.")
