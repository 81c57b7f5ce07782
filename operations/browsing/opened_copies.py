"""Copies that somebody looks into: the listing of each is made once, and kept in ``<state>/browse`` for a while.

What lies there can be thrown away at any time. It has names, so its folder is readable by its owner only. That of an
encrypted copy is made too, on a machine that has its private key.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from archives.index import IndexWriter
from errors import DamagedArchiveError, HoldfastError, ObjectNotFoundError
from operations.browsing.building import FAILURE, FIRST, INDEX, WHOLE
from operations.browsing.listing import Listing, UnusableListingError
from operations.copies.contents import zip_directory, zip_entries
from operations.copies.stored_copies import StoredCopy, checked_index
from utils import make_private_directory

_FORMAT = b"1"
_UNFINISHED = ".unfinished-"
_UNFINISHED_SECONDS = 6 * 3600
_LOOK_SECONDS = 0.02
_PATIENCE_SECONDS = 0.2
_AT_ONCE = 2
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from operations.browsing.building import main; "
    "sys.exit(main(sys.argv[2], sys.argv[3]))"
)


class StillOpeningError(HoldfastError):
    """The listing of a copy is still being made. The same may succeed some seconds later."""


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How much of listings is kept: bytes, and how many. 85 MB are one of 500,000 members."""

    size: int = 1 << 30
    count: int = 50


