"""What the routes that look into copies share: who waits for storages, and how many may download at once."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from errors import DamagedArchiveError, EncryptionKeyError, HostileArchiveError
from model import Backup
from operations.browsing.copy_lists import CopyLists, KnownCopies
from operations.browsing.listing import Listing, NothingThereError, UnusableListingError
from operations.browsing.opened_copies import OpenedCopies, StillOpeningError
from operations.copies.stored_copies import StoredCopy
from operations.copies.trust import why_refused
from utils import redact
from web.security.problems import ConflictProblem, NotFoundProblem, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.services import Services

DOWNLOADS_AT_ONCE = 4
_WAITING_AT_ONCE = 8
_OPENING_SECONDS = 25.0

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which copy is meant; without a ``target`` (``str`` of one) the first that has it."""

    backup: Backup
    timestamp: str
    target: str | None


@dataclass(frozen=True, slots=True)
class OpenCopy:
    """A copy, and the listing of what is in it."""

    copy: StoredCopy
    listing: Listing


class CopyReader:
    """One for a dashboard. What waits for a storage does so in threads of its own, so that no other page waits."""

    def __init__(self, state_directory: Path) -> None:
        self._lists = CopyLists()
        self._opened = OpenedCopies(state_directory)
        self._threads = ThreadPoolExecutor(_WAITING_AT_ONCE, thread_name_prefix="look into copies")
        self._download_threads = ThreadPoolExecutor(DOWNLOADS_AT_ONCE, thread_name_prefix="download")
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}
        self._downloads = threading.BoundedSemaphore(DOWNLOADS_AT_ONCE)

    def close(self) -> None:
        """Wait for what is under way."""
        for executor in (self._threads, self._download_threads):
            executor.shutdown(cancel_futures=True)

    async def in_thread(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **options: Parameters.kwargs
    ) -> Result:
        """What ``function`` returns or raises; errors of copies as the problems that they are to a reader."""
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: _told(lambda: function(*args, **options))
        )

    async def within(
        self,
        seconds: float,
        key: Hashable,
        function: Callable[Parameters, Result],
        *args: Parameters.args,
        **options: Parameters.kwargs,
    ) -> Result | None:
        """The same, or None where it takes longer: it goes on, and who asks with this key meanwhile waits too."""

        def forget(task: asyncio.Task[Result]) -> None:
            self._under_way.pop(key, None)
            if not task.cancelled():
                task.exception()  # else it would be logged where everybody who waited has left

        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self.in_thread(function, *args, **options))
            task.add_done_callback(forget)
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            return None
        result: Result = task.result()
        return result

    async def in_download_thread(self, function: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._download_threads, function)

    def begin_download(self) -> Callable[[], None]:
        """Take one of the places for downloads; the answer gives it back. Raises Problem where all are taken."""
        if not self._downloads.acquire(blocking=False):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{DOWNLOADS_AT_ONCE} downloads are under way already. Try it again when one has ended.",
                {"Retry-After": "30"},
            )
        return self._downloads.release

    def copies(self, services: Services, backup: Backup) -> KnownCopies:
        """All copies of a backup."""
        revision = services.catalog.revisions().get(backup.id, 0)
        return self._lists.all(services.configured.current(), backup, revision)

    def open(self, services: Services, chosen: Chosen) -> OpenCopy:
        """A copy with its whole listing. Raises HoldfastError and Problem."""
        copy = self._copy(services, chosen)
        return OpenCopy(copy, self._opened.open(copy, wait=_OPENING_SECONDS))

    def open_first(self, services: Services, chosen: Chosen) -> OpenCopy:
        """The same, with the listing of its first folder where the whole one is not there yet."""
        copy = self._copy(services, chosen)
        return OpenCopy(copy, self._opened.open_first(copy, wait=_OPENING_SECONDS))

    def _copy(self, services: Services, chosen: Chosen) -> StoredCopy:
        copy = self._lists.one(services.configured.current(), chosen.backup, chosen.timestamp, chosen.target)
        if copy.manifest is None:
            raise ConflictProblem(f"{copy} cannot be opened: {redact(str(copy.error))}")
        reason = why_not_opened(copy)
        if reason is not None:
            raise ConflictProblem(reason)
        return copy


def why_not_opened(copy: StoredCopy) -> str | None:
    """Why the content of a copy is not shown here; None where it can be."""
    refusal = why_refused(copy, is_wanted=False)
    if refusal is not None:
        return refusal.replace("use it with --untrusted", "read it with restore.py and --untrusted")
    opened_by = copy.manifest.opened_by if copy.manifest is not None else ()
    if copy.is_encrypted and not copy.keyring.has_identity_for(opened_by):
        return (
            f"{copy} is encrypted, and no private key for it is on this machine. To look into it here, let "
            "AGE_IDENTITY_FILE name the file with the key; or use restore.py where the key is."
        )
    return None


def _told(function: Callable[[], Result]) -> Result:
    with told():
        return function()


@contextmanager
def told() -> Iterator[None]:
    """Errors of copies become what whoever asks is told."""
    try:
        yield
    except NothingThereError as error:
        raise NotFoundProblem(redact(str(error))) from None
    except StillOpeningError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "3"}) from None
    except UnusableListingError as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "1"}) from None
    except (DamagedArchiveError, HostileArchiveError, EncryptionKeyError) as error:
        logging.getLogger(__name__).warning("%s", redact(str(error)))
        raise ConflictProblem(redact(str(error))) from None
