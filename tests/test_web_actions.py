"""Acting from the web: runs, verifications, drills and restores as processes of their own, and cancelling them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from accounts import Role
from model import RunStatus
from operations.activities import activities
from tests.support.archives import snapshot
from tests.support.dashboard import Client, Dashboard, dashboard, installation, running_dashboard
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.processes import command_lines
from tests.support.trees import make_tree
from tests.support.waiting import wait_for

__all__ = ["dashboard", "installation"]

COMMAND_ID = "shop/slow"
FILES, SLOW = f"/api/v1/backups/{BACKUP_ID}", f"/api/v1/backups/{COMMAND_ID}"


@pytest.fixture
def installation_with_slow(installation: Holdfast, tmp_path: Path) -> Holdfast:
    """shop/files of a tree with names of all kinds, and shop/slow, which never ends."""
    tree = make_tree(tmp_path / "tree")
    for name in ("-rf", "--to", "a b; $(touch x)", "[a]*?", "ü"):
        (tree / name).write_text(name)
    common = {"INTERVALS": "0 2 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
    slow = {"NAME": "slow", "COMMAND": ["sleep", "31536033"], "FILENAME": "out", **common}
    files = {"NAME": "files", "FILE_PATH": [str(tree)], **common}
    backups = [{"FILE_BACKUP": [files]}, {"COMMAND_BACKUP": [slow]}]
    installation.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": backups}]})
    return installation


@pytest.fixture
def site(installation_with_slow: Holdfast) -> Iterator[Dashboard]:
    with running_dashboard(installation_with_slow) as dashboard:
        yield dashboard
        end_all(installation_with_slow)


def end_all(holdfast: Holdfast) -> None:
    for activity in activities(holdfast.state):
        os.kill(activity.process, signal.SIGKILL)


def accepted(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    if "outcome" in document:
        assert answer.headers["Location"] == f"/api/v1/jobs/{document['id']}"
    return document


def problem(answer: requests.Response, status: int) -> str:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    return str(answer.json()["detail"])


def ended(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get(f"/api/v1/jobs/{job['id']}").json()
        return found if found["outcome"] != "running" else None

    found: dict[str, Any] = wait_for(look)
    return found


def activity_of(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        current = client.get(f"/api/v1/jobs/{job['id']}").json()
        running = client.get("/api/v1/activities").json()["activities"]
        return next((each for each in running if each["id"] == current["activity"]), None)

    found: dict[str, Any] = wait_for(look)
    return found


def audited(dashboard: Dashboard) -> list[tuple[str, str, str]]:
    lines = [json.loads(line) for line in dashboard.audit_log.read_text().splitlines()]
    return [(line["action"], line["object"], line["outcome"]) for line in lines]


def test_a_run_from_the_web_is_as_one_by_hand(site: Dashboard) -> None:
    client = site.client()
    job = ended(client, accepted(client.post(f"{FILES}/run")))
    (run,) = site.catalog.runs(BACKUP_ID, 10)
    assert (job["outcome"], job["exit_code"], job["who"], job["backup"]) == ("good", 0, "olga", BACKUP_ID)
    assert job["run"] == run.id
    assert (run.status, run.slot) == (RunStatus.GOOD, None)
    assert job["output"].startswith(f"{BACKUP_ID}: good.")
    assert [each["id"] for each in client.get("/api/v1/jobs").json()["jobs"]] == [job["id"]]
    assert audited(site) == [("run", BACKUP_ID, "started")]
    folder = site.holdfast.state / "jobs"
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        f"{job['id']}.json": 0o600,
        f"{job['id']}.log": 0o600,
    }


def test_a_run_is_seen_and_cancelled_and_leaves_nothing(site: Dashboard) -> None:
    client = site.client()
    job = accepted(client.post(f"{SLOW}/run"))
    activity = activity_of(client, job)
    assert (activity["kind"], activity["backup"]) == ("backup", COMMAND_ID)
    assert client.get(f"/api/v1/jobs/{job['id']}").json()["run"] == activity["id"]
    detail = problem(client.post(f"{SLOW}/run"), 409)
    assert detail.startswith(f"{COMMAND_ID} is being backed up since ")
    assert accepted(client.post(f"/api/v1/activities/{activity['id']}/cancel"))["backup"] == COMMAND_ID
    job = ended(client, job)
    assert (job["outcome"], job["exit_code"], job["run"]) == ("cancelled", 143, activity["id"])
    assert "Interrupted by SIGTERM" in job["output"]
    run = site.catalog.run(activity["id"])
    assert run is not None
    assert run.status is RunStatus.INTERRUPTED
    assert [line for line in command_lines() if b"31536033" in line] == []
    assert list((site.holdfast.state / "running").iterdir()) == []
    assert [path for path in site.holdfast.storage.rglob("*") if path.is_file()] == []
    problem(client.post(f"/api/v1/activities/{activity['id']}/cancel"), 404)
    assert audited(site)[-1] == ("cancel", f"backup {COMMAND_ID}", "asked to end")
    assert audited(site)[1][2].startswith("refused: ")


def test_a_second_start_is_refused_before_the_first_has_begun(site: Dashboard) -> None:
    client = site.client()
    first, second = client.post(f"{SLOW}/run"), client.post(f"{SLOW}/run")
    assert activity_of(client, accepted(first))["backup"] == COMMAND_ID
    problem(second, 409)


def test_a_run_started_elsewhere_is_seen_and_a_job_that_meets_its_lock_says_so(site: Dashboard) -> None:
    client = site.client()
    process = site.holdfast.start("backup.py", "--scheduled", COMMAND_ID)
    (activity,) = wait_for(lambda: client.get("/api/v1/activities").json()["activities"])
    assert activity["process"] == process.pid
    (site.holdfast.state / "running" / f"{activity['id']}.json").unlink()  # as where its disk is full
    process.send_signal(signal.SIGSTOP)
    job = ended(client, accepted(client.post(f"{SLOW}/run")))
    assert (job["outcome"], job["exit_code"], job["run"]) == ("not started", 11, None)
    assert "is running already" in job["output"]
    process.kill()
    process.communicate()


def test_verification_and_drill(site: Dashboard) -> None:
    site.holdfast.back_up()
    (run,) = site.catalog.runs(BACKUP_ID, 10)
    client = site.client()
    timestamp = run.started.strftime("%Y%m%dT%H%M%SZ")
    for body in (None, {}, {"timestamp": timestamp}, {"timestamp": timestamp, "target": "LOCAL"}):
        job = ended(client, accepted(client.post(f"{FILES}/verify", json=body)))
        assert (job["outcome"], job["kind"], job["run"]) == ("good", "verify", None)
        assert f"{BACKUP_ID}@{timestamp} on LOCAL: sound." in job["output"]
    job = ended(client, accepted(client.post(f"{FILES}/drill")))
    assert (job["outcome"], job["kind"]) == ("good", "drill")
    assert "drill passed" in job["output"]
    checks = site.catalog.last_checks([BACKUP_ID])[BACKUP_ID]
    assert checks.proven is not None


@pytest.mark.parametrize("paths", [[], ["-rf", "--to", "a b; $(touch x)", "[a]*?", "ü"]], ids=["all", "some"])
def test_a_restore_into_a_new_folder_is_the_same_byte_for_byte(
    site: Dashboard, tmp_path: Path, paths: list[str]
) -> None:
    site.holdfast.back_up()
    (run,) = site.catalog.runs(BACKUP_ID, 10)
    client = site.client()
    tree = tmp_path / "tree"
    inside = tree.relative_to("/")
    wanted = {
        "timestamp": run.started.strftime("%Y%m%dT%H%M%SZ"),
        "target": "LOCAL",
        "folder_name": "back-1.0_a",
        "paths": [f"{inside}/{path}" for path in paths],
    }
    job = ended(client, accepted(client.post(f"{FILES}/restore", json=wanted)))
    folder = site.holdfast.state / "restored" / "back-1.0_a"
    assert (job["outcome"], job["folder"]) == ("good", str(folder)), job["output"]
    if paths:
        assert {path.name: path.read_text() for path in (folder / inside).iterdir()} == {each: each for each in paths}
    else:
        assert snapshot(folder / inside) == snapshot(tree)
    assert folder.stat().st_mode & 0o777 == 0o700
    before = snapshot(folder)
    assert "is there already" in problem(client.post(f"{FILES}/restore", json=wanted), 409)
    assert snapshot(folder) == before
    assert audited(site)[0] == ("restore", f"{BACKUP_ID}@{wanted['timestamp']}", f"started into {folder}")


def test_what_fails_to_restore_says_so_and_leaves_no_empty_folder(site: Dashboard) -> None:
    site.holdfast.back_up()
    client = site.client()
    wanted = {"timestamp": "20200101T000000Z", "target": "LOCAL", "folder_name": "back"}
    job = ended(client, accepted(client.post(f"{FILES}/restore", json=wanted)))
    assert (job["outcome"], job["exit_code"]) == ("failed", 2)
    assert "20200101T000000Z" in job["output"]
    assert list((site.holdfast.state / "restored").iterdir()) == []


NAMES = ["", ".", "..", "../x", "a/b", "/etc", "-rf", "--to", ".hidden", "x" * 300, "a\0b", "a\nb", "a ", "ü", "a\\b"]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_a_folder_leads_elsewhere(dashboard: Dashboard, name: str) -> None:
    wanted = {"timestamp": "20200101T000000Z", "target": "LOCAL", "folder_name": name}
    problem(dashboard.client().post(f"{FILES}/restore", json=wanted), 422)
    assert dashboard.client().get("/api/v1/jobs").json() == {"jobs": []}
    assert not (dashboard.holdfast.state / "restored").exists()


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("verify", {"timestamp": "--all"}),
        ("verify", {"timestamp": "latest"}),
        ("verify", {"timestamp": "20200101T000000Z\n"}),
        ("verify", {"target": "--help"}),
        ("verify", {"target": "OTHER"}),
        ("verify", {"storage": "LOCAL"}),
        ("verify", []),
        ("restore", {}),
        ("restore", {"timestamp": "20200101T000000Z", "target": "LOCAL", "folder_name": "x", "paths": ["a\0"]}),
        ("restore", {"timestamp": "20200101T000000Z", "target": "LOCAL", "folder_name": "x", "paths": [""]}),
        ("restore", {"timestamp": "20200101T000000Z", "target": "LOCAL", "folder_name": "x", "paths": ["a"] * 501}),
        ("restore", {"timestamp": "20200101T000000Z", "target": "/etc", "folder_name": "x"}),
        ("restore", {"timestamp": "20200101T000000Z", "target": "LOCAL", "folder_name": "x", "to": "/"}),
    ],
)
def test_what_is_not_understood_starts_nothing(dashboard: Dashboard, action: str, body: object) -> None:
    problem(dashboard.client().post(f"{FILES}/{action}", json=body), 422)
    assert dashboard.client().get("/api/v1/jobs").json() == {"jobs": []}


@pytest.mark.parametrize("backup", ["shop/other", "shop/%2A", "--all/x", "shop/..", "%2E%2E/files", "shop/files%00"])
def test_only_backups_of_the_configuration_are_known(dashboard: Dashboard, backup: str) -> None:
    client = dashboard.client()
    for action in ("run", "verify", "drill"):
        problem(client.post(f"/api/v1/backups/{backup}/{action}"), 404)
    assert client.get("/api/v1/jobs").json() == {"jobs": []}


ACTIONS = [f"{FILES}/run", f"{FILES}/verify", f"{FILES}/drill", f"/api/v1/activities/{'0' * 32}/cancel"]


def test_a_viewer_sees_and_does_nothing(dashboard: Dashboard) -> None:
    for viewer in (dashboard.client(Role.VIEWER), dashboard.program(Role.VIEWER)):
        for path in ACTIONS:
            problem(viewer.post(path), 403)
        wanted = {"timestamp": "20200101T000000Z", "target": "LOCAL", "folder_name": "x"}
        problem(viewer.post(f"{FILES}/restore", json=wanted), 403)
        assert viewer.get("/api/v1/jobs").json() == {"jobs": []}
        assert viewer.get("/api/v1/activities").json() == {"activities": []}
    assert dashboard.catalog.runs(BACKUP_ID, 10) == []


@pytest.mark.parametrize("job_id", ["0" * 32, "x", "..%2F..%2Fconfig", "%00"])
def test_an_unknown_job_is_not_found(dashboard: Dashboard, job_id: str) -> None:
    assert dashboard.client().get(f"/api/v1/jobs/{job_id}").status_code in (404, 422)


def test_a_configuration_that_is_broken_by_now_is_told_by_the_job(site: Dashboard) -> None:
    client = site.client()
    site.holdfast.config.write_text(site.holdfast.config.read_text().replace("FILE_PATH", "FILE_PATHS"))
    job = ended(client, accepted(client.post(f"{FILES}/run")))
    assert (job["outcome"], job["exit_code"], job["run"]) == ("failed", 2, None)
    assert "config.yaml" in job["output"]
    assert "FILE_PATHS" in job["output"]


def test_a_disabled_backup_is_not_run(installation: Holdfast, tmp_path: Path) -> None:
    installation.configure(tmp_path / "source", ENABLED=False)
    with running_dashboard(installation) as dashboard:
        assert "disabled" in problem(dashboard.client().post(f"{FILES}/run"), 409)


def test_no_more_than_some_jobs_run_at_once(installation: Holdfast) -> None:
    common = {"INTERVALS": "0 2 * * *", "COMMAND": ["sleep", "31536034"], "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
    backups = [{"NAME": f"b{number}", "FILENAME": "x", **common} for number in range(9)]
    installation.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"COMMAND_BACKUP": backups}]}]})
    with running_dashboard(installation) as dashboard:
        client = dashboard.client()
        jobs = [accepted(client.post(f"/api/v1/backups/shop/b{number}/run")) for number in range(8)]
        problem(client.post("/api/v1/backups/shop/b8/run"), 429)
        for job in jobs:
            activity = activity_of(client, job)
            accepted(client.post(f"/api/v1/activities/{activity['id']}/cancel"))
        for job in jobs:
            assert ended(client, job)["outcome"] == "cancelled"


def test_a_run_goes_on_when_the_dashboard_ends_and_the_next_one_finds_it(installation_with_slow: Holdfast) -> None:
    with running_dashboard(installation_with_slow) as first:
        job = accepted(first.client().post(f"{SLOW}/run"))
        activity = activity_of(first.client(), job)
    assert [each.id for each in activities(installation_with_slow.state)] == [activity["id"]]
    with running_dashboard(installation_with_slow) as second:
        client = second.client()
        assert activity_of(client, job)["id"] == activity["id"]
        accepted(client.post(f"/api/v1/activities/{activity['id']}/cancel"))
        job = ended(client, job)
        assert (job["outcome"], job["who"], job["run"]) == ("cancelled", "olga", activity["id"])


def test_what_killed_everything_is_no_run_that_goes_on(site: Dashboard) -> None:
    client = site.client()
    job = accepted(client.post(f"{SLOW}/run"))
    activity = activity_of(client, job)
    (parent,) = [pid for pid, line in parents().items() if job["id"].encode() in line]
    os.kill(parent, signal.SIGKILL)
    os.kill(activity["process"], signal.SIGKILL)
    job = ended(client, job)
    assert (job["outcome"], job["exit_code"]) == ("failed", 137)
    assert wait_for(lambda: client.get("/api/v1/activities").json() == {"activities": []})


def parents() -> dict[int, bytes]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if b"job_process.py" in line:
            found[int(path.parent.name)] = line
    return found


def test_of_much_output_the_beginning_and_the_end_are_kept(tmp_path: Path) -> None:
    job, output = tmp_path / "job.json", tmp_path / "job.log"
    job.write_text(json.dumps({"folder": ""}))
    program = Path(__file__).resolve().parent.parent / "web" / "job_process.py"
    with output.open("wb") as file:
        command = ["sh", "-c", "seq 1 200000; seq 1 200000 >&2; exit 7"]
        subprocess.run([sys.executable, "-I", "-S", program, job, *command], stdout=file, check=True)
    document = json.loads(job.read_text())
    assert (document["exit_code"], document["process"] > 0) == (7, True)
    text = output.read_text()
    assert len(text) < 140_000
    assert text.startswith("1\n2\n3\n")
    assert text.endswith("199999\n200000\n")
    assert "bytes are left out here" in text
