"""What backup.py shows of every backup, and which of them an id or a pattern means."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog import open_catalog
from model import Check, CheckKind, CheckOutcome
from tests.support.holdfast import Holdfast
from tests.support.trees import make_tree


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    return Holdfast(tmp_path / "holdfast")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "tree", files=3)


def file_backup(name: str, path: Path, **keys: object) -> dict[str, object]:
    return {
        "NAME": name,
        "INTERVALS": "0 2 * * *",
        "FILE_PATH": str(path),
        "UPLOAD_TO": {"STORAGE_NAME": "LOCAL"},
        **keys,
    }


def configure(holdfast: Holdfast, **projects: list[dict[str, object]]) -> None:
    """Projects with their file backups; ``_`` in a project's name stands for a space."""
    named = {name.replace("_", " "): backups for name, backups in projects.items()}
    holdfast.write(
        {"PROJECTS": [{"NAME": name, "BACKUPS": [{"FILE_BACKUP": backups}]} for name, backups in named.items()]}
    )


def standings(holdfast: Holdfast) -> dict[str, dict[str, Any]]:
    shown = holdfast.run("backup.py", "--json")
    assert shown.returncode == 0, shown.stderr
    return {standing["backup"]: standing for standing in json.loads(shown.stdout)["backups"]}


@pytest.fixture
def every_standing(holdfast: Holdfast, tree: Path) -> Holdfast:
    """A backup for each way in which one can stand."""
    missing = tree / "missing"
    good = [file_backup(name, tree) for name in ("never", "good", "failed", "interrupted")]
    disabled = file_backup("disabled", tree, ENABLED=False)
    configure(holdfast, shop=[*good, disabled], gone=[file_backup("files", tree)])
    assert holdfast.run("backup.py", "shop/good", "shop/failed", "gone").returncode == 0
    event = {"point": "os.fdatasync", "nth": 1, "when": "before", "signal": signal.SIGTERM}
    assert holdfast.run_command(holdfast.command_with_plan([event], "shop/interrupted")).returncode == 143
    good[2] = file_backup("failed", missing)
    configure(holdfast, shop=[*good, disabled])
    assert holdfast.run("backup.py", "shop/failed").returncode == 1
    return holdfast


def parts(shown: str) -> tuple[list[str], dict[str, dict[str, str]], list[str]]:
    """What needs somebody, the cells of each row of the table by its column, and what is remarked below it."""
    lines = shown.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("BACKUP "))
    end = next((number for number in range(start, len(lines)) if not lines[number]), len(lines))
    header = lines[start]
    names = ["BACKUP", "LAST RUN", "LAST GOOD", "LAST PROVEN", "NEXT RUN", "SIZE", "TREND"]
    columns = [header.index(name) for name in names if name in header]
    found = {}
    for line in lines[start + 1 : end]:
        cells = [line[left:right] for left, right in zip(columns, [*columns[1:], None], strict=True)]
        backup, level = cells[0].split(maxsplit=1)
        found[backup] = dict(zip(["LEVEL", *names[1:]], map(str.strip, [level, *cells[1:]]), strict=False))
    return lines[:start], found, lines[end:]


def test_the_overview_says_how_each_stands(every_standing: Holdfast) -> None:
    shown = every_standing.run("backup.py")
    assert (shown.returncode, shown.stderr) == (0, "")
    notices, rows, remarks = parts(shown.stdout)
    assert notices[0] == "2 of 6 backups need you:"
    failed, interrupted = (
        next(line for line in notices if line.startswith(f"shop/{name}: ")) for name in ("failed", "interrupted")
    )
    assert "cannot be read" in failed
    assert "was interrupted. It was interrupted." in interrupted
    assert "`backup.py shop/failed` runs it again." in "\n".join(notices)
    assert {backup: (row["LEVEL"], row["LAST RUN"].split()[-1]) for backup, row in rows.items()} == {
        "shop/never": ("never run", "never"),
        "shop/good": ("good", "good"),
        "shop/failed": ("failed", "failed"),
        "shop/interrupted": ("warning", "interrupted"),
        "shop/disabled": ("disabled", "never"),
        "gone/files": ("orphaned", "good"),
    }
    assert {backup for backup, row in rows.items() if row["NEXT RUN"]} == {
        *(f"shop/{name}" for name in ("never", "good", "failed", "interrupted"))
    }
    assert any("its copies stay" in line for line in remarks)
    assert any(line.startswith("4 backups are not scheduled") for line in remarks)


