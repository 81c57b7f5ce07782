"""A folder on a server as a storage, over SSH's file transfer protocol.

The key is the path of a file below the root folder, as it is in a local storage; there is nothing else in it. An
object is written under a hidden name, flushed where the server offers that, compared with what was sent, and only then
renamed, which fails where the name is taken. See ``storages.sftp.upload``.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from errors import StorageError
from model import Secret, StorageDefinition, StoredObject
from ssh.connection import SshServer
from ssh.sign_in import Credentials
from storages.settings import required_setting, setting
from storages.sftp.download import read_range
from storages.sftp.errors import Place
from storages.sftp.protocol import Attributes, SftpSession, SftpStatusError, Status
from storages.sftp.sessions import SftpSessions
from storages.sftp.upload import SftpUpload
from storages.storage import UNFINISHED_PREFIX, check_file_key, is_text
from storages.workplace import Workplace


def sftp_storage(definition: StorageDefinition, workplace: Workplace) -> SftpStorage:
    """The storage of type SFTP that is configured so. Raises StorageError where the settings cannot be used."""
    username = setting(definition, "USERNAME") or pwd.getpwuid(os.geteuid()).pw_name
    credentials = Credentials(
        username, _path(definition, "KEY_FILE"), _secret(definition, "KEY_PASSPHRASE"), _secret(definition, "PASSWORD")
    )
    server = SshServer(
        required_setting(definition, "HOST"),
        credentials,
        int(setting(definition, "PORT") or 22),
        setting(definition, "HOST_KEY"),
        _path(definition, "KNOWN_HOSTS_FILE"),
    )
    return SftpStorage(definition.name, server, required_setting(definition, "ROOT"), workplace)


def _path(definition: StorageDefinition, key: str) -> Path | None:
    text = setting(definition, key)
    return Path(text).expanduser() if text else None


def _secret(definition: StorageDefinition, key: str) -> Secret | None:
    text = setting(definition, key)
    return Secret(text) if text else None


class SftpStorage:
    """Objects as files below ``root`` on a server. See ``storages.storage.Storage`` for the contract.

    ``root`` is absolute, or begins with ``~/``, which is the folder that the server lets the user begin in. Files have
    mode 0600 and new folders 0700; missing folders are made by ``put``. Links to folders are followed.
    """

    needs_size_first = False

    def __init__(self, name: str, server: SshServer, root: str, workplace: Workplace) -> None:
        self.name = name
        self._sessions = SftpSessions(server)
        self._root = _root_path(name, root)
        self._workplace = workplace

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        upload = SftpUpload(self.name, self._sessions, self._workplace, self._path(key))
        try:
            upload.begin()
            for block in _blocks(chunks, upload.block_size):
                upload.write(block)
            upload.finish()
            attributes = upload.publish()
        finally:
            upload.close()
        return _stored_object(key, attributes)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        path = self._path(key)
        with self._session(path) as session:
            size = self._file(session, path).size or 0
            yield from read_range(session, path, offset, size if length is None else min(size, offset + length))

    def stat(self, key: str) -> StoredObject:
        path = self._path(key)
        with self._session(path) as session:
            return _stored_object(key, self._file(session, path))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for key, attributes in self._files(prefix):
            if not _is_unfinished(key) and key.startswith(prefix) and attributes.is_file:
                yield _stored_object(key, attributes)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._session(path) as session:
            try:
                session.remove(path)
            except SftpStatusError as error:
                if error.code != Status.NO_SUCH_FILE and not _is_folder(session, path):
                    raise

    def clean_up(self, prefix: str) -> int:
        """See the contract. An unfinished object belongs to its folder: ``a/b/`` is that folder and all below it."""
        removed = 0
        for key, _ in self._files(prefix):
            if _is_unfinished(key) and key[: key.rfind("/") + 1].startswith(prefix):
                path = self._root + b"/" + key.encode()
                with self._session(path) as session:
                    session.remove(path)
                removed += 1
        return removed

    def _path(self, key: str) -> bytes:
        check_file_key(self.name, key)
        return self._root + b"/" + key.encode()

    @contextmanager
    def _session(self, path: bytes) -> Iterator[SftpSession]:
        with Place(self.name, path).translated(), self._sessions.one() as session:
            yield session

    def _file(self, session: SftpSession, path: bytes) -> Attributes:
        try:
            attributes = session.stat(path)
        except SftpStatusError as error:
            if error.code == Status.NO_SUCH_FILE:
                raise Place(self.name, path).not_found() from None
            raise
        if not attributes.is_file:
            raise Place(self.name, path).not_found()
        return attributes

    def _files(self, prefix: str) -> Iterator[tuple[str, Attributes]]:
        """What is no folder, in each folder whose keys can start with ``prefix``, by key, ordered by it."""
        folder_key = prefix[: prefix.rfind("/") + 1]
        folder = self._path(folder_key[:-1]) if folder_key else self._root
        return self._files_below(folder, folder_key, prefix, None, frozenset())

    def _files_below(
        self, folder: bytes, folder_key: str, prefix: str, real: bytes | None, parents: frozenset[bytes]
    ) -> Iterator[tuple[str, Attributes]]:
        """``real`` is the folder without links, None where that must be asked; ``parents`` are those above it."""
        with self._session(folder) as session:
            entries = _entries(session, folder)
            if real is None and entries:
                real = session.real_path(folder)
        if real in parents:  # a link to a folder that it lies in
            return
        for name, attributes, is_link in entries:
            key = folder_key + name
            if not name.endswith("/"):
                yield key, attributes
            elif key.startswith(prefix):
                part = b"/" + name[:-1].encode()
                below = None if is_link or real is None else real + part
                yield from self._files_below(folder + part, key, prefix, below, parents | {real or b""})


def _root_path(storage: str, root: str) -> bytes:
    """Without a slash at the end. A path that is not absolute is one below the login folder (section 6.2)."""
    if root == "~" or root.startswith("~/"):
        return f".{root[1:]}".rstrip("/").encode()
    if not root.startswith("/"):
        raise StorageError(f"The storage {storage} cannot use the ROOT {root!r}. Write it from / on, or from ~/ on.")
    return root.rstrip("/").encode()


def _blocks(chunks: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The same bytes in blocks of this length, but for the last."""
    rest = b""
    for chunk in chunks:
        start = 0
        if rest:
            start = length - len(rest)
            rest += chunk[:start]
            if len(rest) < length:
                continue
            yield rest
        end = start + (len(chunk) - start) // length * length
        for offset in range(start, end, length):
            yield chunk[offset : offset + length]
        rest = chunk[end:]
    if rest:
        yield rest


