"""One upload session: fragments in order, from where the service says that it stands, through whatever comes between.

https://learn.microsoft.com/en-us/graph/api/driveitem-createuploadsession. The address of a session is all that is
needed to write to it: it takes no Authorization, and stands in no message.
"""

from __future__ import annotations

from collections.abc import Callable

from errors import StorageError, StorageUnavailableError
from storages.onedrive.drive import Item, item_from_json
from storages.onedrive.errors import error_codes, graph_refused
from storages.onedrive.fragments import Fragments
from storages.onedrive.http import Answer, OneDriveHttp
from storages.onedrive.sessions import SessionRecord, UploadSession
from storages.workplace import Workplace

# The service may put the whole file together before it answers the last fragment.
_READ_SECONDS = 300.0

# A session that has ended answers 404, and 401 or 403 when it has reached its greatest age.
_GONE = frozenset({401, 403, 404, 410})

# The service and we do not agree where the upload stands.
_OUT_OF_STEP = frozenset({"invalidRange", "fragmentOverlap", "fragmentOutOfOrder"})


class SessionGoneError(Exception):
    """The service has ended the session, and the object is not there."""


class SessionUpload:
    """``stored`` gives the finished object where it is there already, and raises where it is another's."""

    def __init__(
        self,
        storage_name: str,
        session: UploadSession,
        fragments: Fragments,
        http: OneDriveHttp,
        workplace: Workplace,
        stored: Callable[[], Item | None],
    ) -> None:
        self._storage_name = storage_name
        self._session = session
        self._fragments = fragments
        self._http = http
        self._workplace = workplace
        self._stored = stored
        self._is_last_sent = False

    def send(self, offset: int | None) -> Item:
        """Send everything from ``offset`` on; where it is None the service is asked how much it has.

        Raises SessionGoneError, StorageError; StorageUnavailableError only when patience is at its end.
        """
        position: int | Item | None = offset
        furthest = failures = 0
        while not isinstance(position, Item):
            self._workplace.wait(0)
            try:
                position = self._ask() if position is None else self._send_fragment(position)
            except StorageUnavailableError as error:
                failures += 1
                self._workplace.wait_after(failures, error)
                position = None
            if isinstance(position, int) and position > furthest:
                furthest, failures = position, 0
        return position

    def _send_fragment(self, offset: int) -> int | Item:
        """The item, or the offset that the service wants next."""
        fragment = self._fragments.at(offset)
        end, size = offset + len(fragment), self._session.size
        self._is_last_sent = self._is_last_sent or end == size
        headers = {"Content-Range": f"bytes {offset}-{end - 1}/{size}"}
        answer = self._http.send("PUT", self._session.upload_url, headers, fragment, read_seconds=_READ_SECONDS)
        document = answer.json()
        if answer.status == 202:
            if (following := _next_offset(document)) is not None and following > offset:
                return following
            raise self._out_of_step()
        if answer.status in (200, 201):
            try:
                return item_from_json(document)
            except (KeyError, TypeError, ValueError):
                raise self._out_of_step() from None
        if answer.status in _GONE or answer.status == 416 or _OUT_OF_STEP.intersection(error_codes(document)):
            raise self._out_of_step()
        raise self._refused(answer)

    def _ask(self) -> int | Item:
        """Where the upload stands: the offset that comes next, or the item where it is complete."""
        if self._is_last_sent and (item := self._stored()):
            return item
        answer = self._http.send("GET", self._session.upload_url)
        if answer.status in _GONE:
            if item := self._stored():
                return item
            raise SessionGoneError
        if answer.status != 200:
            raise self._refused(answer)
        if (offset := _next_offset(answer.json())) is None or offset >= self._session.size:
            raise SessionGoneError  # it has all bytes and made no file of them
        return offset

    def _refused(self, answer: Answer) -> StorageError:
        return graph_refused(self._storage_name, f"store {self._session.key}", answer)

    def _out_of_step(self) -> StorageUnavailableError:
        return StorageUnavailableError(
            f"The storage {self._storage_name} cannot store {self._session.key}: Microsoft takes no more of this "
            "upload. Run the backup again."
        )


def end_session(storage_name: str, http: OneDriveHttp, record: SessionRecord) -> None:
    """Have the service drop what it has received, and forget the session. One that is gone is no error.

    Raises StorageError, StorageUnavailableError; the record stays then.
    """
    answer = http.send("DELETE", record.session.upload_url)
    if answer.status not in (200, 204) and answer.status not in _GONE:
        raise graph_refused(storage_name, f"end the upload of {record.session.key}", answer)
    record.forget()


def _next_offset(answer: object) -> int | None:
    """The beginning of the first of ``nextExpectedRanges`` (``"26-"`` or ``"26-99"``), None where there is none."""
    ranges = answer.get("nextExpectedRanges") if isinstance(answer, dict) else None
    if not isinstance(ranges, list) or not ranges:
        return None
    first = str(ranges[0]).partition("-")[0]
    return int(first) if first.isdecimal() else None
