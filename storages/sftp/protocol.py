"""The SSH File Transfer Protocol, version 3, as a client speaks it: requests and answers, many on their way at once.

https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02, and for the names with ``@openssh.com``
https://github.com/openssh/openssh-portable/blob/master/PROTOCOL, section 4. Written here rather than taken from
paramiko, whose client waits for each answer or loses the errors of those it did not wait for, and hides the status
codes and the extensions.
"""

from __future__ import annotations

import enum
import stat
import struct
from dataclasses import dataclass

from errors import SshUnavailableError, StorageError
from ssh.connection import SshConnection


class Kind(enum.IntEnum):
    """The types of packets (section 3)."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    REALPATH = 16
    STAT = 17
    RENAME = 18
    STATUS = 101
    HANDLE = 102
    DATA = 103
    NAME = 104
    ATTRS = 105
    EXTENDED = 200
    EXTENDED_REPLY = 201


class Status(enum.IntEnum):
    """What a server answers (section 7). The last two are of later versions; some servers send them."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    OP_UNSUPPORTED = 8
    NO_SPACE_ON_FILESYSTEM = 14
    QUOTA_EXCEEDED = 15


# How a file is opened (section 6.3).
READ, WRITE, CREATE, TRUNCATE = 0x01, 0x02, 0x08, 0x10

_VERSION = 3
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_EXTENSIONS = 0x01, 0x02, 0x04, 0x08, 0x80000000

# Every server takes this much in one packet (section 3). One that takes more says so by limits@openssh.com.
_LEAST_LENGTH = 32768
_LONGEST_PACKET = 1 << 20

# A folder of a thousand names takes about ten answers of OpenSSH.
_READDIRS_AT_ONCE = 4


class SftpStatusError(Exception):
    """The server answered a request with another status than OK."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is known of a file (section 5). ``modified`` is in seconds since 1970."""

    size: int | None
    mode: int | None
    modified: int | None

    @property
    def is_complete(self) -> bool:
        return None not in (self.size, self.mode, self.modified)

    @property
    def is_file(self) -> bool:
        return self.mode is not None and stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        return self.mode is not None and stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``number`` is that of the request."""

    number: int
    kind: int
    fields: Fields


class Fields:
    """The content of a packet, read from its beginning. Raises StorageError where it is shorter than it must be."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def number(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def long_number(self) -> int:
        return int.from_bytes(self._take(8), "big")

    def text(self) -> bytes:
        return self._take(self.number())

    def attributes(self) -> Attributes:
        flags = self.number()
        size = self.long_number() if flags & _HAS_SIZE else None
        if flags & _HAS_OWNER:
            self._take(8)
        mode = self.number() if flags & _HAS_MODE else None
        modified = (self.number(), self.number())[1] if flags & _HAS_TIMES else None
        if flags & _HAS_EXTENSIONS:
            for _ in range(2 * self.number()):
                self.text()
        return Attributes(size, mode, modified)

    @property
    def is_at_end(self) -> bool:
        return self._position == len(self._content)

    def _take(self, length: int) -> bytes:
        end = self._position + length
        if end > len(self._content):
            raise StorageError("The SFTP server sent a packet that is shorter than it must be.")
        taken = self._content[self._position : end]
        self._position = end
        return taken


