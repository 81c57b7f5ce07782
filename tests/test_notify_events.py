"""What is to be told of which runs and checks: the rules, without processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from model import INTERRUPTED_BY_SIGNAL, CheckKind, Event, Run, RunStatus
from operations.telling import events
from operations.telling.memory import LATE, RUN, Told

START = datetime(2026, 11, 20, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def run(status: RunStatus, at: datetime, *, slot: datetime | None = None, message: str = "") -> Run:
    ended = None if status is RunStatus.RUNNING else at + timedelta(minutes=3)
    return Run(f"run of {at.isoformat()}", "shop/files", at, slot or at, ended, status, message)


def told_of(*runs: Run, told: Told | None = None) -> list[set[Event]]:
    """What is told where each of them is looked at when it has ended."""
    told = told or Told(runs_until=START - DAY)
    found = []
    for each in runs:
        occurrences, told = events.of_runs([each], told, each.ended or each.started)
        found += [set(occurrence.events) for occurrence in occurrences]
    return found


GOOD, FAILED, PARTIAL = RunStatus.GOOD, RunStatus.FAILED, RunStatus.PARTIAL


def test_each_failure_of_a_nightly_backup_is_told() -> None:
    assert told_of(*(run(FAILED, START + day * DAY) for day in range(3))) == [{Event.FAILURE}] * 3


def test_of_an_hourly_backup_that_goes_on_failing_one_a_day_is_told_with_their_number() -> None:
    told = Told(runs_until=START - DAY)
    counts = []
    for hour in range(48):
        each = run(FAILED, START + hour * HOUR)
        occurrences, told = events.of_runs([each], told, START + hour * HOUR)
        counts += [occurrence.trouble.count for occurrence in occurrences if occurrence.trouble]
    assert counts == [1, 21, 41]


def test_what_becomes_worse_is_told_at_once() -> None:
    runs = [run(PARTIAL, START), run(PARTIAL, START + HOUR), run(FAILED, START + 2 * HOUR)]
    assert told_of(*runs) == [{Event.PARTIAL}, {Event.FAILURE}]


def test_a_good_run_after_a_trouble_is_its_end_and_every_other_one_a_success() -> None:
    runs = [run(GOOD, START), run(FAILED, START + HOUR), run(GOOD, START + 2 * HOUR), run(GOOD, START + 3 * HOUR)]
    success, recovered = {Event.SUCCESS}, {Event.SUCCESS, Event.RECOVERED}
    assert told_of(*runs) == [success, {Event.FAILURE}, recovered, success]


def test_of_tries_the_last_one_counts() -> None:
    tries = [run(FAILED, START + timedelta(minutes=5 * number), slot=START) for number in range(3)]
    told = Told(runs_until=START - DAY)
    (occurrence,), after = events.of_runs(tries, told, START + HOUR)
    assert occurrence.run == tries[-1]
    assert after.runs_until == tries[-1].started
    good = run(GOOD, START + timedelta(minutes=10), slot=START)
    (occurrence,), _ = events.of_runs([*tries[:2], good], told, START + HOUR)
    assert occurrence.events == {Event.SUCCESS}


def test_what_is_new_begins_with_the_newest_run() -> None:
    runs = [run(FAILED, START - day * DAY) for day in range(5)]
    (occurrence,), told = events.of_runs(runs, None, START)
    assert occurrence.run == runs[0]
    assert events.of_runs(runs, told, START)[0] == []


def test_skipped_runs_and_those_that_their_starter_ended_are_told_to_nobody() -> None:
    by_hand = Run("id", "shop/files", START, None, START, RunStatus.INTERRUPTED, f"{INTERRUPTED_BY_SIGNAL}It is gone.")
    killed = Run("id", "shop/files", START + HOUR, None, START + HOUR, RunStatus.INTERRUPTED, "Its process was killed.")
    by_cron = run(RunStatus.INTERRUPTED, START + 2 * DAY, message=INTERRUPTED_BY_SIGNAL)
    assert told_of(by_hand, run(RunStatus.SKIPPED, START + HOUR / 2)) == []
    assert told_of(killed, by_cron) == [{Event.FAILURE}, {Event.FAILURE}]


def test_lateness_is_told_once_for_its_targets_and_more_of_them_again() -> None:
    told = Told()
    keys = []
    for targets in (("A",), ("A",), ("A", "B"), ("B",)):
        occurrence, told = events.of_lateness(START, targets, "why", told, START + DAY)
        keys += [occurrence.key] if occurrence else []
    assert len(keys) == len(set(keys)) == 2
    ended, told = events.of_lateness(None, (), "", told, START + 2 * DAY)
    assert ended is not None and ended.events == {Event.RECOVERED}
    assert events.of_lateness(None, (), "", told, START + 2 * DAY) == (None, told)


def test_a_good_run_ends_lateness_and_failure_in_one_message() -> None:
    _, told = events.of_lateness(START, ("A",), "why", Told(runs_until=START - DAY), START + DAY)
    runs = [run(FAILED, START + DAY), run(GOOD, START + 2 * DAY)]
    assert told_of(*runs, told=told) == [{Event.FAILURE}, {Event.SUCCESS, Event.RECOVERED}]
    _, after = events.of_runs(runs, told, START + 3 * DAY)
    assert not {LATE, RUN} & after.troubles.keys()


def test_checks_are_told_when_they_fail_and_when_they_are_good_again() -> None:
    told = Told()
    seen = []
    for number, is_good in enumerate((True, False, False, True, True)):
        found, told = events.of_check(CheckKind.DRILL, is_good, ["why"], START, told, START + number * 7 * DAY)
        seen += [set(each.events) for each in found]
    assert seen == [{Event.DRILL_FAILED}, {Event.DRILL_FAILED}, {Event.RECOVERED}]


@given(
    st.lists(st.tuples(st.sampled_from([GOOD, FAILED, PARTIAL, RunStatus.SKIPPED]), st.integers(1, 50)), max_size=12)
)
def test_every_streak_of_failures_is_told_and_its_end_once(steps: list[tuple[RunStatus, int]]) -> None:
    """However far apart runs are: who reads the messages knows how the backup stands, but for what was skipped."""
    moment, runs = START, []
    for status, hours in steps:
        moment += hours * HOUR
        runs.append(run(status, moment))
    known = "well"
    seen = told_of(*runs)
    for told in seen:
        if Event.RECOVERED in told:
            assert known == "bad"
        if told == {Event.SUCCESS}:
            assert known == "well"
        known = "well" if Event.SUCCESS in told else "bad"
    counted = [each for each in runs if each.status is not RunStatus.SKIPPED]
    assert known == ("well" if not counted or counted[-1].status is GOOD else "bad")