def test_the_overview_as_json(every_standing: Holdfast) -> None:
    shown = standings(every_standing)
    last = {backup: standing["last"] and standing["last"]["status"] for backup, standing in shown.items()}
    last_good = {backup for backup, standing in shown.items() if standing["last_good"]}
    assert last == {
        "shop/never": None,
        "shop/good": "good",
        "shop/failed": "failed",
        "shop/interrupted": "interrupted",
        "shop/disabled": None,
        "gone/files": "good",
    }
    assert last_good == {"shop/good", "shop/failed", "gone/files"}
    assert {backup for backup, standing in shown.items() if standing["next_run"] is None} == {
        "shop/disabled",
        "gone/files",
    }
    assert not shown["gone/files"]["configured"]
    assert not shown["shop/disabled"]["enabled"]
    failed = shown["shop/failed"]
    assert failed["last"]["started"] > failed["last_good"]["started"]
    assert "cannot be read" in failed["last"]["message"]


PROVEN = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def check(
    number: int,
    backup_id: str,
    kind: CheckKind = CheckKind.VERIFY,
    outcome: CheckOutcome = CheckOutcome.PASSED,
    message: str = "",
    target: str = "LOCAL",
) -> Check:
    """Of a copy of its own; so many hours after ``PROVEN``."""
    started = PROVEN + timedelta(hours=number)
    copy = f"20261101T{number:02}0000Z"
    return Check(f"{backup_id} {target} {number}", backup_id, kind, copy, target, started, started, outcome, message)


@pytest.fixture
def proven(holdfast: Holdfast, tree: Path) -> Holdfast:
    """A backup for each way in which one can be proven or not. None has run, so that only the checks tell of one."""
    drill, verify = CheckKind.DRILL, CheckKind.VERIFY
    failed, stale, not_done = CheckOutcome.FAILED, CheckOutcome.STALE, CheckOutcome.NOT_DONE
    names = ("never", "verified", "drilled", "stale", "failed", "dead-disk")
    configure(holdfast, shop=[file_backup(name, tree) for name in names])
    catalog = open_catalog(holdfast.state, None)
    for each in (
        check(0, "shop/verified"),
        check(0, "shop/drilled", drill),
        check(1, "shop/drilled"),
        check(0, "shop/stale", drill),
        check(1, "shop/stale", drill, stale, "The newest good copy is of 2026-11-01."),
        check(0, "shop/failed", drill),
        check(1, "shop/failed", verify, failed, "page.html: its CRC-32 differs\nindex.html: the same"),
        check(2, "shop/failed", verify),
        check(3, "shop/failed", drill, not_done, "There is no pg_ctl."),
        *(check(number, "shop/dead-disk", verify, failed) for number in range(5)),
        check(0, "shop/verified", verify, failed, target="LOCAL:before"),
        check(0, "gone/long-ago"),
        check(1, "gone/long-ago", verify, failed, "It is cut off.", target="OLD DISK:backups"),
    ):
        catalog.record_check(each)
    catalog.close()
    return holdfast


