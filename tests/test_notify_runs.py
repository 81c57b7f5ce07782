"""What is told of runs: by a real process, over a real mail server and a real web server."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.mail_server import MailServer, StallingServer
from tests.support.web_receiver import WebReceiver


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def holdfast(tmp_path: Path, mail: MailServer) -> Holdfast:
    """A site whose backup tells the mail server all but successes. Its source is missing, until it is made."""
    site = Holdfast(tmp_path / "holdfast")
    site.configure(tmp_path / "source", NOTIFY={"URL": mail.url()})
    return site


def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("something")
    return folder


def test_a_failure_is_told_with_all_that_a_person_needs(tmp_path: Path, mail: MailServer, holdfast: Holdfast) -> None:
    source(tmp_path).rename(tmp_path / "elsewhere")
    assert holdfast.run("backup.py", BACKUP_ID).returncode == 1
    (subject,) = mail.subjects
    assert subject.startswith("Holdfast: shop/files failed on ")
    (body,) = mail.bodies
    assert f"{tmp_path}/source" in body
    assert "Last good copy: none is known." in body
    assert f"main.py --config {holdfast.config} doctor" in body
    assert f"backup.py --config {holdfast.config} shop/files" in body
    assert f"{holdfast.state}/logs/shop/files/" in body
    assert "Next run: " in body


def test_the_end_of_a_failure_is_told_once_and_good_runs_are_not(
    tmp_path: Path, mail: MailServer, holdfast: Holdfast
) -> None:
    assert holdfast.run("backup.py", BACKUP_ID).returncode == 1
    source(tmp_path)
    for _ in range(2):
        holdfast.back_up()
    assert [subject.partition(" on ")[0] for subject in mail.subjects] == [
        "Holdfast: shop/files failed",
        "Holdfast: shop/files is good again",
    ]
    assert "Before: it failed, since " in mail.bodies[1]
    assert "Run of " in mail.bodies[1]


def test_the_last_good_copy_is_named_with_its_place(tmp_path: Path, mail: MailServer, holdfast: Holdfast) -> None:
    folder = source(tmp_path)
    holdfast.back_up()
    (folder / "file").unlink()
    folder.rmdir()
    assert holdfast.run("backup.py", BACKUP_ID).returncode == 1
    (body,) = mail.bodies
    assert "Last good copy: 2" in body
    assert "ago), on LOCAL" in body


def test_each_channel_is_told_what_it_asks_for(tmp_path: Path, mail: MailServer) -> None:
    with WebReceiver() as receiver:
        web = f"json://127.0.0.1:{receiver.port}/hook"
        holdfast = Holdfast(tmp_path / "holdfast")
        channels = [{"URL": mail.url(), "EVENTS": ["failure"]}, {"URL": web, "EVENTS": ["success", "recovered"]}]
        holdfast.configure(tmp_path / "source", NOTIFY=channels)
        assert holdfast.run("backup.py", BACKUP_ID).returncode == 1
        source(tmp_path)
        holdfast.back_up()
        holdfast.back_up()
        titles = [request.json["title"].partition(" on ")[0] for request in receiver.requests]
        assert titles == ["Holdfast: shop/files is good again", "Holdfast: shop/files is good"]
        assert [request.json["type"] for request in receiver.requests] == ["success", "success"]
    assert len(mail.messages) == 1


def test_a_partial_run_is_told(tmp_path: Path, mail: MailServer, holdfast: Holdfast) -> None:
    folder = source(tmp_path) / "secret"
    folder.mkdir()
    event = {"point": "host.list_directory", "nth": 2, "when": "before", "error": errno.EACCES}
    finished = holdfast.run_command(holdfast.command_with_plan([event], BACKUP_ID))
    assert finished.returncode == 3, finished.stderr
    assert mail.subjects[0].startswith("Holdfast: shop/files is incomplete on ")
    assert f"{str(folder)[1:]} (Permission denied)" in mail.bodies[0]
    assert "does not count as a good one" in mail.bodies[0].replace("\r\n", " ")


def test_a_server_that_is_down_loses_no_message(tmp_path: Path, mail: MailServer, holdfast: Holdfast) -> None:
    mail.stop()
    assert holdfast.run("backup.py", BACKUP_ID).returncode == 1
    (waiting,) = (holdfast.state / "outbox").glob("*.json")
    assert waiting.stat().st_mode & 0o777 == 0o600
    assert mail.password not in waiting.read_text()
    assert "refused" in waiting.read_text()
    source(tmp_path)
    mail.start()
    holdfast.back_up()  # the message waits five minutes from its first try on: this one is new
    assert [subject.partition(" on ")[0] for subject in mail.subjects] == ["Holdfast: shop/files is good again"]
    assert [path.name for path in (holdfast.state / "outbox").iterdir()] == [waiting.name]


def test_a_server_that_stalls_does_not_hold_up_the_run_for_long(tmp_path: Path) -> None:
    with StallingServer() as server:
        holdfast = Holdfast(tmp_path / "holdfast")
        holdfast.configure(tmp_path / "source", NOTIFY={"URL": server.url})
        finished = holdfast.run("backup.py", BACKUP_ID, timeout=60)
        assert finished.returncode == 1
        assert len(list((holdfast.state / "outbox").glob("*.json"))) == 1
        assert "never-asked-4-it" not in finished.stderr


def test_a_run_that_was_killed_is_told_by_the_next_one(tmp_path: Path, mail: MailServer, holdfast: Holdfast) -> None:
    source(tmp_path)
    holdfast.back_up()
    event = {"point": "catalog.begin_run", "nth": 1, "when": "after", "signal": signal.SIGKILL}
    killed = holdfast.run_command(holdfast.command_with_plan([event], BACKUP_ID))
    assert killed.returncode == -signal.SIGKILL
    holdfast.back_up()
    assert [subject.partition(" on ")[0] for subject in mail.subjects] == [
        "Holdfast: shop/files was killed or interrupted",
        "Holdfast: shop/files is good again",
    ]
    assert "its process was killed, or the machine stopped" in mail.bodies[0]


def test_what_its_starter_ended_is_told_to_nobody(tmp_path: Path, mail: MailServer, holdfast: Holdfast) -> None:
    source(tmp_path)
    event = {"point": "catalog.begin_run", "nth": 1, "when": "after", "signal": signal.SIGINT}
    ended = holdfast.run_command(holdfast.command_with_plan([event], BACKUP_ID))
    assert ended.returncode == 130
    holdfast.back_up()
    assert mail.messages == []


# --- pings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_log", [True, False])
def test_pings_say_how_a_run_goes(has_log: bool, tmp_path: Path) -> None:
    with WebReceiver() as receiver:
        holdfast = Holdfast(tmp_path / "holdfast")
        url = f"http://127.0.0.1:{receiver.port}/ping-key/{{backup}}?create=1"
        holdfast.configure(tmp_path / "source", PING={"URL": url, "LOG": "yes" if has_log else "no"})
        assert holdfast.run("backup.py", BACKUP_ID).returncode == 1
        source(tmp_path)
        holdfast.back_up()
        paths = [path.partition("&rid=")[0] for path in receiver.paths]
        assert paths == [f"/ping-key/shop-files{signal}?create=1" for signal in ("/start", "/fail", "/start", "")]
        ids = [path.partition("&rid=")[2] for path in receiver.paths]
        assert ids[0] == ids[1] != ids[2] == ids[3]
        assert (b"ERROR" in receiver.requests[1].body) is has_log
        assert [len(request.body) for request in (*receiver.requests[:1], *receiver.requests[2:])] == [0, 0, 0]


def test_a_ping_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    with WebReceiver(status=404) as receiver:
        holdfast = Holdfast(tmp_path / "holdfast")
        holdfast.configure(source(tmp_path), PING={"URL": f"http://127.0.0.1:{receiver.port}/Key12345"})
        finished = holdfast.back_up()
        assert "ping" not in finished.stderr
        assert len(receiver.requests) == 2
        log = (holdfast.state / "logs" / "notifications.log").read_text()
        assert "The ping was not taken: HTTP status 404. It was success of shop/files." in log
        assert "Key12345" not in log
