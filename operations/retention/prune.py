"""Removing the copies of a backup that KEEP lets go, from one target.

A copy is removed in this order: a note beside it that it is being removed, its manifest (from now on it is no copy any
more, and no list has it), its archive and index, the note. Whatever ends this in between, no copy is listed that is not
whole, and whoever prunes or backs up next finds the note and finishes. Where the manifest is still there, the note
means nothing: it is decided anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from archives.signature import Trust
from errors import HoldfastError, StorageError, StorageUnavailableError
from model import Keep, Target
from operations.copies.keyring import Keyring
from operations.copies.layout import folder_key
from operations.copies.pins import read_pin
from operations.copies.removal import finish_removals, put_note
from operations.copies.stored_copies import StoredCopy, copies_on
from operations.retention.decisions import Candidate, Decision, decide
from storages.storage import Storage
from utils import format_timestamp, parse_timestamp


@dataclass(frozen=True, slots=True)
class JudgedCopy:
    """A copy, and what retention says of it."""

    copy: StoredCopy
    decision: Decision


@dataclass(slots=True)
class PruneReport:
    """What was decided about each copy on a target, newest first, which were removed, and what could not be done."""

    target: Target
    judged: list[JudgedCopy] = field(default_factory=list)
    removed: list[JudgedCopy] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        stay = len(self.judged) - len(self.removed)
        copies = "1 copy" if len(self.removed) == 1 else f"{len(self.removed):,} copies"
        return f"{self.target}: {copies} removed, {stay:,} stay"


def judge(
    copies: Iterable[StoredCopy], keep: Keep, now: datetime, zone: tzinfo, made: datetime | None = None
) -> list[JudgedCopy]:
    """What retention says of the copies on one target, newest first. Nothing is done. See ``retention.decide``."""
    newest_first = sorted(copies, key=lambda copy: copy.keys.timestamp, reverse=True)
    whole_second = parse_timestamp(format_timestamp(made)) if made is not None else None
    vouched = [copy.keys.timestamp for copy in newest_first if _is_vouched_for(copy)]
    candidates = [_candidate(copy, vouched[-1] if vouched else None) for copy in newest_first]
    decisions = decide(candidates, keep, now, zone, whole_second)
    return [JudgedCopy(copy, decision) for copy, decision in zip(newest_first, decisions, strict=True)]


def prune(
    backup_id: str,
    target: Target,
    storage: Storage,
    keep: Keep,
    now: datetime,
    zone: tzinfo,
    made: datetime | None = None,
    keyring: Keyring | None = None,
) -> PruneReport:
    """Remove what goes, the oldest first, after what earlier prunings left. What fails is in the report, not raised.

    ``keyring`` says whose copies let others go. ``made`` is when the good run began whose copy does so; None where a
    person asks. The caller holds the backup's lock.
    """
    report = PruneReport(target)
    try:
        present = [stored.key for stored in storage.list(folder_key(target.path, backup_id))]
        report.problems += finish_removals(backup_id, target, storage, present)
        report.judged = judge(copies_on(target, backup_id, storage, keyring), keep, now, zone, made)
        for judged in reversed(report.judged):
            if not judged.decision.stays:
                _remove_judged(judged, now, report)
    except HoldfastError as error:
        report.problems.append(f"{target}: {error}")
    return report


def _is_vouched_for(copy: StoredCopy) -> bool:
    return copy.origin is not None and copy.origin.trust is Trust.TRUSTED


def _doubt(copy: StoredCopy, first_vouched: str | None) -> str | None:
    """Why a copy may be somebody else's, who wants it to take the place of ours.

    Copies from before there were signatures are older than all that have one.
    """
    if copy.origin is None or not copy.keyring.trusted or _is_vouched_for(copy):
        return None
    if copy.origin.trust is Trust.UNKNOWN_KEY:
        return "no key that is trusted here has signed its manifest"
    if first_vouched is not None and copy.keys.timestamp > first_vouched:
        return "its manifest is not signed, and that of an earlier copy is"
    return None


def _candidate(copy: StoredCopy, first_vouched: str | None) -> Candidate:
    return Candidate(
        started=parse_timestamp(copy.keys.timestamp),
        status=copy.manifest.status if copy.manifest is not None else None,
        problem=copy.error or copy.damage or _doubt(copy, first_vouched),
        pin=copy.pin.reason if copy.pin is not None else None,
    )


def _remove_judged(judged: JudgedCopy, now: datetime, report: PruneReport) -> None:
    """Raises StorageUnavailableError: where nobody answers, the other copies need not be tried."""
    try:
        if _remove(judged, now):
            report.removed.append(judged)
    except StorageUnavailableError:
        raise
    except StorageError as error:
        report.problems.append(f"{judged.copy} could not be removed: {error}")


def _remove(judged: JudgedCopy, now: datetime) -> bool:
    """Whether it was removed: not where it was pinned since it was listed."""
    storage, keys = judged.copy.storage, judged.copy.keys
    put_note(storage, keys, now, judged.decision.reasons, is_made_again=False)
    if read_pin(storage, keys) is not None:
        storage.delete(keys.removal)
        return False
    for key in (keys.manifest, keys.archive, keys.index, keys.removal):
        storage.delete(key)
    return True
