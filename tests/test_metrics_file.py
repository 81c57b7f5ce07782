"""METRICS_FILE: written by real runs, good and failed, by checks, by several processes at once, and never half."""

from __future__ import annotations

import json
import os
import signal
import stat
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from catalog import open_catalog
from operations.metrics_file import replace_file, write_metrics
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.metrics import Metrics
from tests.support.trees import make_tree


class Site:
    def __init__(self, folder: Path) -> None:
        self.holdfast = Holdfast(folder / "holdfast")
        self.tree = make_tree(folder / "tree", files=3)
        self.file = folder / "collector" / "holdfast.prom"
        self.file.parent.mkdir()
        self.configure()

    def configure(self, **keys: object) -> None:
        backup = {
            "NAME": "files",
            "INTERVALS": "0 2 * * *",
            "FILE_PATH": [str(self.tree)],
            "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": ""}],
            **keys,
        }
        projects = [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}]
        self.holdfast.write({"PROJECTS": projects, "METRICS_FILE": str(self.file)})

    def metrics(self) -> Metrics:
        return Metrics(self.file.read_bytes())

    def status(self) -> str:
        statuses = self.metrics().all("holdfast_backup_status", backup=BACKUP_ID)
        (found,) = [dict(labels)["status"] for (_, labels), value in statuses.items() if value]
        return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_run_writes_them_and_so_does_one_that_fails(site: Site) -> None:
    before = time.time()
    site.holdfast.back_up()
    assert site.status() == "good"
    assert stat.S_IMODE(site.file.stat().st_mode) == 0o644
    good = site.metrics()
    began = good.get("holdfast_backup_last_good_timestamp_seconds", backup=BACKUP_ID, project="shop")
    assert began is not None
    assert before <= began <= time.time()
    (archive,) = site.holdfast.parts(".zip")
    assert good.get("holdfast_backup_last_good_archive_bytes") == archive.stat().st_size
    assert good.get("holdfast_backup_last_good_files") == 3
    assert good.get("holdfast_target_copies", target="LOCAL") == 1
    used = sum(path.stat().st_size for path in site.holdfast.copies.iterdir())
    assert good.get("holdfast_target_used_bytes", target="LOCAL") == used

    site.configure(FILE_PATH=[str(site.tree / "missing")])
    assert site.holdfast.run("backup.py", BACKUP_ID).returncode == 1
    assert site.status() == "failed"
    assert site.metrics().get("holdfast_backup_last_good_timestamp_seconds") == began
    assert [path.name for path in site.file.parent.iterdir()] == ["holdfast.prom"]


def test_an_interrupted_run_writes_them(site: Site) -> None:
    event = {"point": "os.fdatasync", "nth": 1, "when": "before", "signal": signal.SIGTERM}
    ended = site.holdfast.run_command(site.holdfast.command_with_plan([event], BACKUP_ID))
    assert ended.returncode == 143
    assert site.status() == "interrupted"


def test_a_verification_writes_them(site: Site) -> None:
    site.holdfast.back_up()
    assert site.metrics().get("holdfast_backup_last_verified_timestamp_seconds") == 0
    assert site.holdfast.run("restore.py", "verify", BACKUP_ID).returncode == 0
    assert site.metrics().get("holdfast_backup_last_check_passed", check="verify") == 1
    assert (site.metrics().get("holdfast_backup_last_verified_timestamp_seconds") or 0) > 0


def test_they_are_printed_without_a_file_and_alone_only(site: Site) -> None:
    site.holdfast.configure(site.tree)
    site.holdfast.back_up()
    printed = site.holdfast.run("backup.py", "--metrics")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert Metrics(printed.stdout).get("holdfast_backup_status", status="good") == 1
    assert not site.file.exists()
    refused = site.holdfast.run("backup.py", "--metrics", BACKUP_ID)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--metrics goes alone" in refused.stderr


def test_where_they_cannot_be_written_the_run_is_good_and_it_is_said_once(site: Site) -> None:
    site.file.parent.rmdir()
    ran = site.holdfast.run("backup.py", BACKUP_ID, "--json")
    assert ran.returncode == 0
    assert [run["status"] for run in json.loads(ran.stdout)["runs"]] == ["good"]
    sentence = f"The metrics could not be written to METRICS_FILE {site.file}: No such file or directory."
    assert ran.stderr == f"{sentence}\n"
    (log,) = (site.holdfast.state / "logs" / BACKUP_ID).iterdir()
    assert f"WARNING {sentence}\n" in log.read_text()


