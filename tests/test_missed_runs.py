"""Which runs were missed: decided by the catalog, and by nothing that only seems to run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from model import Backup, Configuration, FileSource, Run, RunStatus
from operations.locks import lock_backup
from operations.running import catch_up
from operations.running.missed import missed_runs, sole_catch_up
from schedules.times import GRACE, latest_slot

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# Noon, so that the latest of the daily slots is in the morning of the same day in every zone that tests run in.
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAILY = ("0 2 * * *",)


def slot_before(moment: datetime) -> datetime:
    slot = latest_slot(DAILY, moment)
    assert slot is not None
    return slot


SLOT = slot_before(NOW - GRACE)


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return Configuration(tmp_path / "config.yaml", (backup("uploads"),), {}, tmp_path / "state")


@pytest.fixture
def catalog(configuration: Configuration) -> Iterator[Catalog]:
    catalog = open_catalog(configuration.state_directory, None)
    catalog.record_schedule({"shop/uploads": DAILY}, SLOT - DAY)
    yield catalog
    catalog.close()


def backup(name: str, intervals: tuple[str, ...] = DAILY, *, enabled: bool = True) -> Backup:
    return Backup(f"shop/{name}", "shop", name, FileSource(("/srv",)), intervals, (), enabled=enabled)


numbers = count()


def ran(
    catalog: Catalog,
    status: RunStatus,
    started: datetime,
    *,
    slot: datetime | None = None,
    backup: str = "shop/uploads",
) -> None:
    run = Run(f"run-{next(numbers)}", backup, started, slot)
    catalog.begin_run(run)
    if status is not RunStatus.RUNNING:
        catalog.finish_run(Run(run.id, backup, started, slot, started + MINUTE, status))


def missed(configuration: Configuration, catalog: Catalog, now: datetime = NOW) -> list[tuple[str, datetime]]:
    return [(backup.id, slot) for backup, slot in missed_runs(configuration, catalog, now)]


MISSED = [("shop/uploads", SLOT)]


def test_a_slot_without_a_run_was_missed(configuration: Configuration, catalog: Catalog) -> None:
    assert missed(configuration, catalog) == MISSED


def test_a_young_slot_is_not_missed_yet(configuration: Configuration, catalog: Catalog) -> None:
    ran(catalog, RunStatus.GOOD, SLOT - DAY, slot=SLOT - DAY)
    assert missed(configuration, catalog, SLOT + GRACE - timedelta(seconds=1)) == []
    assert missed(configuration, catalog, SLOT + GRACE) == MISSED


def test_what_was_due_before_the_schedule_was_installed_was_never_promised(
    configuration: Configuration, catalog: Catalog
) -> None:
    catalog.record_schedule({"shop/uploads": ("0 3 * * *",)}, SLOT)
    catalog.record_schedule({"shop/uploads": DAILY}, SLOT)
    assert missed(configuration, catalog) == []


def test_a_backup_that_was_never_scheduled_missed_nothing(configuration: Configuration, catalog: Catalog) -> None:
    catalog.record_schedule({}, NOW)
    assert missed(configuration, catalog) == []


def test_a_disabled_backup_missed_nothing(configuration: Configuration, catalog: Catalog) -> None:
    disabled = Configuration(configuration.path, (backup("uploads", enabled=False),), {}, configuration.state_directory)
    assert missed(disabled, catalog) == []


@pytest.mark.parametrize("status", [RunStatus.GOOD, RunStatus.PARTIAL, RunStatus.FAILED])
@pytest.mark.parametrize("started", [SLOT, SLOT + HOUR, NOW - MINUTE])
@pytest.mark.parametrize("is_scheduled", [True, False])
def test_a_run_for_the_slot_or_after_it_fulfils_it(
    configuration: Configuration, catalog: Catalog, status: RunStatus, started: datetime, is_scheduled: bool
) -> None:
    ran(catalog, status, started, slot=SLOT if is_scheduled else None)
    assert missed(configuration, catalog) == []


def test_an_earlier_run_does_not(configuration: Configuration, catalog: Catalog) -> None:
    ran(catalog, RunStatus.GOOD, SLOT - HOUR)
    assert missed(configuration, catalog) == MISSED


def test_a_run_that_was_still_under_way_at_the_slot_does(configuration: Configuration, catalog: Catalog) -> None:
    """cron did start the run of the slot: it found the lock held, and ended with 11."""
    run = Run("long", "shop/uploads", SLOT - HOUR, SLOT - DAY)
    catalog.begin_run(run)
    with lock_backup(configuration.state_directory, "shop/uploads"):
        assert missed(configuration, catalog) == []
    catalog.finish_run(Run("long", "shop/uploads", SLOT - HOUR, SLOT - DAY, SLOT + HOUR, RunStatus.GOOD))
    assert missed(configuration, catalog) == []


def test_an_interrupted_run_is_tried_once_more(configuration: Configuration, catalog: Catalog) -> None:
    ran(catalog, RunStatus.INTERRUPTED, SLOT, slot=SLOT)
    assert missed(configuration, catalog) == MISSED
    ran(catalog, RunStatus.INTERRUPTED, SLOT + HOUR, slot=SLOT)
    assert missed(configuration, catalog) == []


def test_after_an_interrupted_run_a_person_may_have_made_the_backup(
    configuration: Configuration, catalog: Catalog
) -> None:
    ran(catalog, RunStatus.INTERRUPTED, SLOT, slot=SLOT)
    ran(catalog, RunStatus.GOOD, SLOT + HOUR)
    ran(catalog, RunStatus.INTERRUPTED, SLOT + 2 * HOUR)
    assert missed(configuration, catalog) == []


def test_a_run_that_a_power_cut_ended_is_found_dead(configuration: Configuration, catalog: Catalog) -> None:
    ran(catalog, RunStatus.RUNNING, SLOT, slot=SLOT)
    assert missed(configuration, catalog) == MISSED
    assert [run.status for run in catalog.slot_runs("shop/uploads", SLOT)] == [RunStatus.INTERRUPTED]


def test_a_run_that_is_alive_is_left_alone(configuration: Configuration, catalog: Catalog) -> None:
    ran(catalog, RunStatus.RUNNING, SLOT, slot=SLOT)
    with lock_backup(configuration.state_directory, "shop/uploads"):
        assert missed(configuration, catalog) == []
    assert [run.status for run in catalog.slot_runs("shop/uploads", SLOT)] == [RunStatus.RUNNING]


def test_of_many_slots_the_latest_is_made_up_for(configuration: Configuration, catalog: Catalog) -> None:
    later = NOW + 30 * DAY
    assert missed(configuration, catalog, later) == [("shop/uploads", slot_before(later - GRACE))]


def test_only_one_process_catches_up(tmp_path: Path) -> None:
    with sole_catch_up(tmp_path) as first, sole_catch_up(tmp_path) as second:
        assert (first, second) == (True, False)
    with sole_catch_up(tmp_path) as again:
        assert again


# --- what sync looks at -----------------------------------------------------------------------------------------


def found(configuration: Configuration, now: datetime, *, is_new: bool = False) -> list[str]:
    return [backup.id for backup, _ in catch_up.find_missed(configuration, now, is_new=is_new)]


def test_a_new_schedule_missed_nothing_and_is_recorded(configuration: Configuration) -> None:
    assert found(configuration, NOW, is_new=True) == []
    catalog = open_catalog(configuration.state_directory, None)
    assert catalog.schedule_since() == {"shop/uploads": NOW}
    catalog.close()


def test_a_missed_slot_is_found_once(configuration: Configuration) -> None:
    found(configuration, NOW, is_new=True)
    assert found(configuration, NOW + DAY) == ["shop/uploads"]
    assert found(configuration, NOW + DAY + MINUTE) == []
    assert found(configuration, NOW + 2 * DAY) == ["shop/uploads"]


def test_a_slot_that_is_too_young_now_is_found_later(configuration: Configuration) -> None:
    found(configuration, NOW, is_new=True)
    slot = SLOT + DAY
    minutes = [slot + number * MINUTE for number in range(-2, 20)]
    assert [minute - slot for minute in minutes if found(configuration, minute)] == [GRACE]


def test_while_another_process_catches_up_nothing_is_found(configuration: Configuration) -> None:
    found(configuration, NOW, is_new=True)
    with sole_catch_up(configuration.state_directory):
        assert found(configuration, NOW + DAY) == []


def test_a_run_under_way_is_looked_at_until_it_ended(configuration: Configuration) -> None:
    found(configuration, NOW, is_new=True)
    slot = SLOT + DAY
    catalog = open_catalog(configuration.state_directory, None)
    ran(catalog, RunStatus.RUNNING, slot, slot=slot)
    with lock_backup(configuration.state_directory, "shop/uploads"):
        assert found(configuration, slot + HOUR) == []
    assert found(configuration, slot + HOUR + MINUTE) == ["shop/uploads"]
    catalog.close()


def test_nothing_is_opened_or_written_where_no_slot_went_by(configuration: Configuration) -> None:
    found(configuration, NOW, is_new=True)
    look = configuration.state_directory / "schedule.json"
    before = look.read_bytes()
    (configuration.state_directory / "catalog.db").unlink()
    assert found(configuration, NOW + MINUTE) == []
    assert look.read_bytes() == before
    assert not (configuration.state_directory / "catalog.db").exists()


def test_a_clock_that_was_set_back_makes_a_new_look(configuration: Configuration) -> None:
    found(configuration, NOW + 10 * DAY, is_new=True)
    assert found(configuration, NOW) == []
    assert json.loads((configuration.state_directory / "schedule.json").read_text())["checked"] == "20261120T120000Z"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"recorded": 1, "checked": "yesterday"}', b"\xff"])
def test_a_damaged_note_of_the_last_look_costs_one_look(configuration: Configuration, damage: bytes) -> None:
    found(configuration, NOW, is_new=True)
    (configuration.state_directory / "schedule.json").write_bytes(damage)
    assert found(configuration, NOW + DAY) == ["shop/uploads"]


def test_changed_intervals_begin_now(configuration: Configuration) -> None:
    found(configuration, NOW, is_new=True)
    changed = Configuration(configuration.path, (backup("uploads", ("0 * * * *",)),), {}, configuration.state_directory)
    assert found(changed, NOW + DAY) == []
    assert found(changed, NOW + DAY + 2 * HOUR) == ["shop/uploads"]


def test_a_schedule_that_was_removed_and_installed_again_begins_now(configuration: Configuration) -> None:
    found(configuration, NOW, is_new=True)
    assert found(configuration, NOW + 5 * DAY, is_new=True) == []


def test_a_program_started_in_the_background_has_no_terminal_and_outlives_us(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "missed.log"
    code = "import os, sys; print(os.getsid(0) == os.getpid(), sys.stdin.read(), os.getcwd(), flush=True)"
    starter = f"""
from pathlib import Path
from operations.running.catch_up import start_in_background
start_in_background([{sys.executable!r}, "-c", {code!r}], Path({str(log)!r}))
"""
    subprocess.run([sys.executable, "-c", starter], check=True, cwd=Path(__file__).parent.parent)
    for _ in range(500):
        if log.read_text():
            break
        time.sleep(0.02)
    assert log.read_text() == "True  /\n"
