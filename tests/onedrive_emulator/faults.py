"""Planned faults: what goes wrong, on which route, at which call.

A plan is JSON: ``{"kind": …, "route": …, "nth": 1, "times": 1, …options}``. It happens to the n-th request that has the
route among its labels, counted from 1 and from the moment of planning, and to the ``times - 1`` after it (null: to all
after it). The labels of a request are ``*``, its service (``graph``), its route (``graph.item``, see ROUTES), and for
some ``content`` (it carries bytes of a file) or ``upload.commit`` (a fragment that is the last one).

======================  =============================================================================================
kind                    what happens
======================  =============================================================================================
``status``              answered with ``status`` before anything is done; ``retry_after``: seconds after which the app
                        may come again; ``body``: ``json`` or ``html``; ``code``: Graph's code, or AADSTS' number
``status_after``        the same after everything was done
``reset_in_body``       the connection is reset after ``after`` bytes of the request's body (default: half); ``keep``
                        bytes of a fragment stay with the session (default: 0)
``lost_response``       everything is done, then the connection is reset without an answer
``session_lost``        the service has forgotten the session of this request
``revoke_tokens``       all tokens given so far are refused from this request on
``advance_clock``       the emulator's clock goes forward by ``seconds`` before this request
``slow``                the answer comes ``seconds`` late
``wrong_bytes_stored``  one bit in the last MiB of the body is flipped; with ``unseen_by_hash`` true two blocks of 160
                        bytes change places instead, which quickXorHash cannot see
``last_byte_lost``      the last byte of a file is not stored: its size is wrong from then on
``wrong_size``          the answer gives files a size that is one too large; with ``lasting`` true all later ones do too
``wrong_hash``          the same with another hash
``no_hash``             the same without a hash
``truncated_answer``    the connection ends after ``after`` bytes of the answer's body (default: half)
``corrupted_answer``    one bit of the answer's body is flipped, at byte ``at`` (default: the middle one)
======================  =============================================================================================

A fault that had no chance to happen (no wrong bytes can be stored where none come) has not fired. A request without a
body is reset before anything is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import GraphError, SignInError
from .http_messages import Answer, Request, ResetConnection, html_answer

if TYPE_CHECKING:
    from .emulation import Emulation

ROUTES = frozenset(
    {
        "sign_in.configuration",
        "sign_in.token",
        "sign_in.instances",
        "graph.drive",
        "graph.item",
        "graph.children",
        "graph.create_folder",
        "graph.create_session",
        "graph.put_content",
        "graph.get_content",
        "graph.delete",
        "graph.permanent_delete",
        "graph.me",
        "upload.fragment",
        "upload.status",
        "upload.cancel",
        "download.content",
    }
)
LABELS = ROUTES | {"*", "sign_in", "graph", "upload", "download", "upload.commit", "content"}

KINDS: dict[str, frozenset[str]] = {
    "status": frozenset({"status", "retry_after", "body", "code"}),
    "status_after": frozenset({"status", "retry_after", "body", "code"}),
    "reset_in_body": frozenset({"after", "keep"}),
    "lost_response": frozenset(),
    "session_lost": frozenset(),
    "revoke_tokens": frozenset(),
    "advance_clock": frozenset({"seconds"}),
    "slow": frozenset({"seconds"}),
    "wrong_bytes_stored": frozenset({"unseen_by_hash"}),
    "last_byte_lost": frozenset(),
    "wrong_size": frozenset({"lasting"}),
    "wrong_hash": frozenset({"lasting"}),
    "no_hash": frozenset({"lasting"}),
    "truncated_answer": frozenset({"after"}),
    "corrupted_answer": frozenset({"at"}),
}

_GRAPH_CODES = {
    400: "invalidRequest",
    401: "unauthenticated",
    403: "accessDenied",
    404: "itemNotFound",
    409: "nameAlreadyExists",
    410: "resyncRequired",
    412: "resourceModified",
    416: "invalidRange",
    429: "activityLimitReached",
    503: "serviceNotAvailable",
    507: "quotaLimitReached",
}
_SIGN_IN_ERRORS = {
    400: ("unauthorized_client", 700016),
    401: ("invalid_client", 7000215),
    429: ("temporarily_unavailable", 90055),
}
_HASH_PERIOD = 160
_firing = threading.Lock()
_ENDS_OF_FILES = {"upload.commit", "graph.put_content"}


@dataclass
class Fault:
    """One planned fault. ``seen`` requests had its route, and it happened to ``fired`` of them."""

    id: int
    kind: str
    route: str
    nth: int = 1
    times: int | None = 1
    options: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def is_complete(self) -> bool:
        return self.fired >= (self.times or 1)

    def fire(self) -> None:
        with _firing:
            self.fired += 1


class FaultPlan:
    """All faults that were planned."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.faults: list[Fault] = []

    def add(self, document: dict[str, Any]) -> int:
        """Plan one; its id. Raises ValueError for what is not a plan."""
        options = dict(document)
        kind, route = options.pop("kind", None), options.pop("route", "*")
        nth, times = options.pop("nth", 1), options.pop("times", 1)
        if kind not in KINDS or route not in LABELS or not options.keys() <= KINDS[kind] or nth < 1:
            raise ValueError(f"not a fault that can be planned: {document}")
        with self._lock:
            self.faults.append(Fault(len(self.faults) + 1, kind, route, nth, times, options))
            return len(self.faults)

    def due(self, labels: frozenset[str]) -> list[Fault]:
        """The faults for a request with these labels; each has counted it."""
        found = []
        with self._lock:
            for fault in self.faults:
                if fault.route in labels:
                    fault.seen += 1
                    if fault.seen >= fault.nth and (fault.times is None or fault.seen < fault.nth + fault.times):
                        found.append(fault)
        return found

    def documents(self) -> list[dict[str, Any]]:
        with self._lock:
            return [{**asdict(fault), "is_complete": fault.is_complete()} for fault in self.faults]


