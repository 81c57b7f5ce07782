"""Upload sessions that are under way, kept in the state so that a later process can go on with them or end them.

``<STATE_DIR>/uploads/onedrive-<hash of drive and key>.json``, mode 0600, because the address in it is a secret. Whoever
uploads holds a lock (flock) on the file, which ends with the process: a record without a lock is one that was left.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from errors import StorageError
from utils import fsync_directory, make_private_directory, remember_secret


@dataclass(frozen=True, slots=True)
class UploadSession:
    """What is needed to go on: whose upload it is, of which content, and where it is sent to."""

    drive_id: str
    key: str
    size: int
    sha256: str
    upload_url: str


class SessionRecord:
    """A session, held by this process. A context manager that lets go of it, and leaves the file where it is."""

    def __init__(self, session: UploadSession, path: Path | None, descriptor: int | None) -> None:
        self.session = session
        self._path = path
        self._descriptor = descriptor
        remember_secret(session.upload_url)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def forget(self) -> None:
        """Remove the file: the session has ended. One that cannot be removed is met again by ``clean_up``."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()


class RecordInUseError(Exception):
    """Another upload, of this process or another, holds the record."""


class SessionRecords:
    """The records of all drives. Without a state directory nothing is kept."""

    def __init__(self, state_directory: Path | None) -> None:
        self._folder = None if state_directory is None else state_directory / "uploads"

    def find(self, drive_id: str, key: str) -> SessionRecord | None:
        """The session for this key that a process has left. Raises RecordInUseError."""
        return None if self._folder is None else _open_record(_path(self._folder, drive_id, key))

    def left_below(self, prefix: str) -> Iterator[SessionRecord]:
        """Every session, of any drive, that nobody works at and whose key begins so."""
        for path in sorted(self._folder.glob("onedrive-*.json")) if self._folder else ():
            try:
                record = _open_record(path)
            except RecordInUseError:
                continue
            if record is None:
                continue
            with record:
                if record.session.key.startswith(prefix):
                    yield record

    def keep(self, session: UploadSession) -> SessionRecord:
        """Write the record, whole or not at all, and hold it. Raises StorageError."""
        if self._folder is None:
            return SessionRecord(session, None, None)
        path = _path(self._folder, session.drive_id, session.key)
        temporary = path.with_suffix(f".{secrets.token_hex(8)}.new")
        descriptor = None
        try:
            make_private_directory(self._folder)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps(asdict(session)).encode("utf-8"))
            os.fsync(descriptor)
            temporary.replace(path)
            fsync_directory(self._folder)
        except OSError as error:
            if descriptor is not None:
                os.close(descriptor)
            with suppress(OSError):
                temporary.unlink()
            raise StorageError(
                f"The upload of {session.key} cannot be noted in {self._folder}: {error.strerror}. Check STATE_DIR and "
                "the disk that holds it."
            ) from error
        return SessionRecord(session, path, descriptor)


def _path(folder: Path, drive_id: str, key: str) -> Path:
    """The key in small letters, because OneDrive knows names no other way."""
    identity = hashlib.sha256(f"{drive_id}\0{key.casefold()}".encode()).hexdigest()
    return folder / f"onedrive-{identity[:32]}.json"


def _open_record(path: Path) -> SessionRecord | None:
    """None where there is no file, or one that is none of ours and says nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with open(descriptor, encoding="utf-8", closefd=False) as file:
            session = UploadSession(**json.load(file))
    except BlockingIOError:
        os.close(descriptor)
        raise RecordInUseError from None
    except (OSError, ValueError, TypeError):
        os.close(descriptor)
        return None
    return SessionRecord(session, path, descriptor)
