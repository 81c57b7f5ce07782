"""The runs that the manifests on targets tell of, for a catalog that was lost. Pure.

A run is known by the id in its manifests: where these lie on several targets, it is one run with several copies. A run
that failed has left no manifest, and is not known any more; neither is what a target lacked of a run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from archives.manifest import Manifest
from archives.signature import Trust
from model import Archive, Copy, NoteKind, Run, RunStatus
from operations.copies.stored_copies import Listing, StoredCopy
from utils import format_count


@dataclass(frozen=True, slots=True)
class FoundHistory:
    """What was read of one backup. ``remarks`` say of which copies it is not known who made them."""

    backup_id: str
    runs: tuple[Run, ...]
    problems: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def copies(self) -> int:
        """How many copies there are on all targets."""
        return sum(len(run.copies) for run in self.runs)

    @property
    def size(self) -> int:
        """That of all these copies, in bytes; what is not whole counts nothing."""
        return sum(copy.size for run in self.runs for copy in run.copies)

    @property
    def newest(self) -> datetime | None:
        """When its newest run began."""
        return max((run.started for run in self.runs), default=None)


@dataclass(frozen=True, slots=True)
class _ReadCopy:
    copy: StoredCopy
    manifest: Manifest


def history_of(backup_id: str, listing: Listing) -> FoundHistory:
    """The runs behind these copies, newest first. What cannot be read, and what contradicts itself, is a problem."""
    problems = list(listing.errors)
    by_run: dict[str, list[_ReadCopy]] = defaultdict(list)
    for copy in listing.copies:
        if copy.manifest is None:
            problems.append(f"{_name(copy)}: {copy.error}")
        else:
            by_run[copy.manifest.run_id].append(_ReadCopy(copy, copy.manifest))
    runs = []
    for found in by_run.values():
        agreeing, *others = _agreeing(found)
        runs.append(_run(agreeing))
        problems += [
            f"{_name(each.copy)} says that it is of the same run as {_name(agreeing[0].copy)}, and is of another "
            "archive. It is left out."
            for other in others
            for each in other
        ]
    return FoundHistory(backup_id, tuple(runs), tuple(problems), tuple(_remarks(listing.copies)))


def without_shared_runs(histories: Iterable[FoundHistory]) -> list[FoundHistory]:
    """The same, where each run belongs to the first backup that has it: in another one it is a problem."""
    owners: dict[str, str] = {}
    kept = []
    for history in histories:
        own = [run for run in history.runs if owners.setdefault(run.id, history.backup_id) == history.backup_id]
        foreign = [run for run in history.runs if owners[run.id] != history.backup_id]
        problems = [
            f"{copy.key} on {copy.storage} says that it is of a run of {owners[run.id]}. It is left out."
            for run in foreign
            for copy in run.copies
        ]
        kept.append(replace(history, runs=tuple(own), problems=(*history.problems, *problems)))
    return kept


def _agreeing(found: Iterable[_ReadCopy]) -> list[list[_ReadCopy]]:
    """The copies of one run id, those of one archive together: first those that a trusted key, or most, speak for."""
    groups: dict[object, list[_ReadCopy]] = defaultdict(list)
    for each in found:
        manifest = each.manifest
        groups[manifest.archive, manifest.index, manifest.started, manifest.status].append(each)
    return sorted(groups.values(), key=lambda group: (any(map(_is_trusted, group)), len(group)), reverse=True)


def _is_trusted(found: _ReadCopy) -> bool:
    return found.copy.origin is not None and found.copy.origin.trust is Trust.TRUSTED


def _remarks(copies: Iterable[StoredCopy]) -> Iterator[str]:
    """Where no key is trusted at all (the state folder was lost), nobody can tell, and nothing is said."""
    by_remark: dict[str, list[StoredCopy]] = defaultdict(list)
    for copy in copies:
        if copy.keyring.trusted and copy.origin is not None and copy.origin.remark is not None:
            by_remark[copy.origin.remark].append(copy)
    for remark, same in by_remark.items():
        others = f" (and {len(same) - 1:,} more)" if len(same) > 1 else ""
        yield f"{_name(same[0])}{others}: {remark}."


def _run(found: list[_ReadCopy]) -> Run:
    manifest, archive = found[0].manifest, found[0].manifest.archive
    is_whole = any(each.copy.damage is None for each in found)
    return Run(
        id=manifest.run_id,
        backup_id=manifest.backup_id,
        started=manifest.started,
        ended=manifest.ended,
        status=manifest.status if is_whole else RunStatus.FAILED,
        message="\n".join(_messages(found)),
        archive=Archive(
            archive.name,
            manifest.started,
            archive.size,
            archive.sha256,
            manifest.content.files,
            manifest.content.size,
        ),
        copies=tuple(_copy(each) for each in found),
    )


def _messages(found: list[_ReadCopy]) -> Iterator[str]:
    for each in found:
        if each.copy.damage is not None:
            yield f"{each.copy.target.storage.name}: {each.copy.damage}"
    count = found[0].manifest.notes.counts.get(NoteKind.UNREADABLE.value, 0)
    if count:
        yield f"{format_count(count, 'path')} could not be read, so the archive is without them: its manifest has more."


def _copy(found: _ReadCopy) -> Copy:
    copy, manifest = found.copy, found.manifest
    name, key = copy.target.storage.name, copy.keys.archive
    if copy.damage is not None:
        return Copy(name, key, RunStatus.FAILED, error=copy.damage)
    return Copy(name, key, manifest.status, manifest.archive.size)


def _name(copy: StoredCopy) -> str:
    return f"{copy.keys.manifest} on {copy.target.storage.name}"
