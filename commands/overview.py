"""``backup.py`` without arguments: what needs somebody, and how every backup stands."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from command_line import is_terminal, show, show_json, styled
from commands.overview_table import STYLES, project_table, standing_table
from errors import EXIT_GOOD

if TYPE_CHECKING:
    from catalog import Catalog
    from model import Configuration
    from operations.status.standing import Notice, Standing

# Of one backup, and of all of them: a disk that dies damages all copies on it, a broken crontab makes all backups late.
_NOTICES_OF_BACKUP = 3
_NOTICES = 15

# Of more backups than these, each project has one line, and only those that need somebody have one of their own.
_MOST_ROWS = 50

_WIDEST_TEXT = 100


def run(arguments: argparse.Namespace, configuration: Configuration, catalog: Catalog) -> int:
    """Show it; the exit code, which is 0 however the backups stand: ``--check`` asks that."""
    from operations.status.overview import overview
    from utils import utc_now

    now = utc_now()
    standings = overview(configuration, catalog, now)
    if arguments.json:
        from operations.status.documents import standing_document

        show_json({"backups": [standing_document(standing) for standing in standings]})
    elif not standings:
        show(f"There is no backup in {configuration.path} yet. Write one there; docs/config.md shows how.")
    else:
        _show(standings, now, is_verbose=arguments.verbose)
    return EXIT_GOOD


def _show(standings: Sequence[Standing], now: datetime, *, is_verbose: bool) -> None:
    width = _width()
    if _show_notices(standings, width, is_verbose=is_verbose):
        show("")
    if len(standings) > _MOST_ROWS and not is_verbose:
        show(project_table(standings))
        rows = [standing for standing in standings if standing.notices]
        if rows:
            show("")
    else:
        rows = list(standings)
    if rows:
        show(standing_table(rows, now, width, with_targets=is_verbose))
    for line in _remarks(standings, is_verbose=is_verbose):
        show("\n" + _wrapped(line, width))


def _width() -> int | None:
    """How many characters a line of the terminal has; None where nobody looks and lines may be as long as they are."""
    return shutil.get_terminal_size().columns if is_terminal(sys.stdout) or os.environ.get("COLUMNS") else None


# --- what needs somebody ----------------------------------------------------------------------------------------


def _show_notices(standings: Sequence[Standing], width: int | None, *, is_verbose: bool) -> bool:
    """The worst first, with what to do; whether there was any."""
    from operations.status.levels import WORST_FIRST

    noticed = [standing for standing in standings if standing.notices]
    noticed.sort(key=lambda standing: WORST_FIRST.index(standing.notices[0].level))
    most_of_backup, most = (None, None) if is_verbose else (_NOTICES_OF_BACKUP, _NOTICES)
    shown = [(standing, notice) for standing in noticed for notice in standing.notices[:most_of_backup]]
    hidden = sum(len(standing.notices) for standing in noticed) - len(shown[:most])
    if noticed:
        show(styled(_headline(standings, noticed), "bold"))
    for standing, notice in shown[:most]:
        show("\n" + _notice_text(standing, notice, width))
    if hidden:
        show(f"\nMore that is not told here: {hidden:,}. backup.py -v tells all of it.")
    return bool(noticed)


def _headline(standings: Sequence[Standing], noticed: Sequence[Standing]) -> str:
    from utils import format_count

    verb = "needs" if len(noticed) == 1 else "need"
    if len(noticed) == len(standings):
        return f"{format_count(len(standings), 'backup')}, and {'it' if len(standings) == 1 else 'each'} needs you:"
    return f"{len(noticed):,} of {format_count(len(standings), 'backup')} {verb} you:"


def _notice_text(standing: Standing, notice: Notice, width: int | None) -> str:
    """The id and the level, which are coloured after the text was wrapped, and then what to do."""
    from utils import first_statement

    sentence = first_statement(notice.text)
    word = notice.level.value
    lines = _wrapped(f"{standing.backup_id}: {word}. {sentence}", width, "  ").replace(
        f"{word}.", f"{styled(word, STYLES[word])}.", 1
    )
    return f"{lines}\n{_wrapped(f'> {notice.advice}', width, '  ', is_indented=True)}" if notice.advice else lines


def _wrapped(text: str, width: int | None, indent: str = "", *, is_indented: bool = False) -> str:
    if width is None:
        return (indent if is_indented else "") + text
    return textwrap.fill(
        text,
        min(width, _WIDEST_TEXT),
        initial_indent=indent if is_indented else "",
        subsequent_indent=indent + "  " * is_indented,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _remarks(standings: Sequence[Standing], *, is_verbose: bool) -> Iterator[str]:
    from utils import format_count

    if not any(standing.last or standing.checks.last for standing in standings):
        yield "No run is known yet. Where there are copies from before, restore.py rebuild takes their runs in."
    if any(standing.backup is None for standing in standings):
        yield "An orphaned backup is no longer in the configuration: it does not run, and its copies stay."
    enabled = [standing for standing in standings if standing.backup is not None and standing.backup.enabled]
    unscheduled = [standing for standing in enabled if not standing.is_scheduled]
    if unscheduled:
        verb = "is" if len(unscheduled) == 1 else "are"
        count = format_count(len(unscheduled), "backup")
        yield f"{count} {verb} not scheduled, so nothing runs by itself: `main.py` compiles the configuration."
    if len(standings) > _MOST_ROWS and not is_verbose:
        yield "backup.py -v has a line for each backup, and one for each of its targets."
