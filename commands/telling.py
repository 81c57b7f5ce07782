"""``backup.py --watch`` and ``--summary``: what is told of all backups, by cron and, of a summary, to a person."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from command_line import complain, new_teller, show
from errors import EXIT_FAILED, EXIT_GOOD

if TYPE_CHECKING:
    from catalog import Catalog
    from model import Configuration


def watch(arguments: argparse.Namespace, configuration: Configuration, catalog: Catalog) -> int:
    """Tell what is new and send what waits. Silent, but for messages that nobody took for days."""
    from operations.telling.watch import SECONDS, watch
    from utils import utc_now

    teller = new_teller(arguments, configuration, catalog)
    teller.seconds, teller.gives_up = SECONDS, True
    given_up = watch(teller, catalog, utc_now())
    for title in given_up:
        complain(f"This message could not be sent for three days, and is given up: {title}")
    return EXIT_FAILED if given_up else EXIT_GOOD


def summary(arguments: argparse.Namespace, configuration: Configuration, catalog: Catalog) -> int:
    """Send the summaries that are due now, as cron does it; otherwise show the one of all backups."""
    from operations.telling.summaries import send_due, summary_of
    from utils import utc_now

    teller = new_teller(arguments, configuration, catalog)
    if arguments.scheduled:
        send_due(teller, catalog, utc_now())
    else:
        message = summary_of(teller, catalog, [backup.id for backup in configuration.enabled_backups], utc_now())
        show(f"{message.title}\n\n{message.body}".rstrip())
    return EXIT_GOOD
