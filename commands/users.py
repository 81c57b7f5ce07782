"""``main.py user``: who may sign in to the dashboard."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

import command_line
from command_line import complain, is_terminal, show, show_json, table
from errors import EXIT_GOOD, UsageError
from utils import utc_now

if TYPE_CHECKING:
    from accounts import Accounts, Role, User
    from model import Secret

GROUP = "user"
HELP = "who may sign in to the dashboard: add, list, password, role, remove"
EXAMPLES = (
    ("main.py user add anna --role operator", "somebody who may look, run and restore; asks for a password"),
    ("main.py user add tom", "somebody who may look only"),
    ("main.py user password anna", "another password"),
    ("main.py user role tom operator", "from now on tom may act, too"),
    ("main.py user remove tom", "tom is signed out, and stays out"),
    ("main.py user list", "who there is"),
)
ROLES = ("viewer", "operator")
ROLE_HELP = "viewer: look at everything but the content of copies (default); operator: also run, restore and download"


def add_commands(parser: argparse.ArgumentParser) -> None:
    """``add``, ``list``, ``password``, ``role`` and ``remove`` below ``main.py user``."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, meaning: str, *, with_name: bool = True) -> argparse.ArgumentParser:
        child = command_line.add_nested_command(commands, name, meaning)
        if with_name:
            child.add_argument("name", metavar="NAME", help="the name that is typed in to sign in")
        return child

    added = add("add", "a new user; the password is asked for")
    added.add_argument("--role", choices=ROLES, default="viewer", help=ROLE_HELP)
    _add_password_option(added)
    added.set_defaults(command=add_user)
    add("list", "all users", with_name=False).set_defaults(command=list_users)
    changed = add("password", "another password; the user is signed out everywhere")
    _add_password_option(changed)
    changed.set_defaults(command=set_password)
    role = add("role", "another role; the user is signed out everywhere")
    role.add_argument("role", choices=ROLES, metavar="ROLE", help=ROLE_HELP)
    role.set_defaults(command=set_role)
    add("remove", "the user is signed out, and may not sign in any more").set_defaults(command=remove_user)


def _add_password_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input, without its last newline"
    )


# --- the commands -----------------------------------------------------------------------------------------------


def add_user(arguments: argparse.Namespace) -> int:
    """A new user; the exit code."""
    from accounts import Role

    with closing(accounts(arguments)) as known:
        known.check_new_name(arguments.name)
        user = known.add_user(arguments.name, Role(arguments.role), _password(arguments), utc_now())
    _report(arguments, user.name, user.role, f"{user.name} may sign in now, as {user.role}.")
    return EXIT_GOOD


def list_users(arguments: argparse.Namespace) -> int:
    """All users; the exit code."""
    with closing(accounts(arguments)) as known:
        users = known.users()
    if arguments.json:
        show_json({"users": [_document(user) for user in users]})
    elif users:
        rows = [(user.name, user.role, local(user.created), local(user.last_sign_in)) for user in users]
        show(table(("NAME", "ROLE", "SINCE", "LAST SIGN-IN"), rows))
    elif not arguments.quiet:
        show("There is no user yet. main.py user add NAME --role operator adds one.")
    return EXIT_GOOD


def set_password(arguments: argparse.Namespace) -> int:
    """Another password; the exit code."""
    with closing(accounts(arguments)) as known:
        user = known.user(arguments.name)
        known.set_password(user.name, _password(arguments))
    _report(arguments, user.name, user.role, f"{user.name} has another password, and is signed out everywhere.")
    return EXIT_GOOD


def set_role(arguments: argparse.Namespace) -> int:
    """Another role; the exit code."""
    from accounts import Role

    role = Role(arguments.role)
    with closing(accounts(arguments)) as known:
        known.set_role(arguments.name, role)
    _report(arguments, arguments.name, role, f"{arguments.name} is {role} now, and is signed out everywhere.")
    return EXIT_GOOD


def remove_user(arguments: argparse.Namespace) -> int:
    """The user is gone; the exit code."""
    with closing(accounts(arguments)) as known:
        known.remove_user(arguments.name)
        is_last = not known.users()
    _report(arguments, arguments.name, None, f"{arguments.name} is removed, and signed out everywhere.")
    if is_last and not arguments.quiet:
        complain("warning: There is no user left, so the dashboard does not start any more.")
    return EXIT_GOOD


# --- what they share --------------------------------------------------------------------------------------------


def accounts(arguments: argparse.Namespace) -> Accounts:
    """Those of the configuration, as much of it as can be read: a user can be removed whatever is wrong there.

    Raises AccountsError.
    """
    from accounts import open_accounts

    return open_accounts(command_line.load_readable(arguments).state_directory)


def local(moment: datetime | None) -> str:
    """``2026-11-20 03:00`` in the zone of this machine."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment else "never"


def _password(arguments: argparse.Namespace) -> Secret:
    """From standard input, or asked for twice on the terminal. Raises UsageError."""
    from accounts.passwords import check_new_password
    from model import Secret

    text = _read_password(arguments)
    check_new_password(text, arguments.name)
    return Secret(text)


def _read_password(arguments: argparse.Namespace) -> str:
    if arguments.password_stdin:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not is_terminal(sys.stdin):
        raise UsageError("There is no terminal to ask for the password. Give it on standard input: --password-stdin.")
    import getpass

    from accounts.passwords import SHORTEST_PASSWORD

    password = getpass.getpass(f"Password (at least {SHORTEST_PASSWORD} characters): ")
    if getpass.getpass("Once more: ") != password:
        raise UsageError("The two passwords are not the same. Nothing was changed.")
    return password


def _report(arguments: argparse.Namespace, name: str, role: Role | None, sentence: str) -> None:
    if arguments.json:
        show_json({"user": name, "role": role})
    elif not arguments.quiet:
        show(sentence)


def _document(user: User) -> dict[str, object]:
    return {
        "name": user.name,
        "role": user.role,
        "created": user.created.isoformat(),
        "last_sign_in": user.last_sign_in.isoformat() if user.last_sign_in else None,
    }
