"""The sessions of one SFTP storage: opened when one is needed, and used again."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from errors import ObjectNotFoundError
from ssh.connection import SshServer, connect
from storages.sftp.checksum import can_checksum
from storages.sftp.protocol import SftpSession, SftpStatusError


class SftpSessions:
    """Hands a session to each thread that needs one. Raises SshError where none can be opened."""

    def __init__(self, server: SshServer) -> None:
        self._server = server
        self._idle: list[SftpSession] = []
        self._lock = threading.Lock()
        self._server_can_checksum: bool | None = None
        # Nobody says when a storage is no longer used, and the thread of an open connection would keep it for ever.
        weakref.finalize(self, _abandon_all, self._idle)

    def take(self) -> SftpSession:
        """A session that nobody else uses until it is given back, or closed."""
        with self._lock:
            while self._idle:
                session = self._idle.pop()
                if session.is_open:
                    return session
        connection = connect(self._server)
        try:
            return SftpSession(connection)
        except BaseException:
            connection.close()
            raise

    def give_back(self, session: SftpSession) -> None:
        """Only one that waits for no answer."""
        with self._lock:
            self._idle.append(session)

    @contextmanager
    def one(self) -> Iterator[SftpSession]:
        """A session for a while. It is used again unless something else than the server's "no" ended that."""
        session = self.take()
        try:
            yield session
        except (SftpStatusError, ObjectNotFoundError):
            self.give_back(session)
            raise
        except BaseException:
            session.close()
            raise
        self.give_back(session)

    def can_checksum(self, session: SftpSession) -> bool:
        """Whether the server runs ``cksum`` for us, which is asked once."""
        if self._server_can_checksum is None:
            self._server_can_checksum = can_checksum(session.connection)
        return self._server_can_checksum


def _abandon_all(sessions: list[SftpSession]) -> None:
    for session in sessions:
        session.connection.abandon()
