"""Users, sessions and tokens: who is known, and what is believed of whom."""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from accounts.database import AccountsDatabase
from accounts.passwords import check_new_password, hash_password, is_outdated, is_password
from accounts.records import Role, Session, Token, User
from errors import UsageError
from model import Secret

SESSION_IDLE = timedelta(hours=8)
"""A session that nobody used for so long has ended."""

SESSION_LIFE = timedelta(days=7)
"""A session ends so long after it began, used or not."""

# Of one user; the oldest one goes when another begins.
_MOST_SESSIONS = 20

# "Last used" is right to so much; a write for each request would be a flush of the disk for each.
_USE_IS_RECORDED_EVERY = timedelta(minutes=1)

TOKEN_PREFIX = "hf_"  # noqa: S105 - it is how a token begins, so that programs which look for leaked secrets find it
_SECRET_BYTES = 32

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._@-]{0,62}[A-Za-z0-9])?")


class Accounts:
    """Every method is one transaction, may be called from several threads and processes at once, and raises
    AccountsError."""

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    # --- users ---------------------------------------------------------------------------------------------------

    def check_new_name(self, name: str) -> None:
        """Raises UsageError where no user can be added by this name: before somebody types a password in vain."""
        _check_name(name)
        with self._database.reading() as connection:
            _refuse_namesake(connection, name)

    def user(self, name: str) -> User:
        """The user of this name. Raises UsageError where there is none."""
        for user in self.users():
            if user.name == name:
                return user
        raise _unknown_user(name, [user.name for user in self.users()])

    def add_user(self, name: str, role: Role, password: Secret, now: datetime) -> User:
        """A new user. Raises UsageError where there is one of this name, or name or password will not do."""
        _check_name(name)
        check_new_password(password.reveal(), name)
        hashed = hash_password(password)
        with self._database.writing() as connection:
            _refuse_namesake(connection, name)
            connection.execute(
                "INSERT INTO users (name, role, password_hash, created) VALUES (?, ?, ?, ?)",
                (name, role.value, hashed, now.timestamp()),
            )
        return User(name, role, now)

    def users(self) -> list[User]:
        """All of them, by name."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT name, role, created, last_sign_in FROM users ORDER BY name").fetchall()
        return [User(name, Role(role), _moment(created), _perhaps(last)) for name, role, created, last in rows]

    def set_password(self, name: str, password: Secret) -> None:
        """Another password. All sessions of the user end. Raises UsageError where there is no such user."""
        check_new_password(password.reveal(), name)
        self._change_user(name, "UPDATE users SET password_hash = ? WHERE name = ?", hash_password(password))

    def set_role(self, name: str, role: Role) -> None:
        """Another role. All sessions of the user end. Raises UsageError where there is no such user."""
        self._change_user(name, "UPDATE users SET role = ? WHERE name = ?", role.value)

    def remove_user(self, name: str) -> None:
        """The user is gone, and all sessions of it. Raises UsageError where there is no such user."""
        self._change_user(name, "DELETE FROM users WHERE name = ?")

    def _change_user(self, name: str, statement: str, *values: str) -> None:
        with self._database.writing() as connection:
            if not connection.execute(statement, (*values, name)).rowcount:
                known = connection.execute("SELECT name FROM users ORDER BY name").fetchall()
                raise _unknown_user(name, [row[0] for row in known])
            connection.execute("DELETE FROM sessions WHERE user = ?", (name,))

    # --- signing in and out --------------------------------------------------------------------------------------

    def check_password(self, name: str, password: str) -> bool:
        """Whether it is the password of this user. Takes as long where there is no such user.

        It is no Secret, because those are remembered for ever, and anybody may try any number of texts here. A hash
        that was made with earlier parameters is replaced.
        """
        with self._database.reading() as connection:
            row = connection.execute("SELECT password_hash FROM users WHERE name = ?", (name,)).fetchone()
        password_hash: str | None = row[0] if row else None
        if not is_password(password, password_hash):
            return False
        if password_hash is not None and is_outdated(password_hash):
            renewed = hash_password(Secret(password))
            with self._database.writing() as connection:
                connection.execute(
                    "UPDATE users SET password_hash = ? WHERE name = ? AND password_hash = ?",
                    (renewed, name, password_hash),
                )
        return True

    def begin_session(self, name: str, now: datetime) -> tuple[str, Session] | None:
        """A new session of this user, and the secret that the browser keeps; None where the user is gone by now."""
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        digest, csrf_token, moment = _digest(secret), secrets.token_urlsafe(_SECRET_BYTES), now.timestamp()
        with self._database.writing() as connection:
            row = connection.execute("SELECT role FROM users WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            _remove_ended_sessions(connection, now)
            connection.execute("UPDATE users SET last_sign_in = ? WHERE name = ?", (moment, name))
            connection.execute(
                "INSERT INTO sessions (digest, user, csrf_token, created, last_used) VALUES (?, ?, ?, ?, ?)",
                (digest, name, csrf_token, moment, moment),
            )
            connection.execute(
                "DELETE FROM sessions WHERE user = ? AND digest NOT IN "
                "(SELECT digest FROM sessions WHERE user = ? ORDER BY last_used DESC LIMIT ?)",
                (name, name, _MOST_SESSIONS),
            )
        return secret, Session(digest, name, Role(row[0]), csrf_token, now, now)

    def session(self, secret: str, now: datetime) -> Session | None:
        """The session of this secret, unless it has ended."""
        digest = _digest(secret)
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT user, role, csrf_token, sessions.created, last_used FROM sessions "
                "JOIN users ON users.name = sessions.user WHERE digest = ?",
                (digest,),
            ).fetchone()
        if row is None:
            return None
        user, role, csrf_token, created, last_used = row
        session = Session(digest, user, Role(role), csrf_token, _moment(created), _moment(last_used))
        return session if _has_not_ended(session, now) else None

    def session_was_used(self, session: Session, now: datetime) -> None:
        """Put off its end, where that is due; about once a minute something is written."""
        if is_use_recorded(session.last_used, now):
            with self._database.writing() as connection:
                connection.execute(
                    "UPDATE sessions SET last_used = ? WHERE digest = ?", (now.timestamp(), session.digest)
                )

    def end_session(self, session: Session) -> None:
        """It is over for whoever has its secret."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM sessions WHERE digest = ?", (session.digest,))

    # --- tokens --------------------------------------------------------------------------------------------------

    def add_token(self, name: str, role: Role, expires: datetime | None, now: datetime) -> tuple[Secret, Token]:
        """A new token, and its text, which nobody can find out again. Raises UsageError where the name is taken."""
        _check_name(name)
        text = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        with self._database.writing() as connection:
            if connection.execute("SELECT 1 FROM tokens WHERE name = ?", (name,)).fetchone():
                raise UsageError(f"There is a token {name} already. Remove it first, or give another name.")
            connection.execute(
                "INSERT INTO tokens (name, role, digest, created, expires) VALUES (?, ?, ?, ?, ?)",
                (name, role.value, _digest(text), now.timestamp(), expires.timestamp() if expires else None),
            )
        return Secret(text), Token(name, role, now, expires)

    def tokens(self) -> list[Token]:
        """All of them, by name; expired ones too."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT name, role, created, expires, last_used FROM tokens ORDER BY name"
            ).fetchall()
        return [_token(row) for row in rows]

    def remove_token(self, name: str) -> None:
        """It is refused from now on. Raises UsageError where there is none of this name."""
        with self._database.writing() as connection:
            if not connection.execute("DELETE FROM tokens WHERE name = ?", (name,)).rowcount:
                known = connection.execute("SELECT name FROM tokens ORDER BY name").fetchall()
                raise UsageError(f"There is no token {name!r}. " + _there_are([row[0] for row in known]))

    def token(self, text: str, now: datetime) -> Token | None:
        """The token of this text, unless it has expired."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT name, role, created, expires, last_used FROM tokens WHERE digest = ?", (_digest(text),)
            ).fetchone()
        token = _token(row) if row else None
        return token if token and (token.expires is None or now < token.expires) else None

    def token_was_used(self, token: Token, now: datetime) -> None:
        """Remember when; about once a minute something is written."""
        if is_use_recorded(token.last_used, now):
            with self._database.writing() as connection:
                connection.execute("UPDATE tokens SET last_used = ? WHERE name = ?", (now.timestamp(), token.name))

    def close(self) -> None:
        """Release the file. The accounts cannot be used afterwards."""
        self._database.close()


