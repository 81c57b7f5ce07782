"""``main.py token``: what programs sign in to the dashboard's API with."""

from __future__ import annotations

import argparse
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import command_line
from command_line import complain, show, show_json, styled, table
from commands.users import ROLE_HELP, ROLES, accounts, local
from errors import EXIT_GOOD, UsageError
from utils import utc_now

if TYPE_CHECKING:
    from accounts import Token

GROUP = "token"
HELP = "what programs sign in to the dashboard's API with: add, list, remove"
EXAMPLES = (
    ("main.py token add monitoring --expires 90d", "a token that may look, for 90 days; it is shown once"),
    ("main.py token add deploy --role operator", "one that may act, until it is removed"),
    ("main.py token list", "which there are, and when each was last used"),
    ("main.py token remove monitoring", "it is refused from now on"),
)


def add_commands(parser: argparse.ArgumentParser) -> None:
    """``add``, ``list`` and ``remove`` below ``main.py token``."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, meaning: str) -> argparse.ArgumentParser:
        return command_line.add_nested_command(commands, name, meaning)

    added = add("add", "a new token, which is shown once and never again")
    added.add_argument("name", metavar="NAME", help="what it is for; the audit log has it")
    added.add_argument("--role", choices=ROLES, default="viewer", help=ROLE_HELP)
    added.add_argument(
        "--expires", metavar="TIME", help="how long it holds, such as 12h, 90d or 1y (default: for ever)"
    )
    added.set_defaults(command=add_token)
    add("list", "all tokens").set_defaults(command=list_tokens)
    removed = add("remove", "it is refused from now on")
    removed.add_argument("name", metavar="NAME", help="its name in the list")
    removed.set_defaults(command=remove_token)


def add_token(arguments: argparse.Namespace) -> int:
    """A new token; the exit code."""
    from accounts import Role

    now = utc_now()
    expires = _end(arguments.expires, now) if arguments.expires else None
    with closing(accounts(arguments)) as known:
        text, token = known.add_token(arguments.name, Role(arguments.role), expires, now)
    if arguments.json:
        show_json({**_document(token), "token": text.reveal()})
    else:
        show(text.reveal())
        if not arguments.quiet:
            until = f"until {local(token.expires)}" if token.expires else "until it is removed"
            complain(f"Keep it now: it is not shown again. It may what a {token.role} may, {until}.")
    return EXIT_GOOD


def list_tokens(arguments: argparse.Namespace) -> int:
    """All tokens; the exit code."""
    with closing(accounts(arguments)) as known:
        tokens = known.tokens()
    if arguments.json:
        show_json({"tokens": [_document(token) for token in tokens]})
    elif tokens:
        rows = [(token.name, token.role, _expiry(token, utc_now()), local(token.last_used)) for token in tokens]
        show(table(("NAME", "ROLE", "EXPIRES", "LAST USED"), rows))
    elif not arguments.quiet:
        show("There is no token yet. main.py token add NAME makes one.")
    return EXIT_GOOD


def remove_token(arguments: argparse.Namespace) -> int:
    """The token is gone; the exit code."""
    with closing(accounts(arguments)) as known:
        known.remove_token(arguments.name)
    if arguments.json:
        show_json({"name": arguments.name})
    elif not arguments.quiet:
        show(f"The token {arguments.name} is removed.")
    return EXIT_GOOD


def _end(text: str, now: datetime) -> datetime:
    """Raises UsageError."""
    from config.scalars import calendar_span
    from model import CalendarSpan

    span = calendar_span(text)
    if span == CalendarSpan():
        raise UsageError("--expires must be a number and a unit, such as 12h, 90d, 8w, 6m (months) or 1y.")
    days = span.days + 30 * span.months + 365 * span.years
    try:
        return now + timedelta(days=days, hours=span.hours)
    except OverflowError:
        raise UsageError(
            "--expires lies too far in the future. Leave it out for a token that does not expire."
        ) from None


def _expiry(token: Token, now: datetime) -> str:
    if token.expires is None:
        return "never"
    return local(token.expires) if now < token.expires else styled("expired", "red")


def _document(token: Token) -> dict[str, object]:
    return {
        "name": token.name,
        "role": token.role,
        "created": token.created.isoformat(),
        "expires": token.expires.isoformat() if token.expires else None,
        "last_used": token.last_used.isoformat() if token.last_used else None,
    }
