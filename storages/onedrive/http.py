"""HTTP as Microsoft's services want it: who we are, how long we wait, and that a pause is one for every thread."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

from errors import StorageError, StorageUnavailableError
from storages.workplace import Workplace
from utils import HOLDFAST_VERSION, utc_now

# https://learn.microsoft.com/en-us/sharepoint/dev/general-development/how-to-avoid-getting-throttled-or-blocked-in-sharepoint-online
USER_AGENT = f"NONISV|Holdfast|Holdfast/{HOLDFAST_VERSION}"

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0

# 429 too many requests, 509 bandwidth limit exceeded; the rest is the weather of a large service.
_NOT_NOW = frozenset({408, 429, 500, 502, 503, 504, 509})

_SENT_AT_ONCE = 256 << 10
_RECEIVED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service has answered. ``headers`` may be asked for in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class StreamedAnswer:
    """One whose body comes piece by piece; ``chunks`` raises StorageUnavailableError where it ends early."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
    close: Callable[[], None]


def _new_session() -> Any:
    """A session of requests: connections that are used again, without the things that requests adds by itself."""
    import requests

    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    session.headers["Accept-Encoding"] = "identity"
    # An upload address must come without Authorization, which ~/.netrc would add.
    session.auth = _unchanged
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    # It writes the paths of addresses at DEBUG and WARNING, and those of uploads and downloads are secrets.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return session


class OneDriveHttp:
    """Sends requests, each once. Several threads may use one object."""

    def __init__(self, storage_name: str, workplace: Workplace) -> None:
        self._storage_name = storage_name
        self._workplace = workplace
        self._lock = threading.Lock()
        self._session: Any = None
        self._paused_until = 0.0

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        read_seconds: float = _READ_SECONDS,
    ) -> Answer:
        """The answer, of whatever status: redirections are not followed.

        Raises StorageUnavailableError where there is none, and for those that mean "not now".
        """
        response = self._response(method, url, headers, body, read_seconds, is_streamed=False)
        return Answer(response.status_code, response.headers, response.content)

    def stream(self, url: str, headers: Mapping[str, str]) -> StreamedAnswer:
        """The answer to a GET, with its body still to come. Raises like :meth:`send`."""
        response = self._response("GET", url, headers, b"", _READ_SECONDS, is_streamed=True)
        return StreamedAnswer(response.status_code, response.headers, self._chunks(response, url), response.close)

    def _chunks(self, response: Any, url: str) -> Iterator[bytes]:
        import requests

        try:
            yield from response.iter_content(_RECEIVED_AT_ONCE)
        except requests.RequestException as error:
            raise self._unanswered(url, error) from None

    def _response(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: bytes,
        read_seconds: float,
        *,
        is_streamed: bool,
    ) -> Any:
        import requests

        self._wait_for_the_end_of_the_pause()
        try:
            response = self._open_session().request(
                method,
                url,
                headers=headers,
                data=_Blocks(body) if body else None,
                timeout=(_CONNECT_SECONDS, read_seconds),
                allow_redirects=False,
                stream=is_streamed,
            )
        except requests.RequestException as error:
            # Not "from error": its text holds the address, which can be a secret.
            raise self._unanswered(url, error) from None
        if response.status_code in _NOT_NOW:
            raise self._not_now(url, response)
        return response

    def _open_session(self) -> Any:
        with self._lock:
            if self._session is None:
                self._session = _new_session()
            return self._session

    def _wait_for_the_end_of_the_pause(self) -> None:
        while (seconds := self._paused_until - time.monotonic()) > 0:
            if seconds > self._workplace.patience.longest_asked_wait:
                raise StorageUnavailableError(
                    f"Microsoft asks the storage {self._storage_name} to wait for {seconds:.0f} s, which is too long. "
                    "Run the backup again later, or run fewer at the same time.",
                    seconds,
                )
            self._workplace.wait(seconds)

    def _not_now(self, url: str, response: Any) -> StorageUnavailableError:
        wait = _retry_after(response.headers.get("Retry-After"))
        response.close()
        if wait is not None:
            with self._lock:
                self._paused_until = max(self._paused_until, time.monotonic() + wait)
        asked = "" if wait is None else f" and asks to wait for {wait:.0f} s"
        return StorageUnavailableError(
            f"{urlsplit(url).hostname} answers the storage {self._storage_name} with {response.status_code} "
            f"({response.reason}){asked}: it is overloaded or out of order. Run the backup again later.",
            wait,
        )

    def _unanswered(self, url: str, error: Exception) -> StorageError:
        import requests

        host = urlsplit(url).hostname
        if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            return StorageError(
                f"The storage {self._storage_name} cannot trust {host}: its certificate does not hold. Check the clock "
                "of this machine and the package ca-certificates; where a proxy opens the traffic, let "
                "REQUESTS_CA_BUNDLE name its certificate."
            )
        if isinstance(error, requests.exceptions.ProxyError):
            reason = "the proxy of this machine did not let it through. Check HTTPS_PROXY"
        elif isinstance(error, requests.exceptions.ConnectTimeout):
            reason = f"no connection within {_CONNECT_SECONDS:.0f} s. Check the network and the firewall (port 443)"
        elif isinstance(error, requests.exceptions.Timeout):
            reason = "it was silent for too long. Check the network"
        elif "NameResolutionError" in repr(error):
            reason = "its name cannot be resolved. Check the network and the name servers of this machine"
        else:
            reason = "the connection failed or broke. Check the network and the firewall (port 443)"
        return StorageUnavailableError(f"The storage {self._storage_name} got no answer from {host}: {reason}.")


class _Blocks:
    """A body that is sent block by block.

    ``socket.sendall`` has to be done with all that it was given within the time-out: 10 MiB at once would need a line
    of 1 MB/s, 256 KiB need 26 kB/s. The length makes requests send it with Content-Length, not chunked.
    """

    def __init__(self, body: bytes) -> None:
        self._body = memoryview(body)

    def __len__(self) -> int:
        return len(self._body)

    def __iter__(self) -> Iterator[memoryview]:
        for start in range(0, len(self._body), _SENT_AT_ONCE):
            yield self._body[start : start + _SENT_AT_ONCE]


def _unchanged(request: Any) -> Any:
    return request


def _retry_after(text: str | None) -> float | None:
    """Seconds, from either of the forms of RFC 9110 section 10.2.3; None where it is absent or neither."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - utc_now()).total_seconds())
