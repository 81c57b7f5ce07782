"""The log of a run: its lines, its rights, how many are kept, and a disk that is full."""

from __future__ import annotations

import logging
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import CheckKind, Secret
from operations.running.run_log import KEPT_LOGS, run_log
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk

STARTED = datetime(2026, 11, 20, 3, tzinfo=UTC)
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)")


def lines(path: Path) -> list[tuple[str, str]]:
    """Level and text of each line; every line has the form that is promised."""
    matches = [LINE.fullmatch(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    return [(match[1], match[2]) for match in matches if match is not None or pytest.fail("a line of another form")]


def test_lines_path_and_rights(tmp_path: Path) -> None:
    with run_log(tmp_path / "state", "shop/uploads", STARTED) as log:
        log.info("%s files", "30,925")
        log.warning("é 日本")
        log.debug("detail")
    path = tmp_path / "state/logs/shop/uploads/20261120T030000Z.log"
    assert lines(path) == [("INFO", "30,925 files"), ("WARNING", "é 日本"), ("DEBUG", "detail")]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (tmp_path / "state", *path.relative_to(tmp_path / "state").parents[:-1]):
        assert stat.S_IMODE((tmp_path / "state" / folder).stat().st_mode) == 0o700


def test_a_line_is_there_before_the_run_ends(tmp_path: Path) -> None:
    with run_log(tmp_path, "a/b", STARTED) as log:
        log.info("begun")
        assert lines(tmp_path / "logs/a/b/20261120T030000Z.log") == [("INFO", "begun")]


def test_secrets_are_taken_out_also_of_tracebacks(tmp_path: Path) -> None:
    Secret("canary-of-the-log")
    Secret("canary\nof two lines")
    with run_log(tmp_path, "a/b", STARTED) as log:
        log.info("said %s and %s", "canary-of-the-log", "canary\nof two lines")
        try:
            raise ValueError("wrong: canary-of-the-log\nsecond line")
        except ValueError:
            log.exception("failed")
    path = tmp_path / "logs/a/b/20261120T030000Z.log"
    assert "canary" not in path.read_text()
    found = lines(path)
    assert found[0] == ("INFO", "said **** and ****")
    assert found[1] == ("ERROR", "failed")
    assert found[2] == ("ERROR", "Traceback (most recent call last):")
    assert found[-2:] == [("ERROR", "ValueError: wrong: ****"), ("ERROR", "second line")]


@given(text=st.text() | st.text("\n\r\0\x1b\x85\u2028\udcff\u202e a"))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_one_harmless_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "logs/a/b/20261120T030000Z.log"
    path.unlink(missing_ok=True)
    with run_log(tmp_path, "a/b", STARTED) as log:
        log.info("%s", text)
    written = path.read_bytes().decode("utf-8")
    assert written.count("\n") == 1
    assert written.endswith("\n")
    assert written[:-1].isprintable()


def test_a_percent_sign_is_plain_text(tmp_path: Path) -> None:
    with run_log(tmp_path, "a/b", STARTED) as log:
        log.info("100% of %s %d")
    assert lines(tmp_path / "logs/a/b/20261120T030000Z.log") == [("INFO", "100% of %s %d")]


def test_the_newest_logs_are_kept_and_foreign_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "logs/a/b"
    folder.mkdir(parents=True)
    foreign = ["notes.log", "0.log", "20200101T000000Z.txt"]
    for name in foreign:
        (folder / name).write_text("mine")
    (tmp_path / "logs/a/c").mkdir()
    (tmp_path / "logs/a/c/20200101T000000Z.log").write_text("of another backup")
    moments = [STARTED + timedelta(hours=number) for number in range(KEPT_LOGS + 10)]
    for moment in moments:
        with run_log(tmp_path, "a/b", moment) as log:
            log.info("ran")
    expected = {f"{moment:%Y%m%dT%H%M%SZ}.log" for moment in moments[-KEPT_LOGS:]}
    assert {path.name for path in folder.iterdir()} == expected | set(foreign)
    assert (tmp_path / "logs/a/c/20200101T000000Z.log").exists()


def test_errors_of_the_run_pass_through(tmp_path: Path) -> None:
    with pytest.raises(KeyError), run_log(tmp_path, "a/b", STARTED) as log:
        log.info("begun")
        raise KeyError("planned")
    assert lines(tmp_path / "logs/a/b/20261120T030000Z.log") == [("INFO", "begun")]


def test_a_log_that_cannot_be_made_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("in the way")
    with run_log(tmp_path, "a/b", STARTED) as log:
        log.info("one")
        log.info("two")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "logs/a/b/20261120T030000Z.log is incomplete" in caplog.text


@requires_root
def test_a_full_disk_does_not_end_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(tmp_path / "small", 65536) as state:
        with run_log(state, "a/b", STARTED) as log:
            log.info("before")
            for _ in range(100):
                log.info("x" * 4000)
            (state / "logs/a/b/20261120T030000Z.log").write_text("")
            log.info("after")
        assert lines(state / "logs/a/b/20261120T030000Z.log") == [("INFO", "after")]
    path = tmp_path / "small/logs/a/b/20261120T030000Z.log"
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"The log {path} is incomplete: No space left on device. The run goes on."]


def test_logs_of_checks_are_kept_beside_those_of_runs(tmp_path: Path) -> None:
    with run_log(tmp_path, "a/b", STARTED):
        pass
    for number in range(KEPT_LOGS + 2):
        with run_log(tmp_path, "a/b", STARTED + timedelta(hours=number), CheckKind.VERIFY) as log:
            log.info("checked")
    names = sorted(path.name for path in (tmp_path / "logs/a/b").iterdir())
    assert len(names) == 1 + KEPT_LOGS
    assert names[:2] == ["20261120T030000Z.log", "verify-20261120T050000Z.log"]
