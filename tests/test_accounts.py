"""Users, sessions and tokens: who is believed, until when, and what lies on the disk."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from accounts import Accounts, Role, open_accounts
from accounts.accounts import SESSION_IDLE, SESSION_LIFE
from errors import AccountsError, UsageError
from model import Secret

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PASSWORD = Secret("correct horse battery staple")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def accounts(state: Path) -> Iterator[Accounts]:
    with closing(open_accounts(state)) as accounts:
        yield accounts


@pytest.fixture
def anna(accounts: Accounts) -> str:
    accounts.add_user("anna", Role.OPERATOR, PASSWORD, NOW)
    return "anna"


def stored(state: Path) -> bytes:
    """All that is on the disk, the log of the database included."""
    return b"".join(path.read_bytes() for path in state.glob("dashboard.db*"))


# --- users and passwords ------------------------------------------------------------------------------------------


def test_only_the_right_password_of_the_right_user_is_right(accounts: Accounts, anna: str) -> None:
    assert accounts.check_password(anna, PASSWORD.reveal())
    for name, text in ((anna, "correct horse battery stapl"), (anna, ""), ("tom", PASSWORD.reveal()), ("", "")):
        assert not accounts.check_password(name, text)
    assert not accounts.check_password(anna, "x" * 100_000)


def test_passwords_lie_on_the_disk_as_argon2id_with_the_parameters_of_rfc_9106(
    accounts: Accounts, state: Path, anna: str
) -> None:
    with closing(sqlite3.connect(state / "dashboard.db")) as connection:
        (found,) = connection.execute("SELECT password_hash FROM users").fetchone()
    assert extract_parameters(found) == RFC_9106_LOW_MEMORY
    assert PASSWORD.reveal().encode() not in stored(state)


def test_the_file_and_its_companions_are_private(accounts: Accounts, state: Path, anna: str) -> None:
    files = list(state.glob("dashboard.db*"))
    assert len(files) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_hash_of_earlier_parameters_is_made_anew_when_its_user_signs_in(
    accounts: Accounts, state: Path, anna: str
) -> None:
    def change(statement: str, *values: str) -> list[tuple[str]]:
        with closing(sqlite3.connect(state / "dashboard.db", isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD.reveal())
    change("UPDATE users SET password_hash = ?", weak)
    assert not accounts.check_password(anna, "another password")
    assert change("SELECT password_hash FROM users") == [(weak,)]
    assert accounts.check_password(anna, PASSWORD.reveal())
    ((renewed,),) = change("SELECT password_hash FROM users")
    assert extract_parameters(renewed) == RFC_9106_LOW_MEMORY
    assert accounts.check_password(anna, PASSWORD.reveal())


@pytest.mark.parametrize("text", ["", "short", "elevenchars", "aaaaaaaaaaaaaaaa", "abababababababab", "annaannaanna"])
def test_a_password_that_is_guessed_first_is_refused(accounts: Accounts, text: str) -> None:
    with pytest.raises(UsageError, match="The password is too"):
        accounts.add_user("anna", Role.VIEWER, Secret(text), NOW)
    assert accounts.users() == []


@pytest.mark.parametrize("name", ["", " ", "a b", "anna\n", "<b>", "ännä", "a" * 65, "-anna", "anna-", "a/b", "a'b"])
def test_a_name_that_could_be_misread_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(UsageError, match="A name consists of"):
        accounts.add_user(name, Role.VIEWER, PASSWORD, NOW)


def test_no_two_users_differ_in_upper_and_lower_case_only(accounts: Accounts, anna: str) -> None:
    with pytest.raises(UsageError, match="There is a user anna already"):
        accounts.add_user("Anna", Role.VIEWER, PASSWORD, NOW)


def test_who_is_not_there_cannot_be_changed(accounts: Accounts, anna: str) -> None:
    changes: tuple[Callable[[], None], ...] = (
        lambda: accounts.set_password("tom", PASSWORD),
        lambda: accounts.set_role("tom", Role.VIEWER),
        lambda: accounts.remove_user("tom"),
    )
    for change in changes:
        with pytest.raises(UsageError, match=r"There is no user 'tom'\. There are anna\."):
            change()


# --- sessions -----------------------------------------------------------------------------------------------------


def test_a_session_is_known_by_its_secret_which_is_not_on_the_disk(accounts: Accounts, state: Path, anna: str) -> None:
    begun = accounts.begin_session(anna, NOW)
    assert begun
    secret, session = begun
    assert accounts.session(secret, NOW) == session
    assert (session.user, session.role) == (anna, Role.OPERATOR)
    assert accounts.session(session.digest, NOW) is None
    assert accounts.session("", NOW) is None
    assert accounts.session("\ud800", NOW) is None
    assert secret.encode() not in stored(state)


def test_no_two_sessions_share_secret_or_token(accounts: Accounts, anna: str) -> None:
    begun = [accounts.begin_session(anna, NOW) for _ in range(5)]
    assert len({text for each in begun if each for text in (each[0], each[1].csrf_token)}) == 10


def test_a_session_ends_when_nobody_uses_it(accounts: Accounts, anna: str) -> None:
    begun = accounts.begin_session(anna, NOW)
    assert begun
    secret, session = begun
    assert accounts.session(secret, NOW + SESSION_IDLE - SECOND)
    assert accounts.session(secret, NOW + SESSION_IDLE) is None
    accounts.session_was_used(session, NOW + SESSION_IDLE - SECOND)
    assert accounts.session(secret, NOW + SESSION_IDLE)


def test_a_session_ends_however_much_it_is_used(accounts: Accounts, anna: str) -> None:
    begun = accounts.begin_session(anna, NOW)
    assert begun
    moment = NOW
    while moment < NOW + SESSION_LIFE - SESSION_IDLE:
        moment += SESSION_IDLE / 2
        session = accounts.session(begun[0], moment)
        assert session
        accounts.session_was_used(session, moment)
    accounts.session_was_used(begun[1], NOW + SESSION_LIFE - SECOND)
    assert accounts.session(begun[0], NOW + SESSION_LIFE - SECOND)
    assert accounts.session(begun[0], NOW + SESSION_LIFE) is None


def test_sessions_end_with_the_password_the_role_and_the_user(accounts: Accounts, anna: str) -> None:
    accounts.add_user("tom", Role.VIEWER, PASSWORD, NOW)
    other = accounts.begin_session("tom", NOW)
    changes: tuple[Callable[[], None], ...] = (
        lambda: accounts.set_password(anna, Secret("another long password")),
        lambda: accounts.set_role(anna, Role.VIEWER),
        lambda: accounts.remove_user(anna),
    )
    for change in changes:
        begun = accounts.begin_session(anna, NOW)
        assert begun
        assert accounts.session(begun[0], NOW)
        change()
        assert accounts.session(begun[0], NOW) is None
    assert other
    assert accounts.session(other[0], NOW)
    assert accounts.begin_session(anna, NOW) is None


def test_a_session_that_was_ended_is_over_and_the_others_are_not(accounts: Accounts, anna: str) -> None:
    first, second = accounts.begin_session(anna, NOW), accounts.begin_session(anna, NOW)
    assert first
    assert second
    accounts.end_session(first[1])
    assert accounts.session(first[0], NOW) is None
    assert accounts.session(second[0], NOW)


def test_a_user_has_so_many_sessions_and_no_more(accounts: Accounts, anna: str) -> None:
    begun = [accounts.begin_session(anna, NOW + SECOND * number) for number in range(25)]
    alive = [each and accounts.session(each[0], NOW + 30 * SECOND) is not None for each in begun]
    assert alive == [False] * 5 + [True] * 20


# --- tokens -------------------------------------------------------------------------------------------------------


def test_a_token_is_known_by_its_text_until_it_expires_or_is_removed(accounts: Accounts, state: Path) -> None:
    text, token = accounts.add_token("monitoring", Role.VIEWER, NOW + timedelta(days=1), NOW)
    assert text.reveal().startswith("hf_")
    assert text.reveal().encode() not in stored(state)
    assert accounts.token(text.reveal(), NOW) == token
    assert accounts.token(text.reveal(), NOW + timedelta(days=1) - SECOND) == token
    assert accounts.token(text.reveal(), NOW + timedelta(days=1)) is None
    assert accounts.token(text.reveal()[:-1], NOW) is None
    accounts.token_was_used(token, NOW + SECOND)
    assert accounts.tokens()[0].last_used == NOW + SECOND
    with pytest.raises(UsageError, match="There is a token monitoring already"):
        accounts.add_token("monitoring", Role.OPERATOR, None, NOW)
    accounts.remove_token("monitoring")
    assert accounts.token(text.reveal(), NOW) is None
    with pytest.raises(UsageError, match=r"There is no token 'monitoring'\. There is none\."):
        accounts.remove_token("monitoring")


# --- the file -----------------------------------------------------------------------------------------------------


def test_another_process_sees_every_change_at_once(accounts: Accounts, state: Path, anna: str) -> None:
    begun = accounts.begin_session(anna, NOW)
    assert begun
    with closing(open_accounts(state)) as other:
        assert other.session(begun[0], NOW)
        other.remove_user(anna)
    assert accounts.session(begun[0], NOW) is None
    assert accounts.users() == []


def test_many_threads_at_once_lose_nothing(accounts: Accounts, anna: str) -> None:
    found: list[bool] = []

    def work() -> None:
        for _ in range(20):
            begun = accounts.begin_session(anna, NOW)
            found.append(begun is not None and accounts.session(begun[0], NOW) is not None)
            assert begun
            accounts.end_session(begun[1])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80


def test_a_damaged_file_is_told_and_left_as_it_is(state: Path) -> None:
    with closing(open_accounts(state)):
        pass
    (state / "dashboard.db").write_bytes(b"This is no database." * 500)
    with pytest.raises(AccountsError, match=r"are damaged .* Move the file away.*main\.py user add"):
        open_accounts(state)
    assert (state / "dashboard.db").read_bytes().startswith(b"This is no database.")


def test_a_file_of_a_newer_version_is_told_and_left_as_it_is(state: Path) -> None:
    with closing(open_accounts(state)):
        pass
    with closing(sqlite3.connect(state / "dashboard.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(AccountsError, match="made by a newer Holdfast"):
        open_accounts(state)


def test_a_file_that_is_held_by_another_process_is_told(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.database._BUSY_TIMEOUT_SECONDS", 0.05)
    with closing(open_accounts(state)) as accounts, closing(sqlite3.connect(state / "dashboard.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(AccountsError, match="held by another process"):
            accounts.add_token("a", Role.VIEWER, None, NOW)
        assert accounts.users() == []  # who reads does not wait
