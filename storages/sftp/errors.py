"""What an SFTP server answered, as the error that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    SshError,
    SshUnavailableError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from storages.sftp.protocol import SftpStatusError, Status
from utils import printable

# Servers that speak version 3 only have no status for a full disk, and some say it in the message.
_FULL = {Status.NO_SPACE_ON_FILESYSTEM, Status.QUOTA_EXCEEDED}
_FULL_WORDS = ("no space", "quota", "disk full", "disk is full")


@dataclass(frozen=True, slots=True)
class Place:
    """A path on a storage, for messages."""

    storage: str
    path: bytes

    def __str__(self) -> str:
        return f"{printable(self.path)} in the storage {self.storage}"

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what the protocol and the connection raise into a StorageError."""
        try:
            yield
        except SftpStatusError as error:
            raise self.refused(error) from error
        except SshUnavailableError as error:
            raise StorageUnavailableError(f"The storage {self.storage} cannot be reached. {error}") from error
        except SshError as error:
            raise StorageError(f"The storage {self.storage} cannot be used. {error}") from error

    def refused(self, error: SftpStatusError) -> StorageError:
        said = f" ({error.message})" if error.message else ""
        where = f"The storage {self.storage} cannot use {printable(self.path)}"
        if error.code in _FULL or any(words in error.message.lower() for words in _FULL_WORDS):
            return self.full()
        match error.code:
            case Status.NO_SUCH_FILE:
                return StorageError(f"{where}: it is not there. Was it, or its folder, removed meanwhile?")
            case Status.PERMISSION_DENIED:
                return StorageError(
                    f"{where}: permission denied. Give the user on the server the right to it, or choose another ROOT."
                )
            case _:
                return StorageError(
                    f"{where}: the SFTP server answered with status {error.code}{said}. Look at the disk and the log "
                    "of the server."
                )

    def full(self) -> StorageFullError:
        return StorageFullError(
            f"The storage {self.storage} has no room left for {printable(self.path)}. Make room on the disk of the "
            "server, or in the user's quota, or keep fewer copies."
        )

    def no_folder(self) -> StorageError:
        return StorageError(
            f"The storage {self.storage} cannot use {printable(self.path)}: a file lies where a folder must be. Move "
            "it away, or choose another path."
        )

    def exists(self) -> ObjectExistsError:
        return ObjectExistsError(
            f"{printable(self.path)} exists already in the storage {self.storage}, and is never overwritten."
        )

    def not_found(self) -> ObjectNotFoundError:
        return ObjectNotFoundError(f"The storage {self.storage} has no object {printable(self.path)}.")