class SftpSession:
    """A conversation with an SFTP server, over a connection of its own, by one thread at a time.

    ``send`` and ``receive`` are for many requests on their way at once; ``call`` and what is built on it are for one,
    and only while no other is. Raises SshUnavailableError where the connection broke, SftpStatusError where the server
    says no. After any other error it must not be used again.
    """

    def __init__(self, connection: SshConnection) -> None:
        self.connection = connection
        self._channel = connection.open_subsystem("sftp")
        self._received = bytearray()
        self._number = 0
        self.extensions = self._greet()
        self.longest_read, self.longest_write = self._lengths()

    @property
    def is_open(self) -> bool:
        """Whether the connection is not known to be broken."""
        return self.connection.is_open

    def close(self) -> None:
        """End the connection too."""
        self.connection.close()

    def send(self, kind: Kind, *fields: bytes, body: bytes | None = None) -> int:
        """Send a request and return its number. A ``body`` comes last, with its length before it."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        head = b"".join(fields) if body is None else b"".join((*fields, len(body).to_bytes(4, "big")))
        length = 5 + len(head) + len(body or b"")
        self._channel.send(struct.pack(">IBI", length, kind, self._number) + head, body or b"")
        return self._number

    def receive(self, deadline: float | None = None) -> Answer:
        """The next answer, to whichever request."""
        kind, fields = self._packet(deadline)
        return Answer(fields.number(), kind, fields)

    @property
    def has_answer(self) -> bool:
        """Whether an answer, or a part of one, has come already."""
        return bool(self._received) or self._channel.has_received

    def call(self, kind: Kind, *fields: bytes) -> Answer:
        """The answer to one request. Raises SftpStatusError for every status but OK."""
        return self._finish(self.send(kind, *fields))

    def open(self, path: bytes, flags: int, mode: int | None = None) -> bytes:
        """The handle of a file. ``mode`` is for one that is made."""
        attributes = number(0) if mode is None else number(_HAS_MODE) + number(mode)
        return self.call(Kind.OPEN, text(path), number(flags), attributes).fields.text()

    def close_handle(self, handle: bytes) -> None:
        self.call(Kind.CLOSE, text(handle))

    def stat(self, path: bytes) -> Attributes:
        """Of the file, or of what a link leads to."""
        return self.call(Kind.STAT, text(path)).fields.attributes()

    def link_stat(self, path: bytes) -> Attributes:
        """Of the file or link itself."""
        return self.call(Kind.LSTAT, text(path)).fields.attributes()

    def make_folder(self, path: bytes, mode: int) -> None:
        self.call(Kind.MKDIR, text(path), number(_HAS_MODE), number(mode))

    def remove(self, path: bytes) -> None:
        self.call(Kind.REMOVE, text(path))

    def rename(self, old: bytes, new: bytes) -> None:
        """Fails where the new name is taken (section 6.5); OpenSSH makes sure of it by link(2)."""
        self.call(Kind.RENAME, text(old), text(new))

    def real_path(self, path: bytes) -> bytes:
        """Absolute, and without links."""
        fields = self.call(Kind.REALPATH, text(path)).fields
        fields.number()
        return fields.text()

    def start_flush(self, handle: bytes) -> int | None:
        """Ask for the file to be on the server's disk; None where the server does not offer that."""
        if b"fsync@openssh.com" not in self.extensions:
            return None
        return self.send(Kind.EXTENDED, text(b"fsync@openssh.com"), text(handle))

    def finish_flush(self, request: int | None, deadline: float) -> None:
        """Return once it is there. Nothing else may be on its way."""
        if request is not None:
            self._finish(request, deadline)

    def free_space(self, path: bytes) -> int | None:
        """The bytes that this user may still write to the file system of ``path``; None where it is not told."""
        if b"statvfs@openssh.com" not in self.extensions:
            return None
        fields = self.call(Kind.EXTENDED, text(b"statvfs@openssh.com"), text(path)).fields
        _, fragment_size, _, _, available = (fields.long_number() for _ in range(5))
        return fragment_size * available

    def names(self, folder: bytes) -> list[tuple[bytes, Attributes]]:
        """What is in a folder; the attributes are those of links themselves."""
        handle = self.call(Kind.OPENDIR, text(folder)).fields.text()
        found: list[tuple[bytes, Attributes]] = []
        end: SftpStatusError | None = None
        while end is None:
            for _ in [self.send(Kind.READDIR, text(handle)) for _ in range(_READDIRS_AT_ONCE)]:
                answer = self.receive()
                try:
                    check_status(answer)
                    found += _names(answer.fields)
                except SftpStatusError as error:
                    end = error
        self.close_handle(handle)
        if end.code != Status.EOF:
            raise end
        return [(name, attributes) for name, attributes in found if name not in (b".", b"..")]

    def _finish(self, request: int, deadline: float | None = None) -> Answer:
        answer = self.receive(deadline)
        if answer.number != request:
            raise StorageError("The SFTP server answered a request that it was not asked.")
        check_status(answer)
        return answer

    def _greet(self) -> frozenset[bytes]:
        """Agree on the version; the names of what the server offers beyond it."""
        self._channel.send(struct.pack(">IBI", 5, Kind.INIT, _VERSION))
        try:
            kind, fields = self._packet(None)
        except SshUnavailableError as error:
            if not self._channel.is_at_end:
                raise
            raise StorageError(
                "The SFTP server ended before it said anything. Often the user's shell on the server lets nothing run "
                "(nologin, false): give the user another one, or let sshd_config say 'Subsystem sftp internal-sftp'."
            ) from error
        if kind != Kind.VERSION or fields.number() < _VERSION:
            raise StorageError("The SFTP server does not speak version 3 of the protocol.")
        names = []
        while not fields.is_at_end:
            names.append(fields.text())
            fields.text()
        return frozenset(names)

    def _lengths(self) -> tuple[int, int]:
        """How many bytes one READ and one WRITE may carry."""
        if b"limits@openssh.com" not in self.extensions:
            return _LEAST_LENGTH, _LEAST_LENGTH
        fields = self.call(Kind.EXTENDED, text(b"limits@openssh.com")).fields
        _, read, write = fields.long_number(), fields.long_number(), fields.long_number()
        return _usable_length(read), _usable_length(write)

    def _packet(self, deadline: float | None) -> tuple[int, Fields]:
        length = int.from_bytes(self._take(4, deadline), "big")
        if not 5 <= length <= _LONGEST_PACKET:
            raise StorageError(
                "What the server sent is no SFTP packet. Often the user's shell prints something at the login: make "
                "its start-up files (.bashrc) silent."
            )
        content = self._take(length, deadline)
        return content[0], Fields(content[1:])

    def _take(self, length: int, deadline: float | None) -> bytes:
        while len(self._received) < length:
            received = self._channel.receive(deadline)
            if not received:
                raise self._channel.ended()
            self._received += received
        taken = bytes(memoryview(self._received)[:length])
        del self._received[:length]
        return taken


def number(value: int) -> bytes:
    """A field with a number."""
    return value.to_bytes(4, "big")


def long_number(value: int) -> bytes:
    """A field with a size or a position."""
    return value.to_bytes(8, "big")


def text(value: bytes) -> bytes:
    """A field with a path, a name or a handle."""
    return len(value).to_bytes(4, "big") + value


def check_status(answer: Answer) -> None:
    """Raise SftpStatusError where a request failed."""
    if answer.kind == Kind.STATUS and (code := answer.fields.number()) != Status.OK:
        message = "" if answer.fields.is_at_end else answer.fields.text().decode("utf-8", "backslashreplace")
        raise SftpStatusError(code, message)


def _names(fields: Fields) -> list[tuple[bytes, Attributes]]:
    names = []
    for _ in range(fields.number()):
        name = fields.text()
        fields.text()  # the line that `ls -l` would print
        names.append((name, fields.attributes()))
    return names


def _usable_length(told: int) -> int:
    return min(max(told, _LEAST_LENGTH), _LONGEST_PACKET // 2)
