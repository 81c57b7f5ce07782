"""``backup.py --check``: whether every backup has its good copies in time, for cron, Nagios and the like.

The line and its numbers are those of the `Monitoring Plugins Guidelines
<https://www.monitoring-plugins.org/doc/guidelines.html>`_.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from command_line import show, show_json
from errors import EXIT_FAILED, EXIT_GOOD

if TYPE_CHECKING:
    from catalog import Catalog
    from model import Configuration
    from operations.status.standing import Standing

_NAMED = 5


def run(arguments: argparse.Namespace, configuration: Configuration, catalog: Catalog) -> int:
    """Say which of the chosen backups, or of all that are enabled, are late; the exit code is 1 where any is."""
    from operations.selection import select_backups
    from operations.status.overview import standings
    from utils import utc_now

    chosen = configuration.enabled_backups
    if arguments.backups:
        chosen = tuple(select_backups(configuration, arguments.backups))
    found = standings(configuration, catalog, [backup.id for backup in chosen], utc_now())
    late = [standing for standing in found if standing.late]
    if arguments.json:
        show_json(_document(found, late))
    elif not arguments.quiet:
        _show(found, late)
    return EXIT_FAILED if late else EXIT_GOOD


def _show(standings: Sequence[Standing], late: Sequence[Standing]) -> None:
    from operations.status.notices import late_text

    show(f"{_summary(standings, late)} | {_numbers(standings, late)}")
    for standing in late:
        for each in standing.late:
            show(f"{standing.backup_id}: late. {late_text(each)}")


def _summary(standings: Sequence[Standing], late: Sequence[Standing]) -> str:
    from utils import format_count

    count = format_count(len(standings), "backup")
    never = sum(standing.last_good is None for standing in standings)
    none_yet = f", {never:,} of them without a good copy yet" if never else ""
    if not late:
        return f"OK - none of {count} is late{none_yet}"
    names = ", ".join(standing.backup_id for standing in late[:_NAMED]) + (" …" if len(late) > _NAMED else "")
    return f"WARNING - {len(late):,} of {count} {'is' if len(late) == 1 else 'are'} late{none_yet}: {names}"


def _numbers(standings: Sequence[Standing], late: Sequence[Standing]) -> str:
    """Performance data: how many are late, with 1 as the threshold, and how many stand otherwise than well."""
    levels = [standing.level.value for standing in standings]
    return (
        f"late={len(late)};0;;0;{len(standings)} backups={len(standings)};;;0 "
        f"failed={levels.count('failed')};;;0 warning={levels.count('warning')};;;0"
    )


def _document(standings: Sequence[Standing], late: Sequence[Standing]) -> dict[str, object]:
    from operations.status.documents import late_document

    return {
        "late": [{"backup": each.backup_id, **late_document(one)} for each in late for one in each.late],
        "backups": len(standings),
    }
