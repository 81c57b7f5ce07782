"""Making copies again that are bad or missing on a target, from a good one of the same run on another target.

The good one is read through and through before anything is touched, and what was put is read back before it counts. A
bad copy is removed only once a good one is known; where there is none, nothing is touched. What a kill leaves is
gone on with by the next healing: see ``operations.copies.removal``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from pathlib import Path

from archives.signature import Trust
from errors import AlreadyRunningError, HoldfastError
from model import Backup, CheckOutcome, Member, RunStatus, Target
from operations.copies.copying import Destination, OnCopied, is_place, is_same_run
from operations.copies.keyring import Keyring
from operations.copies.layout import CopyKeys
from operations.copies.stored_copies import Listing, StoredCopy
from operations.locks import lock_backup
from operations.retention.periods import is_wanted
from operations.verifying.checking import CopyCheck, check_copy
from utils import parse_timestamp


@dataclass(frozen=True, slots=True)
class Healed:
    """A copy that was made again, read back and found good; from where it came, and what had been wrong."""

    check: CopyCheck
    source: Target
    reasons: tuple[str, ...]

    @property
    def copy(self) -> StoredCopy:
        return self.check.copy

    def __str__(self) -> str:
        more = f" (and {len(self.reasons) - 1:,} more)" if len(self.reasons) > 1 else ""
        return f"{self.copy} was made again from {self.source}: {self.reasons[0].removesuffix('.')}{more}."


@dataclass(slots=True)
class HealReport:
    """What was made again, and what could not be. ``blocked`` says that a run is under way, which ended it early."""

    healed: list[Healed] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    blocked: str | None = None


class Healing:
    """That of one backup. ``listing`` is of all its targets, ``checks`` are of those copies that were read just now."""

    def __init__(
        self,
        backup: Backup,
        state_directory: Path,
        keyring: Keyring,
        listing: Listing,
        checks: Iterable[CopyCheck],
    ) -> None:
        self._backup = backup
        self._state = state_directory
        self._keyring = keyring
        self._copies = listing.copies
        self._is_all_listed = not listing.errors
        self._checks = list(checks)
        self._failed: set[tuple[str, str, str]] = set()
        self._outcomes = {_place(check.copy): check.outcome for check in self._checks}

    def run(self, zone: tzinfo, on_copied: OnCopied, only: Collection[str] | None = None) -> HealReport:
        """Make again what was found bad, what an earlier healing did not finish, and the newest good copy where it is
        missing. ``only`` names the times of copies (``20261120T030000Z``) to which this is limited.

        What fails is in the report.
        """
        report = HealReport()
        try:
            for check in self._checks:
                if check.outcome is CheckOutcome.FAILED and _is_meant(check.copy.keys, only):
                    self._heal_bad(check, on_copied, report)
            for target in self._backup.targets:
                self._heal_target(target, zone, on_copied, report, only)
        except AlreadyRunningError as error:
            report.blocked = str(error)
        return report

    def _heal_target(
        self,
        target: Target,
        zone: tzinfo,
        on_copied: OnCopied,
        report: HealReport,
        only: Collection[str] | None,
    ) -> None:
        try:
            destination = Destination(self._backup, target, self._state, self._keyring)
            self._finish_earlier(destination, on_copied, report, only)
            self._fill(destination, zone, on_copied, report, only)
        except AlreadyRunningError:
            raise
        except HoldfastError as error:
            report.problems.append(f"{target}: {error}")

    # --- what is to be done -----------------------------------------------------------------------------------------

    def _heal_bad(self, check: CopyCheck, on_copied: OnCopied, report: HealReport) -> None:
        bad = check.copy
        twin = self._good_twin(bad.keys, bad.target, bad)
        if twin is None:
            report.problems.append(
                f"{bad} is damaged, and no other target holds a good copy of the same run that can be trusted. Nothing "
                "was changed."
            )
            return
        try:
            destination = Destination(self._backup, bad.target, self._state, self._keyring)
            self._make(destination, twin, tuple(check.reasons), on_copied, report, bad=bad)
        except AlreadyRunningError:
            raise
        except HoldfastError as error:
            self._failed.add(_place(bad))
            report.problems.append(f"{bad} is damaged, and could not be made again: {error}")

    def _finish_earlier(
        self, destination: Destination, on_copied: OnCopied, report: HealReport, only: Collection[str] | None
    ) -> None:
        for keys in destination.awaited():
            if not _is_meant(keys, only) or self._has_failed(keys, destination.target):
                continue
            if self._is_all_listed and all(copy.keys.timestamp != keys.timestamp for copy in self._copies):
                with lock_backup(self._state, self._backup.id):
                    destination.forget(keys)  # it went from everywhere, as KEEP asks
                continue
            twin = self._good_twin(keys, destination.target, None)
            if twin is None:
                report.problems.append(
                    f"{self._backup.id}@{keys.timestamp} was damaged on {destination.target} and removed to be made "
                    "again, and there is no good copy of it now that can be trusted."
                )
                continue
            self._make(destination, twin, ("an earlier healing was not finished",), on_copied, report)

    def _fill(
        self,
        destination: Destination,
        zone: tzinfo,
        on_copied: OnCopied,
        report: HealReport,
        only: Collection[str] | None,
    ) -> None:
        newest = next((copy for copy in self._copies if _is_good(copy) and self._is_trusted(copy)), None)
        if newest is None or not _is_meant(newest.keys, only) or self._has_failed(newest.keys, destination.target):
            return
        there = destination.copies()
        if any(copy.keys.timestamp == newest.keys.timestamp for copy in there):
            return
        good = [parse_timestamp(copy.keys.timestamp) for copy in there if _is_good(copy)]
        if not is_wanted(destination.target.only, parse_timestamp(newest.keys.timestamp), good, zone):
            return
        twin = self._good_twin(newest.keys, destination.target, None)
        if twin is not None:
            self._make(destination, twin, ("it was missing there",), on_copied, report)

    def _has_failed(self, keys: CopyKeys, target: Target) -> bool:
        """Whether it was tried in vain just now."""
        return (target.storage.name, target.path, keys.timestamp) in self._failed

    # --- doing it ---------------------------------------------------------------------------------------------------

    def _make(
        self,
        destination: Destination,
        source: StoredCopy,
        reasons: tuple[str, ...],
        on_copied: OnCopied,
        report: HealReport,
        bad: StoredCopy | None = None,
    ) -> None:
        """Raises AlreadyRunningError, HoldfastError."""
        with lock_backup(self._state, self._backup.id):
            destination.tidy_up()
            there = destination.copy_of(source.keys)
            if (there is None) != (bad is None) or not _is_as_it_was(there, bad):
                return  # pruned, or made again by somebody else, since it was read
            awaited = {keys.timestamp for keys in destination.awaited()}
            is_made_again = bad is not None or source.keys.timestamp in awaited
            destination.put(source, on_copied, is_made_again=is_made_again)
            made = destination.copy_of(source.keys)
        check = self._checked(made) if made is not None else None
        if check is None or check.outcome is not CheckOutcome.PASSED:
            why = "; ".join(check.reasons) if check is not None else "it is not there"
            report.problems.append(
                f"{self._backup.id}@{source.keys.timestamp} was made again on {destination.target} from "
                f"{source.target}, and is not good there: {why}"
            )
            return
        report.healed.append(Healed(check, source.target, reasons))

    def _good_twin(self, keys: CopyKeys, target: Target, bad: StoredCopy | None) -> StoredCopy | None:
        """A copy of the same run on another target that can be trusted, and was read through and found good."""
        for copy in self._copies:
            if copy.keys.timestamp != keys.timestamp or copy.manifest is None or is_place(copy.target, target):
                continue
            is_same = bad is None or bad.manifest is None or is_same_run(copy.manifest, bad.manifest)
            if is_same and self._is_trusted(copy, bad) and self._is_sound(copy):
                return copy
        return None

    def _is_trusted(self, copy: StoredCopy, bad: StoredCopy | None = None) -> bool:
        """Who can write to one target only must not get his content onto another. Where no key is trusted at all (the
        state folder was lost) nobody can tell, and a manifest that is the same on both says as much as a signature."""
        if copy.origin is None or copy.origin.trust is Trust.TRUSTED or not self._keyring.trusted:
            return True
        is_bad_trusted = bad is not None and bad.origin is not None and bad.origin.trust is Trust.TRUSTED
        return bad is not None and bad.manifest is not None and not is_bad_trusted

    def _is_sound(self, copy: StoredCopy) -> bool:
        if copy.damage is not None:
            return False
        if _place(copy) not in self._outcomes:
            check = self._checked(copy)
            self._outcomes[_place(copy)] = check.outcome if check is not None else CheckOutcome.NOT_DONE
        return self._outcomes[_place(copy)] is CheckOutcome.PASSED

    def _checked(self, copy: StoredCopy) -> CopyCheck | None:
        """Of an encrypted copy the bytes as they lie there are compared: that needs no key, and is enough here."""
        return check_copy(replace(copy, keyring=Keyring(self._keyring.trusted)), _ignore)


def _is_good(copy: StoredCopy) -> bool:
    return copy.manifest is not None and copy.manifest.status is RunStatus.GOOD and copy.damage is None


def _is_meant(keys: CopyKeys, only: Collection[str] | None) -> bool:
    return only is None or keys.timestamp in only


def _is_as_it_was(there: StoredCopy | None, before: StoredCopy | None) -> bool:
    if there is None or before is None:
        return there is before
    return (there.manifest, there.error, there.damage) == (before.manifest, before.error, before.damage)


def _place(copy: StoredCopy) -> tuple[str, str, str]:
    return copy.target.storage.name, copy.target.path, copy.keys.timestamp


def _ignore(_member: Member, _size: int) -> None:
    pass
