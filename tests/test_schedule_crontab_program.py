"""Reading and replacing the crontab by the program: nothing is written unless all is as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import ScheduleError
from schedules import crontab
from tests.support.crontab import StandInCrontab

TEXT = b"MAILTO=me\r\n\xff\xfe\n* * * * * job\n"
AMBIGUOUS = b"# \r \b \\r \\b \\\\r\r\n* * * * * grep '\\bfoo' | printf 'a\\r\\n'\n"


def append(text: bytes) -> bytes:
    return text + b"@daily ours\n"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInCrontab:
    stand_in = StandInCrontab(tmp_path)
    monkeypatch.setenv("PATH", stand_in.path)
    return stand_in


def test_bytes_go_through_as_they_are(stand_in: StandInCrontab) -> None:
    stand_in.text = TEXT
    assert crontab.read() == TEXT
    change = crontab.apply(append)
    assert (change.before, change.after, stand_in.text) == (TEXT, append(TEXT), append(TEXT))
    assert stand_in.writes == 1


@pytest.mark.parametrize("is_debian", [True, False])
def test_control_characters_are_told_from_what_stands_for_them(stand_in: StandInCrontab, is_debian: bool) -> None:
    if not is_debian:
        stand_in.list_exactly()
    stand_in.text = AMBIGUOUS
    crontab.apply(append)
    assert (stand_in.text, stand_in.writes) == (append(AMBIGUOUS), 1)


def test_where_they_cannot_be_told_nothing_is_written(stand_in: StandInCrontab) -> None:
    stand_in.text = AMBIGUOUS
    stand_in.fail_to_edit(b"crontab: no editor here")
    with pytest.raises(ScheduleError, match=r"shows for control characters too.*no editor here"):
        crontab.apply(append)
    assert (stand_in.text, stand_in.writes) == (AMBIGUOUS, 0)


def test_a_user_without_a_crontab_gets_one(stand_in: StandInCrontab) -> None:
    assert crontab.read() == b""
    crontab.apply(append)
    assert (stand_in.text, stand_in.writes) == (b"@daily ours\n", 1)


def test_nothing_is_written_where_nothing_changes(stand_in: StandInCrontab) -> None:
    stand_in.text = TEXT
    assert not crontab.apply(lambda text: text).is_change
    assert (stand_in.reads, stand_in.writes) == (1, 0)


def test_plan_writes_nothing(stand_in: StandInCrontab) -> None:
    stand_in.text = TEXT
    assert crontab.plan(append).after == append(TEXT)
    assert (stand_in.text, stand_in.writes) == (TEXT, 0)


@pytest.mark.parametrize(
    ("code", "error", "output"),
    [
        (1, b"You (tester) are not allowed to use this program (crontab)", b""),
        (1, b"crontab: cannot open /var/spool/cron/crontabs/tester: Permission denied", b""),
        (1, b"crontab: can't open 'tester': No such file or directory", b""),
        (1, b"", b""),
        (1, b"no crontab for tester", b"* * * * * but here it is\n"),
        (2, b"no crontab for tester", b""),
        (127, b"sh: crontab: not found", b""),
        (139, b"Segmentation fault", b"* * * * * half a lin"),
    ],
)
def test_nothing_is_written_where_it_cannot_be_read(
    stand_in: StandInCrontab, code: int, error: bytes, output: bytes
) -> None:
    stand_in.text = TEXT
    stand_in.fail_to_list(code, error, output)
    with pytest.raises(ScheduleError, match=f"exit code {code}") as raised:
        crontab.apply(append)
    assert error.decode() in str(raised.value)
    assert "Nothing was changed" in str(raised.value)
    assert (stand_in.text, stand_in.writes) == (TEXT, 0)


def test_nothing_is_written_where_it_changed_since_it_was_read(stand_in: StandInCrontab) -> None:
    stand_in.text = TEXT
    stand_in.change_at_read(2, b"@hourly somebody else's\n")
    with pytest.raises(ScheduleError, match="changed by another program"):
        crontab.apply(append)
    assert (stand_in.text, stand_in.writes) == (b"@hourly somebody else's\n", 0)


def test_nothing_is_written_where_it_vanished_since_it_was_read(stand_in: StandInCrontab) -> None:
    stand_in.text = TEXT
    stand_in.change_at_read(2, b"")
    with pytest.raises(ScheduleError, match="changed by another program"):
        crontab.apply(append)
    assert (stand_in.text, stand_in.writes) == (b"", 0)


def test_it_is_read_back(stand_in: StandInCrontab) -> None:
    stand_in.text = TEXT
    stand_in.change_at_read(3, b"@hourly somebody else's\n")
    with pytest.raises(ScheduleError, match="not what was just written"):
        crontab.apply(append)
    assert stand_in.writes == 1


def test_what_cron_refuses_is_told_in_its_words(stand_in: StandInCrontab) -> None:
    stand_in.text = TEXT
    stand_in.fail_to_write(b'"-":3: bad minute\nerrors in crontab file, can\'t install.')
    with pytest.raises(ScheduleError, match='"-":3: bad minute'):
        crontab.apply(append)
    assert (stand_in.text, stand_in.writes) == (TEXT, 0)


def test_more_lines_than_cron_takes_are_not_even_tried(stand_in: StandInCrontab) -> None:
    stand_in.text = b"#\n" * 10_000
    with pytest.raises(ScheduleError, match="10,001 lines"):
        crontab.apply(append)
    assert (stand_in.text, stand_in.writes) == (b"#\n" * 10_000, 0)


def test_without_cron_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    apt = tmp_path / "apt-get"
    apt.write_text("")
    apt.chmod(0o755)
    with pytest.raises(ScheduleError, match=r"apt-get install cron.*backup\.py --all"):
        crontab.read()


def test_a_program_that_cannot_be_started_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "crontab"
    program.write_bytes(b"\0not a program")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ScheduleError, match="cannot be started"):
        crontab.read()
