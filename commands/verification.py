"""``restore.py verify``: copies read back, every byte of them checked, by hand or as cron calls it."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from command_line import complain, show, show_json, styled
from commands.choice import add_at_argument, copy_document, listed, meant_by
from commands.keys import add_key_arguments
from commands.places import Lookup
from errors import EXIT_FAILED, EXIT_GOOD, HoldfastError, UsageError
from interruption import end_cleanly_on_signals

if TYPE_CHECKING:
    from model import Configuration
    from operations.activities import Publication
    from operations.copies.stored_copies import Listing, StoredCopy
    from operations.observer import Observer
    from operations.verifying.check_history import CheckHistory
    from operations.verifying.checking import CopyCheck
    from operations.verifying.verification import Batch

HELP = "read copies back and check every byte, or restore one for real"
EXAMPLES = (
    ("restore.py verify shop/uploads", "the newest good copy, on each of its targets"),
    ("restore.py verify 'shop/*' --sample 10%", "a part of the copies: those whose last check is longest ago"),
    ("restore.py verify --all", "every copy of every backup"),
    ("restore.py verify --drill shop/orders", "restore the newest good copy for real, compare, and remove it again"),
)

_PERCENT = re.compile(r"([0-9]{1,3})\s*%?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "copies",
        nargs="*",
        metavar="ID[@TIME]",
        help="project/name, a pattern such as 'shop/*', or project/name@TIME for an older copy",
    )
    add_at_argument(parser)
    parser.add_argument("--all", action="store_true", help="every copy: of all backups, or of those that are named")
    parser.add_argument("--sample", metavar="PERCENT", help="so many of the copies on each target, such as 10%%")
    parser.add_argument("--drill", action="store_true", help="restore it for real, compare it, and remove it again")
    parser.add_argument(
        "--scheduled", action="store_true", help="as cron calls it: as VERIFY says, silent where all is well"
    )
    add_key_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the copies that are meant; the exit code."""
    percent = _percent(arguments)
    if arguments.scheduled:
        from commands import scheduled_checks

        return scheduled_checks.run(arguments)
    if arguments.drill:
        from commands import drilling

        return drilling.run(arguments)
    from operations.verifying.check_history import CheckHistory
    from operations.verifying.verification import read_back

    lookup = Lookup(arguments)
    result = Verified()
    end_cleanly_on_signals()
    with CheckHistory(lookup.configuration) as history:
        for backup_id, listing, batches in _meant(arguments, lookup, history, percent, result.errors):
            result.errors += listing.errors
            with publication(lookup.configuration, backup_id, batches) as published:
                for check in read_back(batches, partial(read_copy, arguments=arguments, observer=published)):
                    result.checks.append(check)
                    tell(check, arguments)
                    if not lookup.is_of_place:
                        history.record_verification(check)
        problems = history.problems
    if arguments.json:
        show_json(result.document())
    for message in (*result.errors, *problems):
        complain(message)
    return EXIT_GOOD if result.is_good else EXIT_FAILED


def _percent(arguments: argparse.Namespace) -> int | None:
    """What ``--sample`` says. Raises UsageError, also where options do not go together."""
    given = [name for name in ("all", "sample", "at", "drill") if getattr(arguments, name)]
    if arguments.scheduled and (len(arguments.copies) != 1 or arguments.place or set(given) - {"drill"}):
        raise UsageError("--scheduled goes with the id of one backup, and with --drill.")
    if not arguments.copies and not arguments.all:
        raise UsageError("Give the ids of backups, or --all.")
    if len(given) > 1 and set(given) != {"at", "drill"}:
        raise UsageError(f"--{given[0]} does not go with --{given[1]}.")
    if {"all", "sample"} & set(given) and any("@" in text for text in arguments.copies):
        raise UsageError(f"--{given[0]} chooses the copies itself. Give ids without @TIME.")
    if arguments.sample is None:
        return None
    found = _PERCENT.fullmatch(arguments.sample.strip())
    if found is None or not 1 <= int(found[1]) <= 100:
        raise UsageError("--sample must be a part of the copies from 1% to 100%.")
    return int(found[1])


