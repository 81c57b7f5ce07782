"""Which copies of a backup are read back, and in what order: a part of them each time, and all in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from model import CheckOutcome, RunStatus
from operations.copies.stored_copies import Listing, StoredCopy
from operations.verifying.checking import CopyCheck
from operations.verifying.sampling import Readable, in_turn, sample_size
from utils import parse_timestamp

ReadCopy = Callable[[StoredCopy], CopyCheck | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Copies in the order in which they are read, until ``count`` of them were."""

    copies: Sequence[StoredCopy]
    count: int


def sampled(listing: Listing, percent: int, last_checked: Mapping[tuple[str, str], datetime]) -> list[Batch]:
    """A part of the copies on each target. ``last_checked`` is by target and copy, as the catalog has it."""
    by_target: dict[str, list[StoredCopy]] = {}
    for copy in listing.copies:
        by_target.setdefault(str(copy.target), []).append(copy)
    return [_sampled(copies, percent, last_checked) for copies in by_target.values()]


def read_back(batches: Iterable[Batch], read: ReadCopy) -> Iterator[CopyCheck]:
    """Read the copies of each batch.

    One that could not be read, such as one in an archive class of S3, does not count: else it had its turn each time.
    Where nobody answers, nothing more on that storage is tried.
    """
    silent: set[str] = set()
    for batch in batches:
        count = 0
        for copy in batch.copies:
            if count == batch.count or copy.target.storage.name in silent:
                break
            check = read(copy)
            if check is None:
                continue
            if check.is_silent:
                silent.add(copy.target.storage.name)
            count += check.outcome is not CheckOutcome.NOT_DONE
            yield check


def _sampled(copies: list[StoredCopy], percent: int, last_checked: Mapping[tuple[str, str], datetime]) -> Batch:
    target = str(copies[0].target)
    by_name = {copy.keys.timestamp: copy for copy in copies}
    readable = [
        Readable(name, parse_timestamp(name), copy.manifest is not None and copy.manifest.status is RunStatus.GOOD)
        for name, copy in by_name.items()
    ]
    of_target = {name: moment for (where, name), moment in last_checked.items() if where == target}
    ordered = [by_name[each.name] for each in in_turn(readable, of_target)]
    return Batch(ordered, sample_size(len(ordered), percent))
