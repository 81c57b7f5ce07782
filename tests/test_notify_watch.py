"""What ``backup.py --watch`` notices and tells: late backups, killed runs, messages that wait, summaries."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog import open_catalog
from operations.locks import lock_backup
from schedules.times import next_runs
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.mail_server import MailServer
from tests.support.telling import source, telling_site, waiting, watch, what_was_told, without_source

DAY = timedelta(days=1)


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def scheduled_since(site: Holdfast, days_ago: int) -> None:
    """As ``main.py sync`` records it."""
    configuration = site.configuration()
    with closing(open_catalog(site.state, None)) as catalog:
        schedule = {backup.id: backup.intervals for backup in configuration.backups}
        catalog.record_schedule(schedule, datetime.now(UTC) - days_ago * DAY)


def test_a_late_backup_is_told_once_and_once_more_when_it_is_good_again(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    site.back_up()
    scheduled_since(site, 0)
    watch(site)
    assert mail.messages == []
    for hours in (0, 1, 24):
        watch(site, 3 * DAY + timedelta(hours=hours))
    assert what_was_told(mail) == ["shop/files is late"]
    (body,) = mail.bodies
    assert "No run has begun since then." in body
    assert "Last good copy: 2" in body
    assert f"backup.py --config {site.config} shop/files" in body
    site.run_command(site.command_with_plan([], BACKUP_ID, clock=(datetime.now(UTC) + 4 * DAY).isoformat()))
    watch(site, 4 * DAY)
    assert what_was_told(mail) == ["shop/files is late", "shop/files is good again"]
    assert "Before: it was late, since " in mail.bodies[1]
    assert waiting(site) == []


def test_what_failed_and_was_told_is_not_told_as_late_too_until_no_run_comes(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    site.back_up()
    scheduled_since(site, 0)
    without_source(tmp_path)
    clock = (datetime.now(UTC) + 3 * DAY).isoformat()
    site.run_command(site.command_with_plan([], BACKUP_ID, clock=clock))
    watch(site, 3 * DAY + timedelta(minutes=30))
    assert what_was_told(mail) == ["shop/files failed"]
    watch(site, 5 * DAY)
    assert what_was_told(mail) == ["shop/files failed", "shop/files is late"]


def test_while_missed_runs_are_made_up_for_nothing_is_late_yet(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    site.back_up()
    scheduled_since(site, 0)
    (slot,) = next_runs(site.the_backup().intervals, datetime.now(UTC), 1)
    with lock_backup(site.state, "missed"):
        watch(site, slot + timedelta(hours=12) - datetime.now(UTC))
        assert mail.messages == []
        watch(site, slot + timedelta(hours=30) - datetime.now(UTC))
    assert what_was_told(mail) == ["shop/files is late"], "one that takes longer than a day hangs"


def test_many_late_backups_are_one_message(tmp_path: Path, mail: MailServer) -> None:
    site = Holdfast(tmp_path / "holdfast")
    target = [{"STORAGE_NAME": "LOCAL", "PATH": ""}]
    backups = [
        {"NAME": name, "INTERVALS": "0 2 * * *", "FILE_PATH": str(source(tmp_path)), "UPLOAD_TO": target}
        for name in "abcdefgh"
    ]
    projects = [{"NAME": "shop", "NOTIFY": {"URL": mail.url()}, "BACKUPS": [{"FILE_BACKUP": backups}]}]
    site.write({"PROJECTS": projects})
    scheduled_since(site, 0)
    watch(site, 5 * DAY)
    watch(site, 5 * DAY)
    assert what_was_told(mail) == ["8 backups are late"]
    assert all(f"shop/{name}: was due " in mail.bodies[0] for name in "abcdefgh")


def test_a_message_that_waited_arrives_once(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    without_source(tmp_path)
    mail.stop()
    assert site.run("backup.py", BACKUP_ID).returncode == 1
    watch(site, timedelta(minutes=6))
    (path,) = waiting(site)
    assert '"attempts": 2' in path.read_text()
    mail.start()
    watch(site, timedelta(minutes=7))
    assert mail.messages == [], "it was tried again at once, and not after the wait"
    watch(site, timedelta(minutes=17))
    watch(site, timedelta(minutes=60))
    assert what_was_told(mail) == ["shop/files failed"]
    assert mail.bodies[0].startswith("(This message could not be sent for 17 min")
    assert waiting(site) == []


def test_after_a_password_is_corrected_what_waited_is_sent(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail, NOTIFY={"URL": mail.url(password="not-the-Passw0rd")})
    without_source(tmp_path)
    assert site.run("backup.py", BACKUP_ID).returncode == 1
    (path,) = waiting(site)
    assert "535" in path.read_text()
    site.configure(tmp_path / "source", NOTIFY={"URL": mail.url()})
    watch(site, timedelta(minutes=6))
    assert what_was_told(mail) == ["shop/files failed"]


def test_after_three_days_a_message_is_given_up_and_that_is_said(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    without_source(tmp_path)
    mail.stop()
    assert site.run("backup.py", BACKUP_ID).returncode == 1
    clock = (datetime.now(UTC) + 3 * DAY + timedelta(minutes=1)).isoformat()
    finished = site.run_command(site.command_with_plan([], "--watch", clock=clock))
    assert finished.returncode == 1
    assert "could not be sent for three days, and is given up: Holdfast: shop/files failed" in finished.stderr
    assert waiting(site) == []


def test_a_run_that_was_killed_is_told(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    site.back_up()
    event = {"point": "catalog.begin_run", "nth": 1, "when": "after", "signal": signal.SIGKILL}
    assert site.run_command(site.command_with_plan([event], BACKUP_ID)).returncode == -signal.SIGKILL
    watch(site)
    watch(site)
    assert what_was_told(mail) == ["shop/files was killed or interrupted"]


@pytest.mark.parametrize(
    ("point", "when", "times"),
    [("outbox.put", "after", 2), ("outbox.all", "before", 1)],
    ids=["the message is stored, and not remembered", "it is remembered, and not sent"],
)
def test_a_process_that_is_killed_while_it_tells_loses_nothing(
    point: str, when: str, times: int, tmp_path: Path, mail: MailServer
) -> None:
    site = telling_site(tmp_path, mail)
    without_source(tmp_path)
    event = {"point": point, "nth": 1, "when": when, "signal": signal.SIGKILL}
    killed = site.run_command(site.command_with_plan([event], BACKUP_ID))
    assert killed.returncode == -signal.SIGKILL
    assert mail.messages == []
    for minutes in (1, 30):
        watch(site, timedelta(minutes=minutes))
    assert what_was_told(mail) == ["shop/files failed"] * times


# --- summaries ----------------------------------------------------------------------------------------------------


def test_a_summary_is_sent_once_for_its_time_and_later_where_the_machine_was_off(
    tmp_path: Path, mail: MailServer
) -> None:
    site = telling_site(
        tmp_path, mail, NOTIFY={"URL": mail.url(), "EVENTS": [], "SUMMARY": "0 7 * * *"}, INTERVALS="@yearly"
    )
    site.back_up()
    zone = datetime.now().astimezone().tzinfo
    due = (datetime.now(zone) + DAY).replace(hour=7, minute=0, second=5, microsecond=0)

    def run(*options: str, at: datetime) -> None:
        finished = site.run_command(site.command_with_plan([], *options, clock=at.isoformat()))
        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")

    run("--watch", at=due - DAY / 2)
    assert mail.messages == []
    run("--scheduled", "--summary", at=due)
    run("--watch", at=due + timedelta(minutes=5))
    assert what_was_told(mail) == ["all is well with 1 backup"]
    assert "1 backup on " in mail.bodies[0]
    assert "shop/files: last good 2" in mail.bodies[0]
    run("--watch", at=due + DAY + timedelta(hours=3))
    assert len(mail.messages) == 2


def test_a_summary_on_the_terminal(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    without_source(tmp_path)
    site.run("backup.py", BACKUP_ID)
    shown = site.run("backup.py", "--summary")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("Holdfast: 1 of 1 backup needs attention on ")
    assert "NEEDS ATTENTION\n  shop/files: failed\n" in shown.stdout
    assert len(mail.messages) == 1