def _entries(session: SftpSession, folder: bytes) -> list[tuple[str, Attributes, bool]]:
    """What can be part of a key, ordered, with what it leads to where it is a link, and whether it is one.

    The names of folders end in a slash: ``a/b`` stands behind ``a.b``.
    """
    entries = []
    for name, attributes in _names(session, folder):
        is_link = attributes.is_link
        if is_link or not attributes.is_complete:
            try:
                attributes = session.stat(folder + b"/" + name)  # noqa: PLW2901 - of what it leads to
            except SftpStatusError:  # a link that leads nowhere, or a file that was removed since
                continue
        text = name.decode("utf-8", "surrogateescape")
        if is_text(text):
            entries.append((f"{text}/" if attributes.is_folder else text, attributes, is_link))
    return sorted(entries, key=lambda entry: entry[0])


def _names(session: SftpSession, folder: bytes) -> list[tuple[bytes, Attributes]]:
    try:
        return session.names(folder or b"/")
    except SftpStatusError as error:
        if error.code == Status.NO_SUCH_FILE or (error.code == Status.FAILURE and not _is_folder(session, folder)):
            return []
        raise


def _is_folder(session: SftpSession, path: bytes) -> bool:
    try:
        return session.stat(path or b"/").is_folder
    except SftpStatusError:
        return False


def _is_unfinished(key: str) -> bool:
    return key.rpartition("/")[2].startswith(UNFINISHED_PREFIX)


def _stored_object(key: str, attributes: Attributes) -> StoredObject:
    return StoredObject(key, attributes.size or 0, datetime.fromtimestamp(attributes.modified or 0, UTC))
