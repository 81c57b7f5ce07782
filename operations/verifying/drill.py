"""A drill: one copy is restored for real, compared with what was recorded, and removed again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from archives.manifest import Manifest
from errors import (
    ArchiveError,
    DamagedArchiveError,
    EncryptionKeyError,
    HoldfastError,
    ObjectNotFoundError,
    StorageError,
    StorageUnavailableError,
    UsageError,
)
from model import Assertion, Backup, OnProgress, RunStatus
from operations.copies.stored_copies import StoredCopy, read_entries, stored_manifest
from operations.restoring.member_content import parts_in_order
from operations.verifying.drill_databases import drill_databases
from operations.verifying.drill_files import drill_files
from operations.verifying.drill_report import DrillReport
from operations.verifying.scratch_folder import scratch_folder
from schedules.times import GRACE, latest_slot
from storages.storage import Storage
from storages.wrapper import StorageWrapper
from utils import printable


def drill_copy(
    copy: StoredCopy,
    base: Path,
    on_progress: OnProgress,
    assertions: Sequence[Assertion] = (),
    stale: str | None = None,
) -> DrillReport:
    """Restore all of a copy into a scratch folder in ``base``, or into a scratch server, and compare it.

    Nothing is left of it afterwards, also where an error or InterruptedRun, which passes, ends it. ``stale`` is what
    :func:`why_stale` says of the copy, where it was not chosen for its age.
    """
    report = DrillReport(str(copy), stale=stale)
    began = time.monotonic()
    storage = _WatchedStorage(copy.storage)
    try:
        _drill(replace(copy, storage=storage), base, on_progress, assertions, report)
    except EncryptionKeyError as error:
        report.obstacle = str(error)
    except (ArchiveError, UsageError) as error:
        report.problems.append(str(error))
    except StorageError as error:
        if isinstance(error, StorageUnavailableError):
            report.obstacle = str(error)
        else:
            report.problems.append(str(error))
    except HoldfastError as error:
        report.obstacle = str(error)
    except OSError as error:
        report.obstacle = f"The folder {base} cannot be used: {error.strerror}."
    if storage.unavailable is not None:
        # What was missing because of that is no problem of the copy.
        report.problems.clear()
        report.obstacle = str(storage.unavailable)
    report.seconds = time.monotonic() - began
    return report


def why_stale(backup: Backup, manifest: Manifest, now: datetime, zone: tzinfo | None = None) -> str | None:
    """A sentence where this copy, the newest good one, is older than the intervals of its backup allow; else None.

    It is, once an interval was due after it began, and twice the time that its own run took has gone by since then: a
    run that has just begun is not late.
    """
    if not backup.enabled:
        return None
    patience = GRACE + 2 * max(manifest.ended - manifest.started, timedelta())
    due = latest_slot(backup.intervals, now - patience, zone)
    if due is None or manifest.started >= due:
        return None
    return (
        f"The newest good copy of {backup.id} is of {manifest.started:%Y-%m-%d %H:%M} UTC, and one of "
        f"{due:%Y-%m-%d %H:%M} UTC was due by now."
    )


def _drill(
    copy: StoredCopy, base: Path, on_progress: OnProgress, assertions: Sequence[Assertion], report: DrillReport
) -> None:
    copy = copy.unlocked()
    manifest = copy.manifest
    if manifest is None:
        _raise_why_unreadable(copy)
        return
    size = copy.storage.stat(copy.keys.archive).size
    if size != manifest.archive.size:
        report.problems.append(f"the archive has {size:,} bytes where {manifest.archive.size:,} were stored")
    try:
        read_entries(copy)
    except (DamagedArchiveError, ObjectNotFoundError) as error:
        # A restore goes on without the index, so this one does too.
        report.problems.append(str(error))
    if manifest.status is RunStatus.PARTIAL:
        report.remarks.append("The copy is partial: what could not be read when it was made is not in it.")
    if "DB_INFO" in manifest.source:
        drill_databases(copy, base, assertions, report, on_progress)
    elif "COMMAND" in manifest.source:
        if not report.problems:
            _drill_output(copy, report, on_progress)
    else:
        with scratch_folder(base) as folder:
            drill_files(copy, folder, report, on_progress)


def _drill_output(copy: StoredCopy, report: DrillReport, on_progress: OnProgress) -> None:
    """What a program wrote can only be read again: what could make something of it is not known."""
    for part in parts_in_order(copy.read, read_entries(copy)):
        if part.error is not None:
            report.problems.append(f"{printable(part.entry.member.path)}: {part.error}")
            continue
        size = sum(map(len, part.chunks))
        report.compared.size += size
        report.compared.files += part.is_last
        on_progress(part.entry.member, size)
    report.remarks.append(
        "It is what a program wrote, so it was only read again, whole, and compared with its CRC-32: nothing was "
        "restored from it."
    )


def _raise_why_unreadable(copy: StoredCopy) -> None:
    """The manifest is read again, because of why it could not be read there is only a text."""
    Manifest.decode(stored_manifest(copy.storage, copy.keys))
    raise ArchiveError(f"{copy}: {copy.error}.")


class _WatchedStorage(StorageWrapper):
    """Notes that a storage did not answer: a restore says so as it says that a member is damaged."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.unavailable: StorageUnavailableError | None = None

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        try:
            yield from self._storage.get(key, offset, length)
        except StorageUnavailableError as error:
            self.unavailable = error
            raise