def test_the_overview_says_what_is_proven(proven: Holdfast) -> None:
    shown = proven.run("backup.py", env={"TZ": "Etc/GMT-2"})
    assert (shown.returncode, shown.stderr) == (0, "")
    notices, rows, _ = parts(shown.stdout)
    assert {backup: row["LAST PROVEN"] for backup, row in rows.items()} == {
        "shop/never": "never",
        "shop/verified": "verified 2026-11-20 14:30",
        "shop/drilled": "2026-11-20 14:30",
        "shop/stale": "2026-11-20 15:30 stale",
        "shop/failed": "2026-11-20 14:30",
        "shop/dead-disk": "never",
        "gone/long-ago": "verified 2026-11-20 14:30",
    }
    assert [line for line in notices[1:] if line and "shop/dead-disk" not in line] == [
        "shop/failed: failed. The verification of 20261101T010000Z on LOCAL failed at 2026-11-20 15:30. "
        "page.html: its CRC-32 differs",
        "  > `restore.py verify shop/failed@20261101T010000Z --storage LOCAL` shows more.",
        "shop/failed: warning. The drill of 20261101T030000Z on LOCAL could not be done at 2026-11-20 17:30. "
        "There is no pg_ctl.",
        "  > `restore.py verify --drill shop/failed@20261101T030000Z --storage LOCAL` shows more.",
        "gone/long-ago: failed. The verification of 20261101T010000Z on OLD DISK:backups failed at 2026-11-20 15:30. "
        "It is cut off.",
        "  > `restore.py verify gone/long-ago@20261101T010000Z --storage 'OLD DISK'` shows more.",
        "shop/stale: warning. The drill of 20261101T010000Z on LOCAL found it stale at 2026-11-20 15:30. "
        "The newest good copy is of 2026-11-01.",
        "  > `restore.py verify --drill shop/stale@20261101T010000Z --storage LOCAL` shows more.",
        "More that is not told here: 2. backup.py -v tells all of it.",
    ]
    told = [line.split()[5] for line in notices if line.startswith("shop/dead-disk: ")]
    assert told == [f"20261101T{number:02}0000Z" for number in (4, 3, 2)]
    everything = proven.run("backup.py", "-v").stdout
    assert sum(line.startswith("shop/dead-disk: ") for line in everything.splitlines()) == 5


def test_what_is_proven_as_json(proven: Holdfast) -> None:
    shown = standings(proven)
    checks = {
        backup: [
            (standing[key] and (standing[key]["started"], standing[key]["outcome"]))
            for key in ("last_proven", "last_verified")
        ]
        for backup, standing in shown.items()
    }
    first, second, third = ((PROVEN + timedelta(hours=number)).isoformat() for number in range(3))
    assert checks == {
        "shop/never": [None, None],
        "shop/verified": [None, (first, "passed")],
        "shop/drilled": [(first, "passed"), (second, "passed")],
        "shop/stale": [(second, "stale"), None],
        "shop/failed": [(first, "passed"), (third, "passed")],
        "shop/dead-disk": [None, None],
        "gone/long-ago": [None, (first, "passed")],
    }
    last = shown["shop/failed"]["last_checks"]
    assert {kind: check["outcome"] for kind, check in last.items()} == {
        "verify": "passed",
        "drill": "could not be done",
    }
    assert last["drill"]["message"] == "There is no pg_ctl."
    assert [check["copy"] for check in shown["shop/failed"]["damaged"]] == ["20261101T010000Z"]
    assert len(shown["shop/dead-disk"]["damaged"]) == 5
    assert shown["shop/never"]["last_checks"] == {}


def test_an_empty_configuration_says_what_to_do(holdfast: Holdfast) -> None:
    holdfast.write({"PROJECTS": []})
    shown = holdfast.run("backup.py", "-q")
    assert shown.returncode == 0
    assert "There is no backup in" in shown.stdout
    unknown = holdfast.run("backup.py", "shop")
    assert unknown.returncode == 2
    assert "There is no backup in" in unknown.stderr


@pytest.mark.parametrize(
    "damage", [b"", b"no database at all" * 1000, None], ids=["empty", "foreign", "a page of zeros"]
)
def test_backups_go_on_with_a_damaged_catalog(holdfast: Holdfast, tree: Path, damage: bytes | None) -> None:
    configure(holdfast, shop=[file_backup("files", tree)])
    holdfast.back_up()
    database = holdfast.state / "catalog.db"
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    content = database.read_bytes()
    database.write_bytes(content[:4096] + bytes(len(content) - 4096) if damage is None else damage)
    time.sleep(1)  # what began in the same second has the same name, and only the catalog could tell
    run = holdfast.run("backup.py", "shop/files")
    assert run.returncode == 0, run.stderr
    if damage == b"":
        assert run.stderr == ""
    else:
        assert "is damaged" in run.stderr
        assert "It was set aside as" in run.stderr
        (aside,) = holdfast.state.glob("catalog.db.damaged-*")
        assert str(aside) in run.stderr
    assert standings(holdfast)["shop/files"]["last"]["status"] == "good"
    assert holdfast.back_up().stderr == ""
    assert len(holdfast.parts(".manifest.json")) == 3
    assert holdfast.run("restore.py", "verify", "shop/files").returncode == 0