class OpenedCopies:
    """Opens copies for several threads. Other processes may use the same folder."""

    def __init__(self, state_directory: Path, limits: CacheLimits | None = None) -> None:
        self._folder = state_directory / "browse"
        self._limits = limits or CacheLimits()
        self._lock = threading.Lock()
        self._being_made: dict[str, _Making] = {}
        self._threads: set[threading.Thread] = set()
        self._slots = threading.Semaphore(_AT_ONCE)

    def open(self, copy: StoredCopy, *, wait: float) -> Listing:
        """The whole listing of a copy, made now where it is not there; or StillOpeningError after ``wait`` seconds.

        Raises StorageError, EncryptionKeyError, DamagedArchiveError, HostileArchiveError and UnusableListingError.
        """
        return self._open(copy, wait, is_whole=True)

    def open_first(self, copy: StoredCopy, *, wait: float) -> Listing:
        """The same, or the listing of the folder that is shown first, where the whole one is not there yet."""
        return self._open(copy, wait, is_whole=False)

    def close(self) -> None:
        """Wait until nothing is being made any more."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def forget(self, copy: StoredCopy) -> None:
        """Throw the listing of a copy away: it is no good."""
        shutil.rmtree(self._folder / listing_name(copy), ignore_errors=True)

    def _open(self, copy: StoredCopy, wait: float, *, is_whole: bool) -> Listing:
        name = listing_name(copy)
        made = self._folder / name
        with self._lock:
            if (made / WHOLE).exists():
                with suppress(OSError):
                    os.utime(made)
                return self._listing(copy, made / WHOLE)
            making = self._being_made.get(name)
            if making is None:
                making = self._being_made[name] = _Making(copy, made)
                thread = threading.Thread(target=self._make, args=(name, making), name="open copy", daemon=True)
                self._threads.add(thread)
                thread.start()
        file = making.file(time.monotonic() + wait, is_whole=is_whole)
        if file is None:
            raise StillOpeningError("The copy is still being opened. Try it again in some seconds.")
        return self._listing(copy, file)

    def _listing(self, copy: StoredCopy, file: Path) -> Listing:
        try:
            return Listing(file)
        except UnusableListingError:
            self.forget(copy)
            raise

    def _make(self, name: str, making: _Making) -> None:
        try:
            with self._slots:
                making.make()
            with suppress(OSError):  # it is done with the next one
                self._remove_superfluous()
        finally:
            making.ended.set()
            with self._lock:
                self._being_made.pop(name, None)
                self._threads.discard(threading.current_thread())

    def _remove_superfluous(self) -> None:
        """What is over the limits, beginning with what was not looked at for longest, and what a dead process left."""
        found = []
        for folder in self._folder.iterdir():
            with suppress(OSError):
                used = folder.stat().st_mtime
                if not folder.name.startswith(_UNFINISHED):
                    found.append((used, sum(file.stat().st_size for file in folder.iterdir()), folder))
                elif time.time() - used > _UNFINISHED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
        found.sort(reverse=True)
        total = 0
        for number, (_, size, folder) in enumerate(found):
            total += size
            # The newest stays, however large it is: somebody looks at it.
            if number and (total > self._limits.size or number >= self._limits.count):
                shutil.rmtree(folder, ignore_errors=True)


class _Making:
    """The making of one listing, in a folder that gets its name once all is there."""

    def __init__(self, copy: StoredCopy, made: Path) -> None:
        self.ended = threading.Event()
        self._copy = copy
        self._made = made
        self._folder: Path | None = None
        self._error: HoldfastError | None = None

    def file(self, deadline: float, *, is_whole: bool) -> Path | None:
        """The file of the listing, once it is there; None where it is not in time. Raises what making it raised."""
        patience = deadline
        while True:
            is_last_look = self.ended.is_set()
            if (self._made / WHOLE).exists():
                return self._made / WHOLE
            if not is_whole and self._folder is not None and (self._folder / FIRST).exists():
                # Of a small copy the whole listing is there at once.
                patience = min(patience, time.monotonic() + _PATIENCE_SECONDS)
                if time.monotonic() >= patience:
                    return self._folder / FIRST
            if self._error is not None:
                raise self._error
            if is_last_look or time.monotonic() >= deadline:
                return None
            self.ended.wait(_LOOK_SECONDS)

    def make(self) -> None:
        try:
            make_private_directory(self._made.parent)
            folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._made.parent))
        except OSError as error:
            self._error = _no_room(self._made.parent, error)
            return
        try:
            from_zip = self._fetch_index(folder)
            self._folder = folder
            self._build(folder, from_zip=from_zip)
            (folder / FIRST).unlink(missing_ok=True)
            with suppress(OSError):  # another process has made the same
                folder.rename(self._made)
        except HoldfastError as error:
            self._error = error
        except OSError as error:
            self._error = _no_room(self._made.parent, error)
        except Exception as error:
            self._error = HoldfastError(f"The copy could not be opened ({type(error).__name__}: {error}).")
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fetch_index(self, folder: Path) -> bool:
        """Put the index there, not encrypted any more; where the copy has none, one made of the ZIP's own directory:
        then the answer is True."""
        path = folder / INDEX
        try:
            _write(path, checked_index(self._copy))
            return False
        except (DamagedArchiveError, ObjectNotFoundError):
            path.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as spool:
            writer = IndexWriter(Path(spool))
            try:
                for entry in zip_entries(zip_directory(self._copy)):
                    writer.add(entry)
                _write(path, writer.chunks())
            finally:
                writer.close()
        return True

    def _build(self, folder: Path, *, from_zip: bool) -> None:
        root = str(Path(__file__).parents[2])
        command = [sys.executable, "-I", "-X", "utf8", "-c", _START, root, str(folder), "1" if from_zip else ""]
        environment = {**os.environ, "SQLITE_TMPDIR": str(folder)}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        exit_code = process.wait()
        if exit_code != 0:
            reason = f"its process ended with {exit_code}"
            with suppress(OSError):
                reason = (folder / FAILURE).read_text("utf-8")
            raise DamagedArchiveError(f"The list of what is in {self._copy} could not be made: {reason}.")


def listing_name(copy: StoredCopy) -> str:
    """What the listing of a copy is called: it changes with what the manifest says. Raises DamagedArchiveError."""
    if copy.manifest is None:
        raise DamagedArchiveError(f"{copy}: {copy.error}.")
    facts = (_FORMAT, copy.backup_id.encode(), copy.keys.timestamp.encode(), str(copy.target).encode())
    hashes = (copy.manifest.index.sha256.encode(), copy.manifest.archive.sha256.encode())
    return hashlib.sha256(b"\0".join((*facts, *hashes))).hexdigest()[:32]


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        for chunk in chunks:
            file.write(chunk)


def _no_room(folder: Path, error: OSError) -> HoldfastError:
    return HoldfastError(
        f"The list of what is in the copy cannot be kept in {folder}: {error.strerror}. "
        "Make room there, or let STATE_DIR name a folder on another disk."
    )
