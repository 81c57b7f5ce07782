"""The log of a run: its lines, its rights, how many are kept, and a disk that is full."""

from __future__ import annotations

import json
import logging
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model import CheckKind, LogFormat, Secret
from operations.running import run_log as run_log_module
from operations.running.log_lines import LogLine, read_lines
from operations.running.run_log import KEPT_LOGS, run_log
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from utils import printable

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


PATH = "logs/a/b/20261120T030000Z.log"


def test_a_json_log_has_one_object_in_each_line(tmp_path: Path) -> None:
    Secret("canary-of-the-log")
    with run_log(tmp_path, "a/b", STARTED, log_format=LogFormat.JSON, run_id="5f") as log:
        log.info('%s\nsays "canary-of-the-log" é', "two lines")
        try:
            raise ValueError("canary-of-the-log")
        except ValueError:
            log.exception("failed")
    text = (tmp_path / PATH).read_text("ascii")
    assert "canary" not in text
    first, second = (json.loads(line) for line in text.splitlines())
    assert datetime.fromisoformat(first.pop("time")).utcoffset() == timedelta(0)
    whose = {"kind": "backup", "backup": "a/b", "run": "5f"}
    assert first == {"level": "INFO", "message": 'two lines\nsays "****" é', **whose}
    assert second["traceback"].endswith("ValueError: ****\n")
    assert second.keys() == {"time", "level", "message", "traceback", *whose}


def test_a_json_log_of_a_check_says_of_which_kind(tmp_path: Path) -> None:
    with run_log(tmp_path, "a/b", STARTED, CheckKind.DRILL, log_format=LogFormat.JSON) as log:
        log.warning("stale")
    document = json.loads((tmp_path / "logs/a/b/drill-20261120T030000Z.log").read_text())
    assert (document["kind"], document["backup"], document["level"]) == ("drill", "a/b", "WARNING")
    assert "run" not in document


@given(texts=st.lists(st.text() | st.text('\n\r\0\x1b\u2028\udcff{"\\ a'), max_size=4))
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_log_is_read_alike_in_both_formats_and_in_a_mixture_of_them(tmp_path: Path, texts: list[str]) -> None:
    path = tmp_path / PATH
    path.unlink(missing_ok=True)
    for log_format in (LogFormat.JSON, LogFormat.TEXT):
        with run_log(tmp_path, "a/b", STARTED, log_format=log_format) as log:
            for text in texts:
                log.warning("%s", text)
    found = list(read_lines(path.read_text().split("\n")[:-1]))
    assert {line.level for line in found} <= {"WARNING"}
    in_json, in_text = found[: len(texts)], found[len(texts) :]
    assert [line.message for line in in_json] == [text.encode("utf-8", "backslashreplace").decode() for text in texts]
    shown = [printable(line.message.encode()) for line in in_json]
    assert [line.message for line in in_text] == shown
    assert all(line.time is not None and line.time.tzinfo is not None for line in found)


@pytest.mark.parametrize(
    "line", ["", "2026-11-20T03:0", "{", '{"time": "2026-11', "{}", '{"time": 1, "level": 2}', "[]"]
)
def test_a_torn_or_foreign_line_is_shown_as_it_is(line: str) -> None:
    assert list(read_lines([line])) == [LogLine(None, "", line)]


def test_the_lines_of_a_traceback_are_read_from_json_as_from_text(tmp_path: Path) -> None:
    found = []
    for log_format in LogFormat:
        with run_log(tmp_path, "a/b", STARTED, log_format=log_format) as log:
            try:
                raise ValueError("one\ntwo")
            except ValueError:
                log.exception("failed")
        found.append([line.message for line in read_lines((tmp_path / PATH).read_text().splitlines())])
        (tmp_path / PATH).unlink()
    assert found[0] == found[1]
    assert found[0][-2:] == ["ValueError: one", "two"]


def test_a_log_does_not_grow_without_end_and_has_its_errors_and_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log_module, "MAX_BYTES", 20_000)
    with run_log(tmp_path, "a/b", STARTED) as log:
        for number in range(5000):
            log.warning("unreadable: %s", number)
            if number == 3000:
                log.error("in the middle")
        log.warning("partial")
    found = [text for _, text in lines(tmp_path / PATH)]
    assert (tmp_path / PATH).stat().st_size < 30_000
    assert found[:2] == ["unreadable: 0", "unreadable: 1"]
    assert "in the middle" in found
    assert found[-2:] == ["unreadable: 4999", "partial"]
    written = sum(text.startswith("unreadable") for text in found)
    left_out = next(text for text in found if text.startswith("the log is full"))
    assert left_out == f"the log is full: {5000 - written:,} lines before the next one are left out"