def test_dry_run_writes_nothing(holdfast: Holdfast, tree: Path) -> None:
    configure(holdfast, shop=[file_backup("files", tree)], blog=[file_backup("files", tree / "folder 0")])
    before = sorted(holdfast.folder.rglob("*"))
    shown = holdfast.run("backup.py", "--all", "--dry-run")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "shop/files\n  3 files, 5 folders, 1 link" in shown.stdout
    assert "  to LOCAL\n" in shown.stdout
    documents = json.loads(holdfast.run("backup.py", "--dry-run", "--json", "blog").stdout)["dry_runs"]
    assert [(document["backup"], document["files"], document["folders"]) for document in documents] == [
        ("blog/files", 1, 1)
    ]
    assert sorted(holdfast.folder.rglob("*")) == before


@pytest.fixture
def several(holdfast: Holdfast, tree: Path) -> Holdfast:
    configure(
        holdfast,
        shop=[file_backup("uploads", tree), file_backup("logs", tree)],
        Till_Production=[file_backup("Daily Files", tree), file_backup("off", tree, ENABLED=False)],
        shopping=[file_backup("uploads", tree)],
    )
    return holdfast


SHOP = ["shop/uploads", "shop/logs"]
SELECTIONS = {
    ("shop/uploads",): ["shop/uploads"],
    ("shop",): SHOP,
    ("shop/*",): SHOP,
    ("shop*/uploads",): ["shop/uploads", "shopping/uploads"],
    ("*/uploads", "shop/logs"): ["shop/uploads", "shop/logs", "shopping/uploads"],
    ("SHOP/Uploads",): ["shop/uploads"],
    ("Till Production",): ["Till-Production/Daily-Files"],
    ("till-production/*",): ["Till-Production/Daily-Files"],
    ("Till Production/Daily Files",): ["Till-Production/Daily-Files"],
    ("shop/logs", "shop/logs", "shop"): SHOP,
    ("--all",): [*SHOP, "Till-Production/Daily-Files", "shopping/uploads"],
}


@pytest.mark.parametrize("patterns", SELECTIONS, ids=" ".join)
def test_what_a_pattern_means(several: Holdfast, patterns: tuple[str, ...]) -> None:
    shown = several.run("backup.py", "--dry-run", "--json", *patterns)
    assert shown.returncode == 0, shown.stderr
    assert [document["backup"] for document in json.loads(shown.stdout)["dry_runs"]] == SELECTIONS[patterns]


REFUSALS = {
    ("shop/uplaods",): "There is no backup 'shop/uplaods' in {config}. Did you mean shop/uploads?",
    ("nothing/*",): "There is no backup 'nothing/*' in {config}.",
    ("shop/uploads", "shopp"): "There is no backup 'shopp' in {config}. Did you mean shop?",
    ("till productoin",): "Did you mean Till Production?",
    ("Till Production/off",): "Till-Production/off is disabled: {config}:",
    ("--all", "shop"): "Give either the ids of backups, or --all, or --missed.",
    ("--dry-run",): "--dry-run goes with the ids of backups, or with --all.",
    ("--dry-run", "--missed"): "--dry-run goes with the ids of backups, or with --all.",
    ("--scheduled",): "--scheduled goes with the ids of backups.",
    ("--scheduled", "--all"): "--scheduled goes with the ids of backups.",
}


@pytest.mark.parametrize("arguments", REFUSALS, ids=" ".join)
def test_what_cannot_be_is_refused_before_anything_runs(several: Holdfast, arguments: tuple[str, ...]) -> None:
    ended = several.run("backup.py", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert REFUSALS[arguments].format(config=several.config) in ended.stderr
    assert not several.storage.exists()
    as_json = several.run("backup.py", *arguments, "--json")
    assert as_json.returncode == 2
    assert json.loads(as_json.stdout)["error"]["type"] == "UsageError"
