"""main.py as a person and as cron run it: the real program, with a stand-in for crontab(1)."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from model import Run, RunStatus
from tests.support.configurations import file_backup, write
from tests.support.crontab import StandInCrontab
from utils import utc_now

ROOT = Path(__file__).resolve().parent.parent
FOREIGN = b"MAILTO=me\r\n\xff 50%\n* * * * * job"


class Machine:
    """A folder with a configuration, and a crontab: the two things that main.py knows of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.crontab = StandInCrontab(folder / "cron")
        self.config = write(folder, file_backup(NAME="uploads", INTERVALS='["0 2 * * *", "@weekly"]'))
        self.environment = {"PATH": self.crontab.path}

    def main(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run main.py with next to no environment, as cron does."""
        return subprocess.run(
            [sys.executable, ROOT / "main.py", *arguments],
            capture_output=True,
            text=True,
            env=self.environment | environment,
            cwd="/",
        )

    def good(self, *arguments: str | Path) -> str:
        result = self.main("--config", self.config, *arguments)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def own_lines(machine: Machine) -> list[str]:
    return [line for line in (machine.crontab.text or b"").decode("latin-1").splitlines() if " # holdfast:" in line]


def everything_below(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.is_file()}


# --- sync -------------------------------------------------------------------------------------------------------


def test_the_first_sync_installs_every_line(machine: Machine) -> None:
    machine.crontab.text = FOREIGN
    assert "3 scheduled lines" in machine.good()
    python = Path(sys.prefix, "bin", "python") if sys.prefix != sys.base_prefix else sys.executable
    command = f"{python} {ROOT}/backup.py --config {machine.config}"
    assert own_lines(machine) == [
        f"0 2 * * * {command} --scheduled shop/uploads # holdfast:{machine.config}",
        f"@weekly {command} --scheduled shop/uploads # holdfast:{machine.config}",
        f"@reboot {command} --missed # holdfast:{machine.config}",
    ]
    assert (machine.crontab.text or b"").startswith(FOREIGN + b"\n# Holdfast wrote")
    assert machine.crontab.writes == 1


def test_an_unchanged_sync_is_silent_and_writes_nothing(machine: Machine) -> None:
    machine.good()
    reads, before = machine.crontab.reads, everything_below(machine.folder / "state")
    assert machine.good() == ""
    assert machine.good("sync") == ""
    assert (machine.crontab.writes, machine.crontab.reads) == (1, reads + 2)
    assert everything_below(machine.folder / "state") == before


def test_on_a_terminal_it_says_that_nothing_changed(machine: Machine) -> None:
    machine.good()
    ours, theirs = pty.openpty()
    command = [sys.executable, str(ROOT / "main.py"), "--config", str(machine.config)]
    assert subprocess.run(command, env=machine.environment, stdout=theirs).returncode == 0
    assert b"unchanged: it has 3 scheduled lines" in os.read(ours, 10_000)
    os.close(ours)
    os.close(theirs)


def test_a_change_of_the_configuration_reaches_the_crontab(machine: Machine) -> None:
    machine.good()
    write(machine.folder, file_backup(NAME="uploads", INTERVALS='"@daily"'))
    said = json.loads(machine.good("sync", "--json"))
    assert [line[:6] for line in said["added"]] == ["@daily"]
    assert [line[:9] for line in said["removed"]] == ["0 2 * * *", "@weekly /"]
    assert (said["changed"], len(own_lines(machine)), machine.crontab.writes) == (True, 2, 2)


def test_what_is_disabled_leaves(machine: Machine) -> None:
    machine.crontab.text = FOREIGN + b"\n"
    machine.good()
    write(machine.folder, file_backup(NAME="uploads", ENABLED="false"))
    machine.good()
    assert machine.crontab.text == FOREIGN + b"\n"


def test_two_configurations_share_a_crontab(machine: Machine) -> None:
    other = machine.folder / "other"
    other.mkdir()
    write(other, file_backup(NAME="files"))
    machine.good()
    first = machine.crontab.text
    assert machine.main("--config", other / "config.yaml").returncode == 0
    assert len(own_lines(machine)) == 5
    assert machine.good() == ""
    assert machine.main("remove", "--config", other / "config.yaml").returncode == 0
    assert machine.crontab.text == first


def test_an_env_file_that_sync_was_given_is_given_to_the_backups(machine: Machine) -> None:
    env_file = machine.folder / "other.env"
    env_file.write_text("")
    machine.good("--env-file", env_file)
    assert all(f" --env-file {env_file} " in line for line in own_lines(machine))


def test_a_wrong_configuration_touches_nothing(machine: Machine) -> None:
    machine.crontab.text = FOREIGN
    write(machine.folder, file_backup(NAME="uploads", INTERVALS='"61 * * * *"', FILE_PHAT="/x"))
    result = machine.main("--config", machine.config)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("config.yaml:") == 2
    result = machine.main("--config", machine.config, "--json")
    assert (result.returncode, len(json.loads(result.stdout)["error"]["problems"])) == (2, 2)
    assert (machine.crontab.text, machine.crontab.reads) == (FOREIGN, 0)


def test_a_crontab_that_cannot_be_read_is_not_written(machine: Machine) -> None:
    machine.crontab.text = FOREIGN
    machine.crontab.fail_to_list(1, b"You are not allowed to use this program (crontab)")
    result = machine.main("--config", machine.config)
    assert result.returncode == 1
    assert "not allowed" in result.stderr and "Nothing was changed" in result.stderr
    assert (machine.crontab.text, machine.crontab.writes) == (FOREIGN, 0)
    assert not (machine.folder / "state").exists()


def test_a_crontab_that_another_program_changes_is_not_written(machine: Machine) -> None:
    machine.crontab.text = FOREIGN
    machine.crontab.change_at_read(2, b"@hourly theirs\n")
    result = machine.main("--config", machine.config)
    assert (result.returncode, machine.crontab.text, machine.crontab.writes) == (1, b"@hourly theirs\n", 0)


def test_without_cron_the_message_says_what_to_install(machine: Machine, tmp_path: Path) -> None:
    result = machine.main("--config", machine.config, PATH=str(tmp_path))
    assert result.returncode == 1
    assert "There is no crontab program" in result.stderr and "backup.py --all" in result.stderr


def test_any_path_and_any_locale_will_do(machine: Machine) -> None:
    folder = machine.folder / "it's 100% \udcff"
    folder.mkdir()
    config = write(folder, file_backup(NAME="dé jà"))
    texts = []
    for environment in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "C.UTF-8"}):
        for arguments in (("plan",), ("sync",), ("plan", "--check")):
            result = machine.main(*arguments, "--config", config, **environment)
            assert (result.returncode, result.stderr) == (0, "")
        texts.append(machine.crontab.text)
    assert texts[0] == texts[1] == texts[2]
    assert "--scheduled 'shop/dé-jà'".encode() in (texts[0] or b"")


def test_no_secret_reaches_crontab_or_output(machine: Machine) -> None:
    canary = "canary-7f3a9c"
    text = (
        file_backup(NAME="uploads")
        .replace("FILE_BACKUP", "DB_BACKUP")
        .replace("FILE_PATH: /srv/shop", "DB_INFO: {NAME: shop, PASSWORD: canary-7f3a9c}")
    )
    write(machine.folder, text, env=f"S3_BUCKET=x\nAWS_SECRET_ACCESS_KEY={canary}\n")
    for arguments in (["plan"], ["sync", "-v"], ["plan", "--json"], ["validate"], ["sync", "--json"], ["remove"]):
        result = machine.main("--config", machine.config, *arguments)
        assert result.returncode == 0
        assert canary not in result.stdout + result.stderr
        assert canary.encode() not in (machine.crontab.text or b"")


# --- plan -------------------------------------------------------------------------------------------------------


def test_plan_shows_and_writes_nothing(machine: Machine) -> None:
    shown = machine.good("plan")
    assert "\n+@weekly " in shown and "shop/uploads  20" in shown
    assert (machine.crontab.text, machine.crontab.writes) == (None, 0)
    assert not (machine.folder / "state").exists()


def test_check_is_an_exit_code(machine: Machine) -> None:
    def check() -> tuple[int, str]:
        result = machine.main("--config", machine.config, "plan", "--check", "--quiet")
        return result.returncode, result.stdout + result.stderr

    assert check() == (1, "")
    machine.good()
    assert check() == (0, "")
    machine.crontab.text = (machine.crontab.text or b"").replace(b"0 2 * * *", b"0 3 * * *")
    assert check() == (1, "")


def test_plan_is_json_too(machine: Machine) -> None:
    machine.crontab.text = b'MAILTO=""\n'
    plan = json.loads(machine.good("plan", "--json"))
    assert plan["changed"] is True
    assert len(plan["next_runs"]["shop/uploads"]) == 3
    assert [line for line in plan["diff"] if line.startswith("+@reboot")]
    assert "no mail" in plan["warnings"][0]


def test_plan_shows_no_control_characters_of_a_crontab(machine: Machine) -> None:
    machine.crontab.text = b"# \x1b[2J\xff\n"
    assert r"# \x1b[2J\xff" in machine.good("plan")


def test_plan_warns_of_settings_and_of_orphans(machine: Machine) -> None:
    machine.crontab.text = b"SHELL=/usr/bin/perl\n@daily old # holdfast:/nowhere/config.yaml\n"
    warnings = machine.main("--config", machine.config, "plan").stderr
    assert "Line 1 of the crontab sets SHELL=/usr/bin/perl" in warnings
    assert "lines of /nowhere/config.yaml, which does not exist" in warnings


def test_plan_warns_of_a_zone_that_cron_does_not_have(machine: Machine) -> None:
    """Kathmandu is a quarter of an hour beside everybody else, and so hardly the zone of this machine."""
    result = machine.main("--config", machine.config, "plan", TZ="Asia/Kathmandu")
    assert "TZ is set here, so the times are those of Asia/Kathmandu" in result.stderr
    assert "NEXT RUNS (Asia/Kathmandu)" in result.stdout


PROVED = """{INTERVALS: ["0 5 * * 0", "@monthly"], DRILL: {INTERVALS: "0 6 1 * *"}}"""


def test_verifications_and_drills_are_scheduled_planned_and_removed_as_backups_are(machine: Machine) -> None:
    machine.crontab.text = FOREIGN + b"\n"
    machine.good()
    without = machine.crontab.text
    write(machine.folder, file_backup(NAME="uploads", INTERVALS='["0 2 * * *", "@weekly"]', VERIFY=PROVED))
    said = json.loads(machine.good("sync", "--json"))
    assert (len(said["added"]), said["removed"]) == (3, [])
    assert [line for line in own_lines(machine) if f"{ROOT}/restore.py --config {machine.config} verify " in line] == (
        said["added"]
    )
    assert (machine.good(), machine.good("plan", "--check", "--quiet")) == ("", "")

    shown = machine.good("plan").splitlines()
    assert [line.split()[0] for line in shown[shown.index("") + 1 :]] == ["BACKUP", "shop/uploads", "verify", "drill"]
    planned = json.loads(machine.good("plan", "--json"))
    assert [len(planned[kind]["shop/uploads"]) for kind in ("next_runs", "next_verifications")] == [3, 3]
    first, second, _ = map(datetime.fromisoformat, planned["next_drills"]["shop/uploads"])
    assert timedelta(days=28) <= second - first < timedelta(days=32)

    write(machine.folder, file_backup(NAME="uploads", ENABLED="no", VERIFY=PROVED))
    planned = json.loads(machine.good("plan", "--json"))
    assert (planned["next_runs"], planned["next_drills"]) == ({"shop/uploads": []}, {})
    assert len([line for line in planned["diff"] if line.startswith("-") and "restore.py" in line]) == 3
    write(machine.folder, file_backup(NAME="uploads", INTERVALS='["0 2 * * *", "@weekly"]'))
    machine.good()
    assert machine.crontab.text == without
    write(machine.folder, file_backup(NAME="uploads", INTERVALS='["0 2 * * *", "@weekly"]', VERIFY=PROVED))
    machine.good()
    assert "7 lines" in machine.good("remove")
    assert machine.crontab.text == FOREIGN + b"\n"


# --- validate, schema, remove -----------------------------------------------------------------------------------


def test_validate_touches_nothing(machine: Machine) -> None:
    assert "is valid: 1 backup." in machine.good("validate")
    assert json.loads(machine.good("validate", "--json"))["backups"] == ["shop/uploads"]
    assert (machine.crontab.reads, machine.crontab.writes) == (0, 0)
    assert not (machine.folder / "state").exists()


def test_schema_prints_the_file_that_lies_beside_it(machine: Machine) -> None:
    assert json.loads(machine.good("schema")) == json.loads((ROOT / "config.schema.json").read_text())


def test_remove_undoes_sync_and_needs_no_configuration(machine: Machine) -> None:
    machine.crontab.text = FOREIGN + b"\n"
    machine.good()
    machine.config.unlink()
    assert "4 lines" in machine.good("remove")
    assert machine.crontab.text == FOREIGN + b"\n"
    assert "0 lines" in machine.good("remove")
    assert machine.crontab.writes == 2


def test_orphans_are_removed_and_nobody_else(machine: Machine) -> None:
    machine.good()
    alive = machine.crontab.text
    moved = machine.folder / "moved"
    moved.mkdir()
    write(moved, file_backup(NAME="files"))
    machine.main("--config", moved / "config.yaml")
    moved.rename(machine.folder / "elsewhere")
    removed = json.loads(machine.good("remove", "--orphaned", "--json"))["removed"]
    assert [str(moved) in line for line in removed] == [True, True, True]
    assert machine.crontab.text == alive


def test_remove_warns_of_a_line_that_would_put_them_back(machine: Machine) -> None:
    machine.crontab.text = f"* * * * * python {ROOT}/main.py\n".encode()
    assert "remove that line" in machine.main("--config", machine.config, "remove").stderr.lower()


@pytest.mark.parametrize("arguments", [[], ["sync"], ["plan"], ["validate"], ["schema"], ["remove"]])
def test_every_command_explains_itself(machine: Machine, arguments: list[str]) -> None:
    result = machine.main(*arguments, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "examples:\n" in result.stdout and "--config FILE" in result.stdout


@pytest.mark.parametrize(
    "arguments", [["unknown"], ["plan", "--unknown"], ["--quiet", "--verbose"], ["plan", "--chec"]]
)
def test_a_wrong_command_line_is_a_usage_error(machine: Machine, arguments: list[str]) -> None:
    result = machine.main(*arguments)
    assert (result.returncode, machine.crontab.reads) == (2, 0)
    assert "usage: main.py" in result.stderr


# --- missed runs ------------------------------------------------------------------------------------------------


def test_a_missed_run_is_made_up_for_once_and_said(machine: Machine) -> None:
    content = machine.folder / "content"
    content.mkdir()
    (content / "file").write_text("precious")
    write(machine.folder, file_backup(NAME="uploads", FILE_PATH=str(content), INTERVALS='"0 */2 * * *"'))
    machine.good()
    scheduled_earlier(machine)

    said = machine.good()
    assert "Missed while this machine or its cron was off" in said and "shop/uploads" in said
    assert machine.good() == ""
    run = finished_run(machine)
    assert (run.status, run.slot is not None) == (RunStatus.GOOD, True)
    log = said_by_missed(machine)
    assert "shop/uploads: good" in log and "caught up" in log

    (machine.folder / "state" / "schedule.json").unlink()
    assert machine.good() == ""


def scheduled_earlier(machine: Machine) -> None:
    """As if the schedule stood since yesterday, and nothing looked for missed runs since."""
    catalog = open_catalog(machine.folder / "state", None)
    catalog.record_schedule({}, utc_now())
    catalog.record_schedule({"shop/uploads": ("0 */2 * * *",)}, utc_now() - timedelta(days=1))
    catalog.close()
    (machine.folder / "state" / "schedule.json").unlink()


def said_by_missed(machine: Machine) -> str:
    """What the process in the background has printed when it ends, which is after its run."""
    deadline = time.monotonic() + 60
    log = machine.folder / "state" / "logs" / "missed.log"
    while not log.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    return log.read_text()


def finished_run(machine: Machine) -> Run:
    deadline = time.monotonic() + 60
    catalog = open_catalog(machine.folder / "state", None)
    try:
        while time.monotonic() < deadline:
            runs = catalog.runs("shop/uploads", 10)
            assert len(runs) <= 1
            if runs and runs[0].status is not RunStatus.RUNNING:
                return runs[0]
            time.sleep(0.05)
    finally:
        catalog.close()
    raise AssertionError((machine.folder / "state" / "logs" / "missed.log").read_text())


def test_a_tree_that_is_reached_by_a_link_stays_reached_by_it(machine: Machine) -> None:
    """An upgrade that exchanges the link must find its own lines again."""
    link = machine.folder / "current"
    link.symlink_to(ROOT)
    subprocess.run(
        [sys.executable, link / "main.py", "--config", machine.config], env=machine.environment, check=True, cwd="/"
    )
    assert [f" {link}/backup.py " in line for line in own_lines(machine)] == [True, True, True]