def before_handling(request: Request, emulation: Emulation) -> Answer | None:
    """What goes wrong before the request is handled; an answer if that is already all."""
    for fault in request.faults:
        if fault.kind in ("slow", "advance_clock"):
            fault.fire()
            (time.sleep if fault.kind == "slow" else emulation.clock.advance)(fault.options["seconds"])
        elif fault.kind == "revoke_tokens":
            fault.fire()
            emulation.tokens.revoke_all()
        elif fault.kind == "session_lost":
            with emulation.lock:
                if emulation.sessions.lose(request.target):
                    fault.fire()
        elif fault.kind == "status":
            return _status_answer(fault, request, emulation)
        elif fault.kind == "reset_in_body" and "upload.fragment" not in request.labels:
            fault.fire()
            for _ in request.body.blocks(fault.options.get("after", (request.body.length or 0) // 2)):
                pass
            raise ResetConnection
    return None


def after_handling(request: Request, answer: Answer, emulation: Emulation) -> Answer:
    """What goes wrong with the answer."""
    for fault in request.faults:
        if fault.kind == "status_after":
            answer = _status_answer(fault, request, emulation)
        elif fault.kind == "lost_response":
            fault.fire()
            raise ResetConnection
        elif fault.kind == "truncated_answer" and answer.length:
            fault.fire()
            answer.chunks = _cut(answer.chunks, fault.options.get("after", answer.length // 2))
        elif fault.kind == "corrupted_answer" and answer.length:
            fault.fire()
            answer.chunks = _flipped(answer.chunks, fault.options.get("at", answer.length // 2))
    return answer


def _status_answer(fault: Fault, request: Request, emulation: Emulation) -> Answer:
    fault.fire()
    status: int = fault.options["status"]
    retry_after = fault.options.get("retry_after")
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    if retry_after is not None:
        emulation.journal.pause(request, retry_after)
    if fault.options.get("body") == "html":
        return html_answer(status, f"{status} planned by a test", headers)
    if request.service == "sign_in":
        error, number = _SIGN_IN_ERRORS.get(status, ("server_error", 90033))
        number = fault.options.get("code", number)
        return emulation.error_answer(request, SignInError(status, error, number, "Planned by a test.", headers))
    code = fault.options.get("code", _GRAPH_CODES.get(status, "generalException"))
    return emulation.error_answer(request, GraphError(status, code, "Planned by a test.", headers=headers))


def received_blocks(request: Request) -> Iterator[bytes | memoryview]:
    """The blocks of a body with bytes of a file, as they are to be stored."""
    wrong = request.due("wrong_bytes_stored")
    cut = request.due("last_byte_lost") if request.labels & _ENDS_OF_FILES else None
    length = request.body.length or 0
    position = 0
    for block in request.body.blocks():
        position += len(block)
        if wrong is not None and position == length:
            _spoil(wrong, block)
        if cut is not None and position == length:
            cut.fire()
            yield block[:-1]
        else:
            yield block


def _spoil(fault: Fault, block: memoryview) -> None:
    """Change bytes of the block in its place."""
    if not fault.options.get("unseen_by_hash"):
        block[len(block) // 2] ^= 1
        fault.fire()
    elif len(block) >= 2 * _HASH_PERIOD and block[:_HASH_PERIOD] != block[_HASH_PERIOD : 2 * _HASH_PERIOD]:
        first = bytes(block[:_HASH_PERIOD])
        block[:_HASH_PERIOD] = block[_HASH_PERIOD : 2 * _HASH_PERIOD]
        block[_HASH_PERIOD : 2 * _HASH_PERIOD] = first
        fault.fire()


def _cut(chunks: Iterable[bytes], left: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


def _flipped(chunks: Iterable[bytes], at: int) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1 :] if 0 <= at < len(chunk) else chunk
        at -= len(chunk)