def _meant(
    arguments: argparse.Namespace, lookup: Lookup, history: CheckHistory, percent: int | None, errors: list[str]
) -> Iterator[tuple[str, Listing, Sequence[Batch]]]:
    """The id of each backup, what was listed of it, and which of that is read.

    Every target that holds a copy is read: one that rots is not made good by another. Of several backups, what keeps
    one of them from being read is added to ``errors``.
    """
    from operations.copies.stored_copies import copies_to_verify
    from operations.verifying.verification import Batch, sampled

    if arguments.all or percent is not None:
        backups = [backup for text in arguments.copies for backup in lookup.matching(text)]
        if not arguments.copies:
            backups = list(lookup.all())
        for backup, listing in zip(backups, lookup.listings(backups), strict=True):
            if percent is None:
                yield backup.id, listing, [Batch(listing.copies, len(listing.copies))]
            else:
                yield backup.id, listing, sampled(listing, percent, history.last_checked(backup.id))
        return
    meant = [each for text in arguments.copies for each in meant_by(text, lookup, arguments.at, arguments.storage)]
    for each in meant:
        listing = lookup.listing(each.backup)
        try:
            copies = copies_to_verify(listing, each.chosen_of(listing))
        except HoldfastError as error:
            if len(meant) == 1:
                raise
            errors.append(str(error))
            continue
        yield each.backup.id, listing, [Batch(copies, len(copies))]


# --- reading and telling ----------------------------------------------------------------------------------------------


@dataclass
class Verified:
    """What was read, and what could not be listed."""

    checks: list[CopyCheck] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return self.is_good_but_for(())

    def is_good_but_for(self, healed: Iterable[StoredCopy]) -> bool:
        """Whether all is well, now that these are."""
        places = {(copy.target.storage.name, copy.keys.stem) for copy in healed}
        bad = (check.copy for check in self.checks if check.reasons)
        left = [copy for copy in bad if (copy.target.storage.name, copy.keys.stem) not in places]
        return not self.errors and not left

    def document(self) -> dict[str, object]:
        """For ``--json``."""
        return {"copies": [_document(check) for check in self.checks], "errors": self.errors}


def publication(configuration: Configuration, backup_id: str, batches: Sequence[Batch], log: str = "") -> Publication:
    """What tells other processes that these copies of a backup are read."""
    from model import ActivityKind
    from operations.activities import Publication

    manifests = [copy.manifest for batch in batches for copy in batch.copies[: batch.count]]
    expected = sum(manifest.content.size for manifest in manifests if manifest is not None)
    return Publication(configuration.state_directory, ActivityKind.VERIFY, backup_id, expected, log)


def read_copy(copy: StoredCopy, arguments: argparse.Namespace, observer: Observer) -> CopyCheck | None:
    """Read one copy, with a bar for a person; None, and said, where it was removed meanwhile."""
    from operations.observer import Observers
    from operations.verifying.checking import check_copy
    from progress import Progress

    expected = copy.manifest.content.size if copy.manifest else None
    with Progress(copy.backup_id, expected, quiet=arguments.quiet or arguments.json) as progress:
        check = check_copy(copy, Observers(progress, observer).advance)
    if check is None and not (arguments.quiet or arguments.json or arguments.scheduled):
        show(f"{copy} was removed while it was read, as KEEP asks.")
    return check


def tell(check: CopyCheck, arguments: argparse.Namespace, *, is_healed_next: bool = False) -> None:
    """Say what came of it: what is wrong always, what is well only to a person.

    ``is_healed_next`` says that nobody needs to be told how a bad copy is made again.
    """
    from utils import format_count, format_size

    report = check.report
    if arguments.json:
        return
    if report.problems:
        complain(f"{check.copy} is {styled('damaged', 'red', sys.stderr)}:\n  {listed(report.problems)}")
        if not is_healed_next:
            complain(
                f"restore.py heal {check.copy.backup_id}@{check.copy.keys.timestamp} makes it again, where another "
                "target has a good copy of the same run."
            )
    elif check.obstacle is not None:
        complain(f"{check.copy} could not be read, which says nothing of the copy:\n  {check.obstacle}")
    elif not (arguments.quiet or arguments.scheduled):
        show(
            f"{check.copy}: {styled('sound', 'green')}. {format_count(report.members, 'member')}, "
            f"{format_size(report.size)} checked"
        )
    if not (arguments.quiet or arguments.scheduled):
        for remark in report.remarks:
            complain(remark)


def _document(check: CopyCheck) -> dict[str, object]:
    report = check.report
    return {
        "copy": copy_document(check.copy),
        "outcome": check.outcome.value,
        "members": report.members,
        "size": report.size,
        "problems": report.problems,
        "obstacle": check.obstacle,
        "remarks": report.remarks,
    }
