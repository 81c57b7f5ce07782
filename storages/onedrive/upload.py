"""Storing one object: at once where it is small, through an upload session where it is not.

https://learn.microsoft.com/en-us/graph/api/driveitem-createuploadsession
"""

from __future__ import annotations

from errors import ObjectExistsError, StorageError, StorageFullError, StorageUnavailableError
from storages.onedrive.drive import Drive, Item
from storages.onedrive.fragments import Fragments
from storages.onedrive.http import OneDriveHttp
from storages.onedrive.session_upload import SessionGoneError, SessionUpload, end_session
from storages.onedrive.sessions import RecordInUseError, SessionRecord, SessionRecords, UploadSession
from storages.storage import KnownContent
from storages.workplace import Workplace
from utils import format_size

# Up to here one request does it; above, a session can go on after a broken connection.
LARGEST_SMALL = 4 << 20

# A session that ends is begun anew, with everything sent again: not for ever.
_MOST_SESSIONS = 3

# An unused session ends after some 15 minutes, and its name is free again.
_SESSION_SECONDS = 16 * 60.0


class Upload:
    """One object on its way into a drive. Nothing lies under its key until all of it has come."""

    def __init__(
        self,
        storage_name: str,
        drive: Drive,
        key: str,
        content: KnownContent,
        http: OneDriveHttp,
        records: SessionRecords,
        workplace: Workplace,
    ) -> None:
        self._storage_name = storage_name
        self._drive = drive
        self._key = key
        self._content = content
        self._http = http
        self._records = records
        self._workplace = workplace

    def send(self) -> tuple[Item, str]:
        """The item as the service has stored it, and the quickXorHash of what was sent; comparing them is the caller's.

        Requests are repeated as long as patience lasts, and a session that a killed process has left is gone on with.
        Raises ObjectExistsError, StorageFullError, IntegrityError (the content changed), other StorageError.
        """
        left = self._left_session()
        if left is None and self._workplace.repeat(lambda: self._drive.find(self._key)) is not None:
            raise self._exists()
        with Fragments(self._key, self._content) as fragments:
            if self._content.size <= LARGEST_SMALL:
                item = self._send_at_once(fragments)
            else:
                item = self._send_through_sessions(fragments, left)
            return item, fragments.quick_xor_hash()

    def _left_session(self) -> SessionRecord | None:
        """What a process has left for exactly this content; one for other content is ended, for it blocks the name."""
        try:
            record = self._records.find(self._drive.id, self._key)
        except RecordInUseError:
            raise self._taken_by_another() from None
        if record is None:
            return None
        is_large = self._content.size > LARGEST_SMALL
        same = (record.session.size, record.session.sha256) == (self._content.size, self._content.sha256)
        if is_large and same:
            return record
        with record:
            self._workplace.repeat(lambda: end_session(self._storage_name, self._http, record))
        return None

    # --- small ---------------------------------------------------------------------------------------------------

    def _send_at_once(self, fragments: Fragments) -> Item:
        body = fragments.at(0) if self._content.size else b""
        is_lost = False

        def attempt() -> Item:
            nonlocal is_lost
            if is_lost and (item := self._stored(fragments)):
                return item
            try:
                return self._drive.put_small(self._key, body)
            except StorageUnavailableError:
                is_lost = True
                raise

        return self._workplace.repeat(attempt)

    # --- large ---------------------------------------------------------------------------------------------------

    def _send_through_sessions(self, fragments: Fragments, left: SessionRecord | None) -> Item:
        for _ in range(_MOST_SESSIONS):
            offset = 0 if left is None else None
            with left or self._begin() as record:
                left = None
                try:
                    item = self._session_upload(record, fragments).send(offset)
                except SessionGoneError:
                    self._end_after_failure(record)
                    continue
                except Exception:
                    if not self._workplace.cancelled.is_set():
                        self._end_after_failure(record)
                    raise
                record.forget()
                return item
        raise StorageError(
            f"The storage {self._storage_name} cannot store {self._key}: Microsoft has ended {_MOST_SESSIONS} uploads "
            "of it before they were complete. An upload may take some hours; where the line is too slow for that, make "
            "the backup smaller."
        )

    def _session_upload(self, record: SessionRecord, fragments: Fragments) -> SessionUpload:
        return SessionUpload(
            self._storage_name,
            record.session,
            fragments,
            self._http,
            self._workplace,
            lambda: self._stored(fragments),
        )

    def _begin(self) -> SessionRecord:
        self._workplace.repeat(lambda: self._drive.make_folders(self._key))
        remaining = self._workplace.repeat(self._drive.remaining)
        if remaining is not None and remaining < self._content.size:
            raise StorageFullError(
                f"The storage {self._storage_name} cannot store {self._key}: it has {format_size(self._content.size)}, "
                f"and the drive has {format_size(remaining)} left. Make room in it, empty its recycle bin (what lies "
                "there counts for 93 days; DELETE_FOR_GOOD avoids it), keep fewer copies, or have its quota raised."
            )
        url = self._create_session()
        session = UploadSession(self._drive.id, self._key, self._content.size, self._content.sha256, url)
        try:
            return self._records.keep(session)
        except StorageError:
            self._end_after_failure(SessionRecord(session, None, None))
            raise

    def _create_session(self) -> str:
        is_lost = False

        def attempt() -> str:
            nonlocal is_lost
            try:
                return self._drive.create_session(self._key)
            except StorageUnavailableError:
                is_lost = True
                raise
            except ObjectExistsError:
                if self._drive.find(self._key) is not None:
                    raise
                if not is_lost:
                    raise self._taken_by_another() from None
                # The session was made, but the answer with its address was lost: the name is free when it ends.
                raise StorageUnavailableError(
                    f"The storage {self._storage_name} cannot store {self._key} now: an upload that was begun when the "
                    "connection broke holds the name for about 15 minutes. Run the backup again after that.",
                    _SESSION_SECONDS,
                ) from None

        return self._workplace.repeat(attempt)

    def _end_after_failure(self, record: SessionRecord) -> None:
        """Once only, and in silence: the error that is on its way says what has gone wrong."""
        try:
            end_session(self._storage_name, self._http, record)
        except StorageError:
            return

    def _taken_by_another(self) -> ObjectExistsError:
        return ObjectExistsError(
            f"{self._key} is being stored by another upload in the storage {self._storage_name}, and nothing is ever "
            "overwritten. If no other upload is under way, the name is free after about 15 minutes."
        )

    def _stored(self, fragments: Fragments) -> Item | None:
        """The item, if it is there: it is ours if it has our size and hash. Raises ObjectExistsError if it is not."""
        item = self._drive.find(self._key)
        if item is None:
            return None
        if item.size == self._content.size and item.quick_xor_hash in (None, fragments.quick_xor_hash()):
            return item
        raise self._exists()

    def _exists(self) -> ObjectExistsError:
        return ObjectExistsError(
            f"{self._key} exists already in the storage {self._storage_name}, and is never overwritten."
        )
