"""One object on its way to an SFTP server.

Up to 4 MiB of blocks are under way at once, and each is kept until the server has it. So where the connection breaks,
another one is opened, and the upload goes on with the blocks that were not answered: a WRITE names its offset, and
may be carried out twice.

What the server holds is compared with what was sent before the object gets its name. A large one the server reads
itself (see ``checksum``); a small one, and all where the server runs no commands, is read back over the line.
That is done at the end: servers that are built with github.com/pkg/sftp take a READ of a file that is being written
for a WRITE, and put zeros into it.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from errors import IntegrityError, ObjectExistsError, SshError, StorageError, StorageUnavailableError
from storages.sftp.checksum import PosixChecksum, is_plain, remote_checksum
from storages.sftp.download import read_range
from storages.sftp.errors import Place
from storages.sftp.protocol import (
    CREATE,
    READ,
    TRUNCATE,
    WRITE,
    Answer,
    Attributes,
    Kind,
    SftpSession,
    SftpStatusError,
    Status,
    check_status,
    long_number,
    text,
)
from storages.sftp.sessions import SftpSessions
from storages.storage import UNFINISHED_PREFIX
from storages.workplace import Workplace

_Result = TypeVar("_Result")

_MOST_BYTES_UNDERWAY = 4 << 20
_ALWAYS_READ_BACK = 1 << 20
_LONGEST_BLOCK = 255 << 10


@dataclass(frozen=True, slots=True)
class _Block:
    """Bytes that the server does not surely have yet."""

    offset: int
    data: bytes


class SftpUpload:
    """``begin``, ``write`` as often as needed, ``finish``, ``publish``; ``close`` in any case.

    All raise StorageError. What breaks is repeated as the workplace's patience says, so StorageUnavailableError means
    that it is at its end.
    """

    def __init__(self, storage: str, sessions: SftpSessions, workplace: Workplace, path: bytes) -> None:
        self.size = 0
        self.block_size = _LONGEST_BLOCK
        self._place = Place(storage, path)
        self._sessions = sessions
        self._workplace = workplace
        self._path = path
        self._folder = path.rpartition(b"/")[0]
        self._temporary = self._folder + b"/" + (UNFINISHED_PREFIX + secrets.token_hex(16)).encode()
        self._session: SftpSession | None = None
        self._handle = b""
        self._failures = 0
        self._checksum = PosixChecksum()
        self._blocks: dict[int, _Block] = {}  # by offset
        self._unsent: deque[_Block] = deque()
        self._asked: dict[int, _Block] = {}  # by the number of the request
        self._may_be_there = False
        self._is_written_to = False
        self._is_interrupted = False
        self._is_rename_sent = False
        self._is_published = False

    def begin(self) -> None:
        """Make the folder and the hidden file. Raises ObjectExistsError where the name is taken."""

        def make(session: SftpSession) -> None:
            if _exists(session, self._path):
                raise self._place.exists()
            self.block_size = min(_LONGEST_BLOCK, session.longest_write)
            try:
                self._open(session, CREATE | TRUNCATE)
            except SftpStatusError as error:
                if error.code != Status.NO_SUCH_FILE:
                    raise
                if not _make_folder(session, self._folder):
                    raise self._place.no_folder() from None
                self._open(session, CREATE | TRUNCATE)

        self._persevere(make)
        self._is_written_to = True

    def write(self, data: bytes) -> None:
        """Send the next block, of ``block_size`` at most, once the server has enough of those before."""
        block = _Block(self.size, data)
        self._blocks[block.offset] = block
        self._unsent.append(block)
        self._checksum.update(data)
        self.size += len(data)
        self._persevere(lambda session: self._exchange(session, _MOST_BYTES_UNDERWAY // self.block_size))

    def finish(self) -> None:
        """Return once the server's disk holds what was sent. Raises IntegrityError where it holds anything else."""
        self._persevere(lambda session: self._exchange(session, 0))
        self._persevere(self._check)

    def publish(self) -> Attributes:
        """Give the object its name. Raises ObjectExistsError where another has it by now."""
        attributes = self._persevere(self._rename)
        self._is_published = True
        return attributes

    def close(self) -> None:
        """Remove the hidden file where it was not published. A clean-up does it where the server is out of reach."""
        try:
            with suppress(SftpStatusError, SshError):
                if self._may_be_there and not self._is_published:
                    self._remove(self._quiet_session())
                elif self._session is not None:
                    self._quiet_session()
        finally:
            if self._session is not None and not self._is_interrupted:
                self._sessions.give_back(self._session)
                self._session = None
            self._drop()

    def _persevere(self, action: Callable[[SftpSession], _Result]) -> _Result:
        """Do it, on another connection where one breaks. Everything that is done so may be done twice."""
        while True:
            try:
                with self._place.translated():
                    session = self._session or self._resume()
                    self._is_interrupted = True
                    try:
                        result = action(session)
                    except (SftpStatusError, IntegrityError, ObjectExistsError):
                        self._is_interrupted = False  # the session itself is in order
                        raise
                    self._is_interrupted = False
                    return result
            except StorageUnavailableError as error:
                self._drop()
                self._failures += 1
                self._workplace.wait_after(self._failures, error)
            except StorageError as error:
                if isinstance(error.__cause__, SftpStatusError) and self._is_disk_full(error.__cause__):
                    raise self._place.full() from error
                raise

    def _resume(self) -> SftpSession:
        """Another session, and all that the server may not have goes to it again."""
        self._session = self._sessions.take()
        if self._is_written_to:
            self._open(self._session, 0)
            self._asked.clear()
            self._unsent = deque(self._blocks.values())
        return self._session

    def _open(self, session: SftpSession, flags: int) -> None:
        self._may_be_there = True
        self._handle = session.open(self._temporary, WRITE | flags, 0o600)

    def _exchange(self, session: SftpSession, most_underway: int) -> None:
        """Send what was not sent, and take answers until no more than so many blocks wait for theirs."""
        while self._unsent:
            self._send(session, self._unsent.popleft())
        while len(self._blocks) > most_underway or (self._asked and session.has_answer):
            self._take(session.receive())

    def _send(self, session: SftpSession, block: _Block) -> None:
        place = (text(self._handle), long_number(block.offset))
        self._asked[session.send(Kind.WRITE, *place, body=block.data)] = block

    def _take(self, answer: Answer) -> None:
        block = self._asked.pop(answer.number, None)
        if block is None:
            raise StorageError("The SFTP server answered a request that it was not asked.")
        check_status(answer)
        del self._blocks[block.offset]
        self._failures = 0

    def _check(self, session: SftpSession) -> None:
        """Have the disk hold it, and compare what the server has with what was sent."""
        flush = session.start_flush(self._handle) if self._handle else None
        told = None
        if self.size > _ALWAYS_READ_BACK and is_plain(self._path) and self._sessions.can_checksum(session):
            told = remote_checksum(session.connection, self._temporary, self.size)  # while the disk writes
        if self._handle:
            session.finish_flush(flush, session.connection.deadlines.for_bytes(self.size))
            session.close_handle(self._handle)
            self._handle, self._is_written_to = b"", False
        if session.stat(self._temporary).size != self.size:
            raise self._damaged()
        if told is None:
            told = self._read_back(session)
        if told != self._checksum.value():
            raise self._damaged()

    def _read_back(self, session: SftpSession) -> int:
        checksum = PosixChecksum()
        for block in read_range(session, self._temporary, 0, self.size):
            checksum.update(block)
        return checksum.value()

    def _rename(self, session: SftpSession) -> Attributes:
        # A rename whose answer was lost has been carried out where the hidden name is gone.
        if not self._is_rename_sent or _exists(session, self._temporary):
            self._is_rename_sent = True
            self._rename_where_free(session)
        attributes = session.stat(self._path)
        if attributes.size != self.size:
            raise self._damaged()
        _flush_folder(session, self._folder)
        return attributes

    def _rename_where_free(self, session: SftpSession) -> None:
        """Not every server refuses to overwrite, so those that do not are asked before."""
        if _exists(session, self._path):
            raise self._place.exists()
        try:
            session.rename(self._temporary, self._path)
        except SftpStatusError:
            if _exists(session, self._path):
                raise self._place.exists() from None
            raise

    def _remove(self, session: SftpSession) -> None:
        if self._handle:  # what is removed and still open takes up its room
            with suppress(SftpStatusError):
                session.close_handle(self._handle)
        session.remove(self._temporary)

    def _quiet_session(self) -> SftpSession:
        """A session that waits for no answer: the one in use, or another."""
        if self._session is not None and self._session.is_open and not self._is_interrupted:
            with suppress(SshError):
                while self._asked:
                    self._asked.pop(self._session.receive().number, None)
                return self._session
        self._drop()
        self._session = self._sessions.take()
        self._is_interrupted = False
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session, self._handle = None, b""

    def _is_disk_full(self, error: SftpStatusError) -> bool:
        """Version 3 has no status for it, so OpenSSH answers with a mere FAILURE."""
        if error.code != Status.FAILURE:
            return False
        try:
            with self._sessions.one() as session:
                free = session.free_space(self._folder)
        except (SftpStatusError, SshError):
            return False
        return free is not None and free < _MOST_BYTES_UNDERWAY

    def _damaged(self) -> IntegrityError:
        return IntegrityError(
            f"What the server holds of {self._place} is not what was sent; it was removed. Check the disk and the "
            "memory of the server."
        )


def _exists(session: SftpSession, path: bytes) -> bool:
    try:
        session.link_stat(path)
    except SftpStatusError as error:
        if error.code == Status.NO_SUCH_FILE:
            return False
        raise
    return True


def _make_folder(session: SftpSession, folder: bytes, is_parent_made: bool = False) -> bool:
    """Make it and what is missing above it, which others may do at the same time; whether no file is in the way."""
    try:
        session.make_folder(folder, 0o700)
    except SftpStatusError as error:
        if error.code == Status.NO_SUCH_FILE and b"/" in folder and not is_parent_made:
            return _make_folder(session, folder.rpartition(b"/")[0]) and _make_folder(session, folder, True)
        if not _exists(session, folder):
            raise
        return session.stat(folder).is_folder
    return True


def _flush_folder(session: SftpSession, folder: bytes) -> None:
    """Make a new name durable. Not every server opens a folder as a file, which is the only way to flush one."""
    with suppress(SftpStatusError):
        handle = session.open(folder, READ)
        with suppress(SftpStatusError):
            session.finish_flush(session.start_flush(handle), session.connection.deadlines.for_bytes(0))
        session.close_handle(handle)
