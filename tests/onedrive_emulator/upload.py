"""The addresses of upload sessions: fragments in order, status, cancellation."""

from __future__ import annotations

import re

from .emulation import Emulation
from .errors import GraphError
from .faults import received_blocks
from .http_messages import Answer, ConnectionLostError, Request, ResetConnection, json_answer
from .services import Handler
from .sessions import UploadSession

_CONTENT_RANGE = re.compile(r"bytes (?P<first>\d+)-(?P<last>\d+)/(?P<total>\d+)")


class Upload:
    """The service on the third port."""

    def app_of(self, request: Request, emulation: Emulation) -> str:
        with emulation.lock:
            return emulation.sessions.app_of(request.target)

    def resolve(self, request: Request, emulation: Emulation) -> tuple[str, frozenset[str], Handler] | None:
        if not request.path.endswith("/uploadSession"):
            return None
        call = _Call(request, emulation)
        if request.method == "PUT":
            match = _CONTENT_RANGE.fullmatch(str(request.headers.get("Content-Range", "")))
            is_last = match is not None and int(match["last"]) + 1 == int(match["total"])
            return "upload.fragment", frozenset({"content", *(["upload.commit"] if is_last else [])}), call.put_fragment
        if request.method == "GET":
            return "upload.status", frozenset(), call.status
        if request.method == "DELETE":
            return "upload.cancel", frozenset(), call.cancel
        return None


class _Call:
    """One request to the address of a session."""

    def __init__(self, request: Request, emulation: Emulation) -> None:
        self._request = request
        self._emulation = emulation

    def _session(self) -> UploadSession:
        """Raises GraphError where there is none, or where a bearer token is given away."""
        if self._request.authorization is not None:
            self._emulation.journal.violation(self._request, "sends Authorization to the address of an upload session")
            raise GraphError(401, "unauthenticated", "The address of an upload session takes no Authorization.")
        with self._emulation.lock:
            return self._find_open(self._request.target)

    def _find_open(self, target: str) -> UploadSession:
        return self._emulation.sessions.find_open(target, self._emulation.settings.session_status_after_cap)

    def status(self) -> Answer:
        session = self._session()
        return json_answer(200, self._status_document(session, "closed"))

    def cancel(self) -> Answer:
        session = self._session()
        with self._emulation.lock:
            self._emulation.sessions.end(session, "cancelled")
        return Answer(204)

    def put_fragment(self) -> Answer:
        session = self._session()
        with session.lock:  # two fragments at once come one after the other
            self._session()
            end, total = self._checked_range(session)
            is_last = end == total
            self._check_space(session, end, is_last=is_last)
            mark = session.content.mark()
            try:
                self._receive(session)
                return self._commit(session) if is_last else self._accept(session, total)
            except (ConnectionLostError, GraphError):
                session.content.go_back(mark)
                raise

    def _checked_range(self, session: UploadSession) -> tuple[int, int]:
        """The byte after the last one, and the total. Raises GraphError for a fragment that the service refuses."""
        length, limits = self._request.body.length, self._emulation.settings
        if length is None:
            raise GraphError(400, "invalidRequest", "Content-Length is required; chunked bodies are not supported.")
        match = _CONTENT_RANGE.fullmatch(str(self._request.headers.get("Content-Range", "")))
        if match is None:
            raise GraphError(400, "invalidRequest", "Content-Range must be 'bytes first-last/total'.")
        first, last, total = int(match["first"]), int(match["last"]), int(match["total"])
        if last < first or last >= total:
            raise GraphError(400, "invalidRequest", "Content-Range is not a range of the file.")
        if length != last - first + 1:
            message = "Content-Length is not the length of Content-Range."
            raise GraphError(400, "invalidRequest", message, inner=("fragmentLengthMismatch",))
        if length >= limits.fragment_limit or total > limits.largest_file:
            raise GraphError(413, "invalidRequest", "The fragment or the file is too large.")
        if session.total not in (None, total):
            raise GraphError(416, "invalidRange", "The total size is not that of the earlier fragments.")
        if first != session.received:
            inner = "fragmentOverlap" if first < session.received else "fragmentOutOfOrder"
            raise GraphError(416, "invalidRange", "The fragment is not the next one.", inner=(inner,))
        if last + 1 < total and length % limits.fragment_unit:
            message = f"All fragments but the last must be multiples of {limits.fragment_unit} bytes."
            raise GraphError(400, "invalidRequest", message)
        return last + 1, total

    def _check_space(self, session: UploadSession, size: int, *, is_last: bool) -> None:
        if is_last or self._emulation.settings.quota_checked_at == "fragment":
            with self._emulation.lock:
                session.drive.check_space(size)

    def _receive(self, session: UploadSession) -> None:
        reset = self._request.due("reset_in_body")
        if reset is None:
            for block in received_blocks(self._request):
                session.content.append(block)
            return
        reset.fire()
        keep, body = reset.options.get("keep", 0), self._request.body
        more = max(reset.options.get("after", body.unread // 2) - keep, 0)
        for block in body.blocks(keep):
            session.content.append(block)
        session.received = session.content.size
        for _ in body.blocks(more):
            pass
        raise ResetConnection

    def _accept(self, session: UploadSession, total: int) -> Answer:
        with self._emulation.lock:
            self._find_open(session.target)
            session.total, session.received = total, session.content.size
            self._emulation.sessions.slide(session, self._emulation.settings.session_seconds)
            return json_answer(202, self._status_document(session, "open"))

    def _commit(self, session: UploadSession) -> Answer:
        emulation, drive = self._emulation, session.drive
        with emulation.lock:
            self._find_open(session.target)
            drive.reserved.discard(session.reservation)
            try:
                item, is_new = drive.place_file(
                    session.parent,
                    session.name,
                    session.behaviour,
                    session.content,
                    emulation.clock.now(),
                    session.file_system_info,
                )
            except GraphError:
                drive.reserved.add(session.reservation)
                raise
            emulation.sessions.end(session, "committed")
            return json_answer(201 if is_new else 200, emulation.item_document(self._request, drive, item))

    def _status_document(self, session: UploadSession, form: str) -> dict[str, object]:
        """Both forms of a range are met in the wild: ``n-`` and ``n-m``."""
        end = "" if form == "open" or session.total is None else str(session.total - 1)
        return {
            "expirationDateTime": self._emulation.sessions.expiration(session),
            "nextExpectedRanges": [f"{session.received}-{end}"],
        }
