"""What processes tell each other of what they do: while it is done, truly, and not for longer."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from catalog import open_catalog
from errors import HoldfastError
from model import Activity, ActivityKind, Member, MemberKind, Run, RunStatus
from operations.activities import Publication, activities, cancel, document, started_at
from tests.support import warm_start
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.processes import command_lines
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.trees import make_tree
from tests.support.waiting import wait_for
from utils import utc_now

COMMAND_ID = "shop/command"
LARGE_SIZE = 300 << 20


def configure_command(holdfast: Holdfast, *argv: str, **keys: object) -> None:
    backup = {
        "INTERVALS": "0 2 * * *",
        "COMMAND": list(argv),
        "FILENAME": "out.txt",
        "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}],
        **keys,
    }
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"COMMAND_BACKUP": [backup]}]}]})


def make_large(path: Path) -> Path:
    """A folder with a file that takes a while to read, and nearly no room when it is packed."""
    path.mkdir()
    with (path / "large").open("wb") as file:
        for _ in range(LARGE_SIZE >> 20):
            file.write(bytes(1 << 20))
    return path


def last_run(holdfast: Holdfast, backup_id: str = COMMAND_ID) -> Run:
    with closing(open_catalog(holdfast.state, None)) as catalog:
        return next(iter(catalog.runs(backup_id, 1)))


def running(holdfast: Holdfast) -> list[Path]:
    folder = holdfast.state / "running"
    return sorted(folder.iterdir()) if folder.exists() else []


@contextmanager
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def activity_of(process: int, started: int | None = None) -> Activity:
    """One that is published as that of this process."""
    with Publication(Path("/nowhere"), ActivityKind.RESTORE, BACKUP_ID) as publication:
        activity = publication.current()
    return replace(activity, process=process, process_started=started or started_at(process) or 0)


def put(state: Path, activity: Activity) -> Path:
    folder = state / "running"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{activity.id}.json"
    path.write_text(json.dumps(document(activity)))
    return path


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    return Holdfast(tmp_path / "holdfast")


def test_a_run_is_published_under_its_id_while_it_goes_on(holdfast: Holdfast) -> None:
    configure_command(holdfast, "sh", "-c", "head -c 64000000 /dev/zero; exec sleep 31536021")
    process = holdfast.start("backup.py", "--scheduled", COMMAND_ID)
    activity = wait_for(lambda: [each for each in activities(holdfast.state) if each.size >= 1 << 20])[0]
    run = last_run(holdfast)
    assert (activity.id, activity.backup_id, activity.started) == (run.id, COMMAND_ID, run.started)
    assert (activity.kind, activity.process, activity.path) == (ActivityKind.BACKUP, process.pid, "out.txt")
    assert (holdfast.state / "logs" / activity.log).read_text().endswith("INFO shop/command begins\n")
    (path,) = running(holdfast)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert cancel(activity)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "Interrupted by SIGTERM" in errors) == (143, True)
    assert last_run(holdfast).status is RunStatus.INTERRUPTED
    assert running(holdfast) == []
    assert [path for path in holdfast.storage.rglob("*") if path.is_file()] == []
    assert [line for line in command_lines() if b"31536021" in line] == []
    assert cancel(activity) is False


def test_a_wait_for_the_next_try_is_published_and_ends_at_once(holdfast: Holdfast) -> None:
    configure_command(holdfast, "false", RETRIES=3)
    process = holdfast.start("backup.py", COMMAND_ID)
    activity = wait_for(lambda: [each for each in activities(holdfast.state) if each.waiting_until])[0]
    assert activity.id == last_run(holdfast).id
    assert (activity.waiting_until or activity.started) > utc_now()
    assert cancel(activity)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert [last_run(holdfast).status, running(holdfast)] == [RunStatus.FAILED, []]


def test_a_run_that_is_killed_is_under_way_no_more(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start, "IS_COLD", True)  # only a child of this process can be dead and not waited for yet
    configure_command(holdfast, "sleep", "31536022")
    process = holdfast.start("backup.py", COMMAND_ID)
    wait_for(lambda: activities(holdfast.state))
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert running(holdfast) != []
    assert activities(holdfast.state) == []  # although the zombie of it is still there
    assert running(holdfast) == []
    process.communicate()


def test_what_a_killed_run_left_goes_with_the_next_one_too(holdfast: Holdfast, tmp_path: Path) -> None:
    holdfast.configure(make_tree(tmp_path / "tree"))
    holdfast.state.mkdir(mode=0o700)
    put(holdfast.state, activity_of(os.getpid(), started=1))
    holdfast.back_up()
    assert running(holdfast) == []


@pytest.mark.parametrize(
    "command", [["verify"], ["verify", "--drill"], ["restore", "--to", "back"]], ids=["verify", "drill", "restore"]
)
def test_other_work_is_published_and_can_be_cancelled(holdfast: Holdfast, tmp_path: Path, command: list[str]) -> None:
    holdfast.configure(make_large(tmp_path / "large"))
    holdfast.back_up()
    name, *options = command
    arguments = [str(tmp_path / "back") if option == "back" else option for option in options]
    process = holdfast.start("restore.py", name, BACKUP_ID, *arguments)
    activity = wait_for(lambda: activities(holdfast.state))[0]
    os.kill(process.pid, signal.SIGSTOP)
    kind = ActivityKind(command[-1].strip("-") if "--drill" in command else name)
    assert (activity.kind, activity.backup_id, activity.process) == (kind, BACKUP_ID, process.pid)
    assert activity.expected_size == LARGE_SIZE
    assert cancel(activity)
    os.kill(process.pid, signal.SIGCONT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143, errors
    assert errors.startswith("Interrupted by SIGTERM.")
    assert activities(holdfast.state) == []
    assert running(holdfast) == []
    drill = holdfast.state / "drill"
    assert not drill.exists() or list(drill.iterdir()) == []


def test_scheduled_checks_are_published_with_their_log(holdfast: Holdfast, tmp_path: Path) -> None:
    verify = {"INTERVALS": "@weekly", "DRILL": {"INTERVALS": "@monthly"}}
    holdfast.configure(make_large(tmp_path / "large"), VERIFY=verify)
    holdfast.back_up()
    for option, kind in (("--scheduled", ActivityKind.VERIFY), ("--drill", ActivityKind.DRILL)):
        process = holdfast.start("restore.py", "verify", *dict.fromkeys([option, "--scheduled"]), BACKUP_ID)
        activity = wait_for(lambda: activities(holdfast.state))[0]
        assert (activity.kind, process.wait(timeout=60)) == (kind, 0)
        assert (holdfast.state / "logs" / activity.log).exists()
        assert Path(activity.log).name.startswith(f"{kind.value}-")


def test_another_process_that_has_its_number_by_now_is_not_hit(tmp_path: Path) -> None:
    with sleeping() as process:
        stale = activity_of(process.pid, started=(started_at(process.pid) or 0) - 1)
        path = put(tmp_path, stale)
        assert cancel(stale) is False
        assert activities(tmp_path) == []
        assert not path.exists()
        assert process.poll() is None
        assert cancel(activity_of(process.pid)) is True
        assert process.wait(timeout=30) == -signal.SIGTERM


def test_what_runs_in_another_container_is_shown_while_it_writes_and_left_alone(tmp_path: Path) -> None:
    with sleeping() as process:
        elsewhere = replace(activity_of(process.pid), place="another boot")
        path = put(tmp_path, elsewhere)
        assert activities(tmp_path) == [elsewhere]
        with pytest.raises(HoldfastError, match="another container"):
            cancel(elsewhere)
        assert process.poll() is None
        put(tmp_path, replace(elsewhere, updated=elsewhere.updated.replace(year=2020)))
        assert activities(tmp_path) == []
        assert not path.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', "\0", '{"uploads": 1}', "9" * 5000])
def test_a_file_that_is_no_activity_is_no_harm(tmp_path: Path, text: str) -> None:
    good = put(tmp_path, activity_of(os.getpid()))
    bad = good.with_name(f"{'0' * 32}.json")
    bad.write_text(text)
    (good.parent / "README").write_text("foreign")
    assert [each.id for each in activities(tmp_path)] == [good.stem]
    os.utime(bad, (1, 1))
    unfinished = good.with_name(f".{'1' * 32}.unfinished")
    unfinished.write_text(text)
    os.utime(unfinished, (1, 1))
    activities(tmp_path)
    assert {path.name for path in good.parent.iterdir()} == {good.name, "README"}


def test_nothing_is_made_where_there_is_no_state_folder(tmp_path: Path) -> None:
    with Publication(tmp_path / "state", ActivityKind.RESTORE, BACKUP_ID):
        assert activities(tmp_path / "state") == []
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_a_file_can_do_nothing_to_who_looks(tmp_path: Path) -> None:
    with Publication(tmp_path, ActivityKind.RESTORE, BACKUP_ID) as publication:
        member = Member(b"a\xff\x1b[31m\n" + b"x" * 10_000, MemberKind.FILE, 0o600, 0)
        publication.advance(member, 5)
        publication.advance(member, 6)
        shown = wait_for(lambda: [each for each in activities(tmp_path) if each.size == 11])[0]
    assert shown.path.startswith("a\\xff\\x1b[31m\\nxxx")
    assert (len(shown.path), shown.files) == (500, 1)
    assert activities(tmp_path) == []


@requires_root
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_disk_that_takes_nothing_does_not_fail_a_run(holdfast: Holdfast, tmp_path: Path, kind: str) -> None:
    holdfast.configure(make_tree(tmp_path / "tree"))
    holdfast.back_up()
    (holdfast.state / "running").rmdir()
    with small_disk(holdfast.state / "running", 64 << 10) as disk:
        if kind == "full":
            with (disk / "foreign").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(bytes(4096))
        else:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        finished = holdfast.back_up()
        assert finished.stderr == ""
        assert [path.name for path in running(holdfast)] == (["foreign"] if kind == "full" else [])
    assert len(holdfast.parts(".zip")) == 2


def test_a_publication_costs_no_process_anything_that_it_waits_for(tmp_path: Path) -> None:
    """Its thread ends with it, and its interpreter does not wait."""
    program = (
        "import sys, threading; from pathlib import Path; from operations.activities import *; from model import *\n"
        "with Publication(Path(sys.argv[1]), ActivityKind.VERIFY, 'shop/files'): pass\n"
        "print(threading.active_count())"
    )
    root = Path(__file__).resolve().parent.parent
    ended = subprocess.run(
        [sys.executable, "-c", program, tmp_path], cwd=root, capture_output=True, text=True, timeout=60
    )
    assert (ended.stdout, ended.stderr) == ("1\n", "")
    assert list((tmp_path / "running").iterdir()) == []
