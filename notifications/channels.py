"""The adapter to Apprise (https://github.com/caronc/apprise), which knows some 190 services by their URLs.

It is imported with the first message: that takes half a second, and most runs have nothing to tell. What it logs may
quote parts of a URL, so none of that reaches a log or standard error; it is only asked why something went wrong.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from errors import NotificationError
from model import Secret
from notifications.limits import within
from notifications.message import Message
from utils import redact

if TYPE_CHECKING:
    from apprise import AppriseAsset

LONGEST_SECONDS = 20.0
"""The longest that sending one message may take; a connection, and each answer, half of that."""

_LONGEST_REASON = 300
_DETAIL = "Socket Exception: "
_QUOTED_PATH = re.compile(r"(with url: )\S+")  # as urllib3 says it; in many services the path signs in


def send(url: Secret, message: Message, seconds: float = LONGEST_SECONDS) -> None:
    """Hand a message to the service. Raises NotificationError where it was not taken within so many seconds."""
    within(seconds, lambda: _send(url, message))


def why_invalid(url: Secret) -> str | None:
    """Why Apprise can make nothing of this URL; None where it can. Nothing is connected to."""
    try:
        _service(url)
    except NotificationError as error:
        return str(error)
    return None


def _send(url: Secret, message: Message) -> None:
    from apprise import NotifyFormat, NotifyType
    from apprise.conversion import convert_between

    convert: Any = convert_between  # which has no annotations
    service = _service(url)
    with _said() as said:
        try:
            # Not by Apprise.notify, which has threads of its own: a process waits for these when it ends, for as long
            # as a server stalls.
            shown = service.resolve_format(NotifyFormat.TEXT)
            title, body = (
                convert(NotifyFormat.TEXT, shown, content=text) if is_in_body else text
                for text, is_in_body in ((message.title, service.title_maxlen <= 0), (message.body, True))
            )
            is_taken = service.notify(
                title=title, body=body, notify_type=NotifyType(message.level.value), body_format=shown
            )
        except Exception as error:  # of 190 services, somebody else's code: whatever it is, the message was not taken
            raise NotificationError(_reason([f"{type(error).__name__}: {error}"])) from error
    if not is_taken:
        raise NotificationError(_reason(said))


def _service(url: Secret) -> Any:
    from apprise import Apprise
    from apprise.common import OverflowMode

    with _said():
        try:
            service = Apprise.instantiate(url.reveal(), asset=_asset())
        except Exception:
            service = None
    if service is None:
        scheme = url.reveal().partition("://")[0].lower()
        raise NotificationError(
            f"Apprise knows no service of this URL, or something in it is missing. It begins with {scheme}:// here. "
            "docs/notifications.md has examples; a web address of your own is jsons://… in place of https://…."
        )
    service.socket_connect_timeout = min(service.socket_connect_timeout, LONGEST_SECONDS / 2)
    service.socket_read_timeout = LONGEST_SECONDS / 2
    if service.overflow_mode == OverflowMode.UPSTREAM:
        service.overflow_mode = OverflowMode.TRUNCATE  # what is too long would be refused, and told to nobody
    return service


def _asset() -> AppriseAsset:
    """How we are called there. No picture: it would be fetched from another host."""
    from apprise import AppriseAsset

    return AppriseAsset(
        app_id="Holdfast", app_desc="Holdfast", app_url="", image_url_mask="", image_url_logo="", async_mode=False
    )


class _Listener(logging.Handler):
    """Keeps what the thread that made it has Apprise say."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.thread == self._thread and (record.levelno >= logging.WARNING or text.startswith(_DETAIL)):
            self.said.append(text)


@contextmanager
def _said() -> Iterator[list[str]]:
    logger = logging.getLogger("apprise")
    logger.propagate = False  # without a handler, Python would print it
    logger.setLevel(logging.DEBUG)
    listener = _Listener()
    logger.addHandler(listener)
    try:
        yield listener.said
    finally:
        logger.removeHandler(listener)


def _reason(said: list[str]) -> str:
    """The most telling of what was said: the error of the connection, where there was one."""
    details = [text.removeprefix(_DETAIL) for text in said if text.startswith(_DETAIL)]
    text = _QUOTED_PATH.sub(r"\1****", (details or said or ["it does not say why"])[-1])
    text = " ".join(redact(text).split())
    return f"It was not taken: {text[:_LONGEST_REASON].rstrip('.')}."