@pytest.mark.parametrize("text", ["PROJECTS: [", 'METRICS_FILE: "{file}"\nPROJECTS: 3\n'])
def test_a_broken_configuration_is_told_until_it_is_mended_and_all_else_stays(site: Site, text: str) -> None:
    site.holdfast.back_up()
    whole, good = site.holdfast.config.read_text(), site.metrics()
    site.holdfast.config.write_text(text.replace("{file}", str(site.file)))
    assert site.holdfast.run("main.py", "validate").returncode == 2  # touches nothing
    assert site.metrics().series == good.series
    assert site.holdfast.run("backup.py", "--scheduled", BACKUP_ID).returncode == 2
    broken = site.metrics()
    assert broken.get("holdfast_config_valid") == 0
    differing = {key for key, value in good.series.items() if broken.series.get(key) != value}
    assert differing == {("holdfast_config_valid", frozenset())}
    assert len(broken.series) == len(good.series)

    site.holdfast.config.write_text(whole)
    assert site.holdfast.run("backup.py", "--missed").returncode == 0
    assert site.metrics().series == good.series


def test_what_is_read_at_any_moment_is_whole_and_never_older_than_before(site: Site) -> None:
    """Four threads write, as four runs do that end at once; a fifth reads, as the collector does."""
    site.holdfast.back_up()
    configuration = site.holdfast.configuration()
    seen: list[tuple[int, bytes]] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            with site.file.open("rb") as file:
                seen.append((os.fstat(file.fileno()).st_ino, file.read()))

    def write() -> None:
        with closing(open_catalog(configuration.state_directory, None)) as catalog:
            for _ in range(5):
                write_metrics(configuration, catalog)

    reader, writers = threading.Thread(target=read), [threading.Thread(target=write) for _ in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    reader.join()
    assert len({inode for inode, _ in seen}) > 1
    assert {text for _, text in seen} == {site.file.read_bytes()}
    assert [path.name for path in site.file.parent.iterdir()] == ["holdfast.prom"]


def test_the_later_of_two_writers_knows_what_the_earlier_knew(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has read the catalog and is held before it writes; meanwhile a run ends, and writes too."""
    site.holdfast.back_up()
    configuration = site.holdfast.configuration()
    has_read, may_write = threading.Event(), threading.Event()

    def held_back(path: Path, content: bytes) -> None:
        if threading.current_thread() is first:
            has_read.set()
            may_write.wait()
        replace_file(path, content)

    def write() -> None:
        with closing(open_catalog(configuration.state_directory, None)) as catalog:
            write_metrics(configuration, catalog)

    monkeypatch.setattr("operations.metrics_file.replace_file", held_back)
    first, second = threading.Thread(target=write), threading.Thread(target=write)
    first.start()
    has_read.wait()
    site.configure(FILE_PATH=[str(site.tree / "missing")])
    failing = site.holdfast.start("backup.py", BACKUP_ID)
    while not is_recorded(site, "failed"):
        time.sleep(0.02)
    second.start()
    may_write.set()
    for thread in (first, second):
        thread.join()
    assert failing.wait() == 1
    failing.communicate()
    assert site.status() == "failed"


def is_recorded(site: Site, status: str) -> bool:
    configuration = site.holdfast.configuration()
    with closing(open_catalog(configuration.state_directory, None)) as catalog:
        last = catalog.last_runs([BACKUP_ID])[BACKUP_ID].last
    return last is not None and last.status.value == status


def test_what_a_killed_writer_left_is_nobodys(tmp_path: Path) -> None:
    (tmp_path / ".a.prom.new").symlink_to(tmp_path / "elsewhere")
    replace_file(tmp_path / "a.prom", b"new")
    assert (tmp_path / "a.prom").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.prom"]


def findings(holdfast: Holdfast) -> Mapping[str, tuple[str, str]]:
    answer = holdfast.run("main.py", "doctor", "--json")
    return {each["subject"]: (each["verdict"], each["text"]) for each in json.loads(answer.stdout)["findings"]}


def test_doctor_says_where_they_cannot_be_written(site: Site, tmp_path: Path) -> None:
    assert findings(site.holdfast)["METRICS_FILE"] == ("ok", f"{site.file} can be written")
    assert list(site.file.parent.iterdir()) == []
    site.file = tmp_path / "metrics.txt"
    site.configure()
    assert findings(site.holdfast)["METRICS_FILE"][0] == "warning"
    site.file.mkdir()
    assert findings(site.holdfast)["METRICS_FILE"] == ("failed", f"{site.file} is a folder. Write the path of a file.")
    site.file = Path("/proc/holdfast.prom")  # not even root can make a file there
    site.configure()
    verdict, text = findings(site.holdfast)["METRICS_FILE"]
    assert verdict == "failed"
    assert text.startswith("No file can be made in the folder /proc: ")