def open_accounts(state_directory: Path) -> Accounts:
    """The accounts in the state folder, made where they are missing. Raises AccountsError."""
    return Accounts(AccountsDatabase(state_directory))


def is_use_recorded(last_used: datetime | None, now: datetime) -> bool:
    """Whether a use is due to be written down: callers who must not wait for the disk ask before."""
    return last_used is None or now - last_used >= _USE_IS_RECORDED_EVERY


def _refuse_namesake(connection: sqlite3.Connection, name: str) -> None:
    """Two users whose names differ only in case would be taken for each other in the log of what was done."""
    for (known,) in connection.execute("SELECT name FROM users"):
        if known.casefold() == name.casefold():
            raise UsageError(f"There is a user {known} already. main.py user password {known} gives another password.")


def _unknown_user(name: str, known: list[str]) -> UsageError:
    return UsageError(f"There is no user {name!r}. " + _there_are(known))


def _there_are(names: list[str]) -> str:
    return f"There are {', '.join(names)}." if names else "There is none."


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            "A name consists of at most 64 letters (A to Z, a to z), digits, and `.`, `_`, `@` and `-` between them."
        )


def _digest(secret: str) -> str:
    """Of 256 random bits: nothing is to be guessed there, so a quick hash does."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _has_not_ended(session: Session, now: datetime) -> bool:
    return now - session.last_used < SESSION_IDLE and now - session.created < SESSION_LIFE


def _remove_ended_sessions(connection: sqlite3.Connection, now: datetime) -> None:
    connection.execute(
        "DELETE FROM sessions WHERE last_used <= ? OR created <= ?",
        ((now - SESSION_IDLE).timestamp(), (now - SESSION_LIFE).timestamp()),
    )


def _token(row: tuple[str, str, float, float | None, float | None]) -> Token:
    name, role, created, expires, last_used = row
    return Token(name, Role(role), _moment(created), _perhaps(expires), _perhaps(last_used))


def _moment(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def _perhaps(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else _moment(timestamp)
