"""When a backup is late: the known cases by hand, and any history against a plain model of what was promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import Backup, FileSource, Period, RunPoint, RunStatus, StorageDefinition, StorageType, Target
from operations.retention.periods import end_of_period, period_name
from operations.status.deadlines import Late, Past, outlook, patience
from schedules.times import next_runs

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
GOOD, FAILED, PARTIAL = RunStatus.GOOD, RunStatus.FAILED, RunStatus.PARTIAL
RUNNING, SKIPPED, INTERRUPTED = RunStatus.RUNNING, RunStatus.SKIPPED, RunStatus.INTERRUPTED

LOCAL = Target(StorageDefinition("LOCAL", StorageType.LOCAL), "")
S3 = Target(StorageDefinition("S3", StorageType.S3), "shop")
NIGHTLY = Backup("shop/files", "shop", "files", FileSource(("/srv",)), ("0 2 * * *",), (LOCAL,))
SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def at(text: str) -> datetime:
    """Of November 2026: ``20 02:15``."""
    day, time = text.split()
    return datetime.fromisoformat(f"2026-11-{day} {time}").replace(tzinfo=UTC)


def run(started: str, status: RunStatus = GOOD, minutes: float = 5) -> RunPoint:
    began = at(started)
    ended = None if status is RUNNING else began + minutes * MINUTE
    return RunPoint(f"{started} {status}", began, ended, status)


def past(
    *runs: RunPoint,
    usual: timedelta | None = 5 * MINUTE,
    copies: Mapping[str, RunPoint] | None = None,
    since: datetime | None = SINCE,
) -> Past:
    """Of these runs, oldest first. A good one has left a copy on LOCAL, unless ``copies`` says otherwise."""
    newest = {each.status: each for each in runs}
    if copies is None:
        copies = {str(LOCAL): newest[GOOD]} if GOOD in newest else {}
    return Past(since, newest, copies, usual)


def late(backup: Backup, what: Past, now: str) -> tuple[Late, ...]:
    return outlook(backup, what, at(now), UTC).late


def is_late(what: Past, now: str, backup: Backup = NIGHTLY) -> bool:
    return bool(late(backup, what, now))


def test_a_backup_is_late_once_ten_minutes_and_twice_its_usual_time_have_gone_by() -> None:
    yesterday = past(run("19 02:00"))
    assert not is_late(yesterday, "20 01:59")
    assert not is_late(yesterday, "20 02:19")
    (found,) = late(NIGHTLY, yesterday, "20 02:20")
    assert (found.slot, found.since, found.last_good) == (at("20 02:00"), at("20 02:20"), at("19 02:00"))
    assert (found.targets, found.is_everywhere) == (("LOCAL",), True)
    assert found.reason == "No run has begun since then."


def test_it_is_late_since_the_first_time_that_was_missed() -> None:
    (found,) = late(NIGHTLY, past(run("10 02:00")), "20 12:00")
    assert (found.slot, found.since) == (at("11 02:00"), at("11 02:20"))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (FAILED, "The run that began at 2026-11-20 02:00 failed."),
        (PARTIAL, "The run that began at 2026-11-20 02:00 was partial: some of it could not be read."),
        (INTERRUPTED, "The run that began at 2026-11-20 02:00 was interrupted."),
    ],
)
def test_a_run_that_is_not_good_is_no_excuse(status: RunStatus, reason: str) -> None:
    what = past(run("19 02:00"), run("20 02:00", status))
    assert not is_late(what, "20 02:19")
    (found,) = late(NIGHTLY, what, "20 02:20")
    assert found.reason == reason


def test_a_good_run_that_somebody_started_after_the_failed_one_ends_it() -> None:
    what = past(run("20 02:00", FAILED), run("20 09:00"))
    assert not is_late(what, "20 09:10")
    assert is_late(what, "21 02:20")


def test_a_first_run_under_way_is_late_only_where_it_takes_far_longer_than_usual() -> None:
    what = past(run("19 02:00", minutes=120), run("20 02:01", RUNNING), usual=120 * MINUTE)
    assert not is_late(what, "20 06:10")
    (found,) = late(NIGHTLY, what, "20 06:11")
    assert found.reason == "The run that began at 2026-11-20 02:01 is still under way."


def test_a_run_that_is_caught_up_after_the_machine_was_off_is_not_late_while_it_runs() -> None:
    what = past(run("19 02:00"), run("20 09:00", RUNNING))
    assert not is_late(what, "20 09:19")
    assert is_late(what, "20 09:20")


def test_a_run_under_way_after_one_that_failed_is_still_late_and_is_not_told_twice() -> None:
    what = past(run("19 02:00"), run("20 02:00", FAILED), run("20 09:00", RUNNING))
    (found,) = late(NIGHTLY, what, "20 09:05")
    assert found.since == at("20 02:20")


def test_the_very_first_run_may_take_a_day_or_its_timeout() -> None:
    what = past(run("20 02:00", RUNNING), usual=None, since=at("19 12:00"))
    assert not is_late(what, "21 02:09")
    assert is_late(what, "21 02:10")
    hasty = replace(NIGHTLY, timeout=3600)
    assert not is_late(what, "20 03:09", hasty)
    assert is_late(what, "20 03:10", hasty)


def test_each_try_of_a_backup_has_its_time() -> None:
    """A first try of 5 minutes, waits of 1 and 2 minutes, and two more tries, all doubled."""
    assert patience(replace(NIGHTLY, retries=2), 5 * MINUTE) == 10 * MINUTE + 3 * 10 * MINUTE + 3 * MINUTE


def test_what_was_due_before_it_was_scheduled_was_never_promised() -> None:
    assert not is_late(past(since=at("20 02:00")), "21 01:00")
    assert is_late(past(since=at("20 01:59"), usual=None), "20 02:10")
    assert not is_late(past(since=None), "20 12:00")


def test_a_backup_that_ran_and_is_not_scheduled_is_late_when_it_would_have_been_due() -> None:
    by_hand = past(run("19 12:00"), since=None)
    assert not is_late(by_hand, "20 02:19")
    (found,) = late(NIGHTLY, by_hand, "20 02:20")
    assert found.reason == "No run has begun, as it is not scheduled."


def test_what_never_runs_is_never_late() -> None:
    what = past(run("02 02:00"))
    assert is_late(what, "20 12:00")
    assert not is_late(what, "20 12:00", replace(NIGHTLY, enabled=False))
    assert not is_late(what, "20 12:00", replace(NIGHTLY, intervals=()))
    assert not is_late(what, "20 12:00", replace(NIGHTLY, intervals=("0 0 29 2 *",)))


def test_a_run_that_was_under_way_when_the_next_was_due_counts_for_that_too() -> None:
    hourly = replace(NIGHTLY, intervals=("@hourly",))
    what = past(run("20 00:00", minutes=185), usual=185 * MINUTE)
    assert not is_late(what, "20 10:19", hourly)
    (found,) = late(hourly, what, "20 10:20")
    assert found.slot == at("20 04:00")


def test_a_skipped_run_excuses_for_seven_days() -> None:
    what = past(run("12 02:00"), run("20 02:00", SKIPPED))
    assert not is_late(what, "20 01:59")
    assert not is_late(past(run("12 02:00"), run("19 02:00", SKIPPED)), "20 01:59")
    (found,) = late(NIGHTLY, what, "20 02:20")
    assert found.slot == at("13 02:00")
    assert "was skipped, because its BEFORE asked for it" in found.reason


def test_a_skipped_run_excuses_three_slots_of_a_rare_backup() -> None:
    weekly = replace(NIGHTLY, intervals=("0 2 * * 0",))
    skipped = past(run("01 02:00"), run("22 02:00", SKIPPED), since=at("01 00:00"))
    assert not is_late(skipped, "28 23:00", weekly)
    assert is_late(skipped, "29 02:20", weekly)


def test_a_skipped_run_excuses_no_later_slot_and_no_failed_run() -> None:
    assert is_late(past(run("18 02:00"), run("19 02:00", SKIPPED)), "20 02:20")
    assert is_late(past(run("18 02:00"), run("19 02:00", FAILED), run("20 02:00", SKIPPED)), "20 02:20")


BOTH = replace(NIGHTLY, targets=(LOCAL, S3))


def test_one_target_is_late_where_only_its_copies_fail() -> None:
    copies = {"LOCAL": run("20 02:00", FAILED), "S3:shop": run("17 02:00")}
    (found,) = late(BOTH, past(run("17 02:00"), run("20 02:00", FAILED), copies=copies), "20 12:00")
    assert (found.targets, found.is_everywhere, found.slot) == (("S3:shop",), False, at("18 02:00"))


def test_a_target_that_was_just_added_is_not_late_before_the_next_run() -> None:
    what = past(run("20 02:00"))
    assert not is_late(what, "20 12:00", BOTH)
    failed = past(run("20 02:00"), run("21 02:00", FAILED), copies={"LOCAL": run("21 02:00", FAILED)})
    (found,) = late(BOTH, failed, "21 02:20")
    assert (found.targets, found.last_good) == (("S3:shop",), None)


def test_a_target_with_a_period_of_its_own_is_late_in_the_next_period_only() -> None:
    backup = replace(NIGHTLY, targets=(LOCAL, replace(S3, only=Period.WEEK)))
    # 2026-11-16 is a Monday, and the copy of that week is there.
    kept = {"LOCAL": run("20 02:00"), "S3:shop": run("16 02:00")}
    assert not is_late(past(run("20 02:00"), copies=kept), "20 12:00", backup)
    copies = {"LOCAL": run("24 02:00", FAILED), "S3:shop": run("16 02:00")}
    what = past(run("22 02:00"), run("24 02:00", FAILED), copies=copies)
    (found,) = late(backup, what, "24 02:20")
    assert (found.targets, found.slot, found.last_good) == (("S3:shop",), at("23 02:00"), at("16 02:00"))


def test_the_deadline_is_when_it_becomes_late_also_where_something_excuses_it() -> None:
    for what, backup in (
        (past(run("20 02:00")), NIGHTLY),
        (past(run("19 02:00"), run("20 02:00", FAILED)), NIGHTLY),
        (past(run("19 02:00"), run("20 09:00", RUNNING)), NIGHTLY),
        (past(run("18 02:00"), run("19 02:00", SKIPPED)), NIGHTLY),
        (past(run("20 02:00"), copies={"LOCAL": run("20 02:00"), "S3:shop": run("17 02:00")}), BOTH),
    ):
        moment = outlook(backup, what, at("20 09:01"), UTC).deadline
        assert moment is not None
        assert outlook(backup, what, moment - timedelta(seconds=1), UTC).late == ()
        assert outlook(backup, what, moment, UTC).late != ()
    assert outlook(replace(NIGHTLY, enabled=False), past(run("20 02:00")), at("20 09:01"), UTC).deadline is None


def test_a_clock_that_was_set_back_makes_nothing_late() -> None:
    an_hour_ahead = past(run("20 02:00"))
    assert not is_late(an_hour_ahead, "20 01:10")
    in_2030 = RunPoint("2030", datetime(2030, 1, 1, tzinfo=UTC), None, GOOD)
    assert is_late(past(in_2030, since=at("19 12:00")), "20 02:20")
    assert not is_late(past(in_2030, since=at("20 02:10")), "20 12:00")
    assert not is_late(past(since=in_2030.started), "20 12:00")


def test_daylight_saving_makes_nothing_late() -> None:
    """Berlin, 2026-03-29: 2:30 does not exist, and cron runs it at 3:00; on 2026-10-25 it comes twice."""
    berlin = ZoneInfo("Europe/Berlin")
    backup = replace(NIGHTLY, intervals=("30 2 * * *",))
    for before, after in (
        (datetime(2026, 3, 28, 2, 30, tzinfo=berlin), datetime(2026, 3, 29, 3, 0, tzinfo=berlin)),
        (datetime(2026, 10, 25, 2, 30, tzinfo=berlin), datetime(2026, 10, 26, 2, 30, tzinfo=berlin)),
    ):
        ran = RunPoint("run", before.astimezone(UTC), before.astimezone(UTC) + MINUTE, GOOD)
        what = past(ran, since=ran.started - DAY, usual=MINUTE)
        due = after.astimezone(UTC)
        assert outlook(backup, what, due + 11 * MINUTE, berlin).late == ()
        (found,) = outlook(backup, what, due + 12 * MINUTE, berlin).late
        assert found.slot == due


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Cairo")], ids=str)
@given(moment=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), period=st.sampled_from(Period))
@settings(max_examples=60, deadline=None)
def test_a_period_ends_where_its_name_changes(zone: ZoneInfo, moment: datetime, period: Period) -> None:
    start = moment.replace(tzinfo=UTC)
    end = end_of_period(start, period, zone)
    assert end > start
    assert period_name(end - timedelta(microseconds=1), period, zone) == period_name(start, period, zone)
    assert period_name(end, period, zone) != period_name(start, period, zone)


# --- any history ------------------------------------------------------------------------------------------------

BEGINNING = datetime(2026, 3, 27, tzinfo=UTC)
outcomes = st.sampled_from([GOOD, GOOD, GOOD, FAILED, PARTIAL, INTERRUPTED])
histories = st.lists(st.tuples(st.integers(0, 24 * 12), outcomes, st.integers(0, 90)), max_size=8)
intervals = st.lists(
    st.sampled_from(["0 2 * * *", "@hourly", "*/20 * * * *", "30 2 * * 0", "0 0 29 2 *", "15 5,17 * * *"]),
    min_size=1,
    max_size=2,
)


def runs_of(drawn: Sequence[tuple[int, RunStatus, int]]) -> list[RunPoint]:
    """Oldest first, one after the other; each at so many hours after the beginning, and for so many minutes."""
    runs: list[RunPoint] = []
    for number, (hours, status, minutes) in enumerate(sorted(drawn, key=lambda each: each[0])):
        started = BEGINNING + hours * HOUR
        if runs and runs[-1].ended is not None:
            started = max(started, runs[-1].ended + MINUTE)
        runs.append(RunPoint(str(number), started, started + minutes * MINUTE, status))
    return runs


def due_until(moment: datetime, lines: list[str], zone: ZoneInfo) -> list[datetime]:
    slots: list[datetime] = []
    while (slot := next_runs(lines, slots[-1] if slots else BEGINNING, 1, zone)[0]) <= moment:
        slots.append(slot)
    return slots


@given(drawn=histories, lines=intervals, now=st.integers(0, 24 * 14 * 60), usual=st.none() | st.integers(0, 90))
@settings(max_examples=120, deadline=None)
def test_late_is_what_was_promised_and_has_no_good_copy(
    drawn: list[tuple[int, RunStatus, int]], lines: list[str], now: int, usual: int | None
) -> None:
    """Each time that was due since it was scheduled, one by one: is there a good run that began then or later, or was
    still under way?"""
    zone = ZoneInfo("Europe/Berlin")
    moment = BEGINNING + now * MINUTE
    runs = [each for each in runs_of(drawn) if each.ended is not None and each.ended <= moment]
    backup = replace(NIGHTLY, intervals=tuple(lines))
    what = past(*runs, usual=None if usual is None else usual * MINUTE, since=BEGINNING)
    slots = due_until(moment, lines, zone)
    good = [each for each in runs if each.status is GOOD]
    missed = [
        slot
        for slot in slots
        if slot + 10 * MINUTE + 2 * (usual or 0) * MINUTE <= moment
        and not any(each.started + 30 * timedelta(seconds=1) >= slot or (each.ended or slot) >= slot for each in good)
    ]
    found = outlook(backup, what, moment, zone).late
    assert [each.slot for each in found] == missed[:1]


@given(drawn=histories, lines=intervals, now=st.integers(0, 24 * 14 * 60), more=st.integers(0, 24 * 60))
@settings(max_examples=150, deadline=None)
def test_waiting_makes_nothing_less_late_and_a_good_run_makes_all_well(
    drawn: list[tuple[int, RunStatus, int]], lines: list[str], now: int, more: int
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    moment = BEGINNING + now * MINUTE
    runs = [each for each in runs_of(drawn) if each.ended is not None and each.ended <= moment]
    backup = replace(NIGHTLY, intervals=tuple(lines))
    found = outlook(backup, past(*runs, since=BEGINNING), moment, zone).late
    later = outlook(backup, past(*runs, since=BEGINNING), moment + more * MINUTE, zone).late
    assert [(each.slot, each.since) for each in later][: len(found)] == [(each.slot, each.since) for each in found]
    assert all(each.since <= moment for each in found)
    well = past(*runs, RunPoint("now", moment, moment, GOOD), since=BEGINNING)
    assert outlook(backup, well, moment + 9 * MINUTE, zone).late == ()
