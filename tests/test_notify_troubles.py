"""What is told where little works any more: a broken configuration, a full disk, damaged copies; and no secret is."""

from __future__ import annotations

import os
import signal
import struct
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import load_channels
from tests.support.crontab import StandInCrontab
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.mail_server import MailServer
from tests.support.secret_watch import SecretWatch
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.telling import telling_site, waiting, watch, what_was_told, without_source
from tests.support.web_receiver import WebReceiver


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


# --- a broken configuration ---------------------------------------------------------------------------------------


def break_it(site: Holdfast, what: str = "FILE_PATH") -> None:
    site.config.write_text(site.config.read_text().replace(f'"{what}"', f'"{what}S"', 1))


def test_a_broken_configuration_is_told_once_and_once_more_when_it_is_good_again(
    tmp_path: Path, mail: MailServer
) -> None:
    site = telling_site(tmp_path, mail)
    good = site.config.read_text()
    break_it(site)
    for _ in range(2):
        assert site.run("backup.py", "--scheduled", BACKUP_ID).returncode == 2
    assert what_was_told(mail) == ["the configuration is broken"]
    assert f"{site.config}:1:" in mail.bodies[0]
    assert "did you mean FILE_PATH?" in mail.bodies[0]
    assert f"main.py --config {site.config} validate" in mail.bodies[0]
    break_it(site, "INTERVALS")
    assert site.run("backup.py", "--scheduled", BACKUP_ID).returncode == 2
    assert len(mail.messages) == 2, "another set of problems is told"
    site.config.write_text(good)
    watch(site)
    watch(site)
    assert what_was_told(mail)[2:] == ["the configuration is good again"]


def test_what_is_half_written_is_told_only_after_five_minutes(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    break_it(site)

    def looked(minutes: int) -> None:
        clock = (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
        finished = site.run_command(site.command_with_plan([], "--watch", clock=clock))
        assert (finished.returncode, finished.stdout, finished.stderr) == (2, "", "")

    looked(0)
    assert mail.messages == []
    looked(6)
    looked(12)
    assert what_was_told(mail) == ["the configuration is broken"]


DEFAULTS = "DEFAULTS:\n  NOTIFY:\n    - URL: ntfys://of-defaults\n      EVENTS: [failure]\n"


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        (DEFAULTS, ["of-defaults"]),
        (f"{DEFAULTS}PROJECTS:\n  - NAME: [a\n", ["of-defaults"]),
        (f"PROJECTS: &x {{\n{DEFAULTS}COLOUR: red\n", ["of-defaults"]),
        (f"{DEFAULTS}PROJECTS:\n\t- NAME: a\n", ["of-defaults"]),
        (
            "PROJECTS:\n  - NAME: a\n    NOTIFY: {URL: 'ntfys://a'}\n  - NAME: b\n    NOTIFY:\n    - URL: ntfys://b\n"
            "    BACKUPS: [\n",
            ["a", "b"],
        ),
        ("DEFAULTS: {NOTIFY: [{URL: nonsense}, {URL: 'ntfys://good'}]}\n", ["good"]),
        ("DEFAULTS: {NOTIFY: {URL: 'ntfys://${TOPIC}'}}\n", ["of-env"]),
        ("DEFAULTS: {NOTIFY: {URL: 'ntfys://${MISSING}'}}\n", []),
        ("PROJECTS: []\n", []),
        ("\x00\xff", []),
    ],
)
def test_channels_are_found_in_what_is_broken(text: str, urls: list[str], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_bytes(text.encode("latin-1"))
    found = load_channels(config, {"TOPIC": "of-env"})
    assert [channel.url.reveal() for channel in found] == [f"ntfys://{url}" for url in urls]


# --- a full disk --------------------------------------------------------------------------------------------------


@requires_root
def test_a_full_state_folder_keeps_nobody_from_being_told(tmp_path: Path, mail: MailServer) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        site = telling_site(tmp_path, mail)
        state = {"STATE_DIR": str(disk / "state")}
        assert site.run("backup.py", BACKUP_ID, env=state).returncode == 0
        foreign = disk / "foreign"
        status = os.statvfs(disk)
        foreign.write_bytes(bytes(status.f_bavail * status.f_frsize))
        assert site.run("backup.py", BACKUP_ID, env=state).returncode == 1
        assert what_was_told(mail) == ["shop/files failed"]
        assert "full" in mail.bodies[0]
        assert f"df -h {disk}/state" in mail.bodies[0]
        foreign.unlink()
        assert site.run("backup.py", BACKUP_ID, env=state).returncode == 0
        assert len(mail.messages) <= 2


@requires_root
def test_a_state_folder_that_never_had_room_is_told_too(tmp_path: Path, mail: MailServer) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        site = telling_site(tmp_path, mail)
        status = os.statvfs(disk)
        (disk / "foreign").write_bytes(bytes(status.f_bavail * status.f_frsize))
        finished = site.run("backup.py", BACKUP_ID, env={"STATE_DIR": str(disk / "state")})
        assert finished.returncode == 1
        assert "Traceback" not in finished.stderr
        assert what_was_told(mail) == ["shop/files failed"]
        assert "Last good copy: the catalog cannot be read now." in mail.bodies[0]


def test_where_nothing_can_be_remembered_the_watch_tells_it_now_and_then(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail)
    event = {"point": "catalog.begin_run", "nth": 1, "when": "after", "signal": signal.SIGKILL}
    site.run_command(site.command_with_plan([event], BACKUP_ID))
    (site.state / "told.json").mkdir()
    yesterday = datetime.now(UTC).timestamp() - 86_400
    os.utime(site.state / "told.json", (yesterday, yesterday))
    for _ in range(3):
        watch(site)
    assert what_was_told(mail) == ["shop/files was killed or interrupted"]
    assert waiting(site) == []


# --- checks -------------------------------------------------------------------------------------------------------


def damage(archive: Path) -> None:
    """Change the packed bytes of the file in it (APPNOTE.TXT, 4.3.7)."""
    with zipfile.ZipFile(archive) as opened:
        header = next(info for info in opened.infolist() if info.filename.endswith("/file")).header_offset
    data = bytearray(archive.read_bytes())
    name, extra = struct.unpack("<HH", data[header + 26 : header + 30])
    begin = header + 30 + name + extra
    data[begin : begin + 5] = bytes(byte ^ 255 for byte in data[begin : begin + 5])
    archive.chmod(0o600)
    archive.write_bytes(data)


def test_a_damaged_copy_is_told_and_its_end_too(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail, VERIFY={"INTERVALS": "0 5 * * 0", "DRILL": {"INTERVALS": "0 6 1 * *"}})
    site.back_up()
    (archive,) = site.parts(".zip")
    good = archive.read_bytes()
    damage(archive)
    for options in ((), ("--drill",)):
        assert site.run("restore.py", "verify", *options, "--scheduled", BACKUP_ID).returncode == 1
    assert what_was_told(mail) == ["shop/files failed its verification", "shop/files failed its drill"]
    assert f"restore.py --config {site.config} verify shop/files" in mail.bodies[0]
    archive.write_bytes(good)
    for options in ((), (), ("--drill",)):
        assert site.run("restore.py", "verify", *options, "--scheduled", BACKUP_ID).returncode == 0
    assert what_was_told(mail)[2:] == ["shop/files is good again"] * 2
    assert [" its verification failed" in mail.bodies[2], " its drill failed" in mail.bodies[3]] == [True, True]


# --- doctor, the crontab ------------------------------------------------------------------------------------------


def test_doctor_sends_a_test_to_every_address(tmp_path: Path, mail: MailServer) -> None:
    with WebReceiver() as receiver:
        web = f"http://127.0.0.1:{receiver.port}"
        refused = {"URL": mail.url(password="not-the-Passw0rd")}
        site = telling_site(
            tmp_path, mail, NOTIFY=[{"URL": mail.url()}, refused, {"URL": "nonsense://x"}], PING={"URL": f"{web}/key"}
        )
        finished = site.run("main.py", "doctor", "--notify")
        assert finished.returncode == 1
        lines = finished.stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["ok", "failed", "failed", "ok"]
        assert "NOTIFY in line 1 (mailto://…): the test was taken" in lines[0]
        assert "535" in lines[1]
        assert "begins with nonsense:// here" in lines[2]
        assert what_was_told(mail)[0].startswith("a test from ")
        assert [path.partition("?")[0] for path in receiver.paths] == ["/key/log"]
        assert mail.password not in finished.stdout + finished.stderr


def test_doctor_says_what_waits_and_validate_what_is_no_address(tmp_path: Path, mail: MailServer) -> None:
    site = telling_site(tmp_path, mail, NOTIFY=[{"URL": mail.url()}, {"URL": "nonsense://x"}])
    without_source(tmp_path)
    mail.stop()
    site.run("backup.py", BACKUP_ID)
    finished = site.run("main.py", "validate")
    assert finished.returncode == 0
    assert f"warning: {site.config}:1: NOTIFY: Apprise knows no service of this URL" in finished.stderr
    said = site.run("main.py", "doctor").stdout
    assert "notifications: 2 messages could not be sent yet" in said


def test_the_crontab_has_lines_for_the_watch_and_for_summaries(tmp_path: Path, mail: MailServer) -> None:
    crontab = StandInCrontab(tmp_path / "cron")
    channels = [{"URL": mail.url(), "SUMMARY": "weekly"}, {"URL": "json://localhost", "SUMMARY": "weekly"}]
    site = telling_site(tmp_path, mail, NOTIFY=channels)
    assert site.run("main.py", env={"PATH": crontab.path}).returncode == 0
    assert crontab.text is not None
    lines = crontab.text.decode().splitlines()
    lines = [line for line in lines if "--config" in line]
    commands = [line.partition(f"--config {site.config} ")[2].partition(" #")[0] for line in lines]
    assert commands == ["--scheduled shop/files", "--missed", "--watch", "--scheduled --summary"]
    assert [line.split(" /")[0] for line in lines[2:]] == ["*/5 * * * *", "0 7 * * 1"]


# --- secrets ------------------------------------------------------------------------------------------------------


def test_no_password_is_seen_anywhere(tmp_path: Path, mail: MailServer) -> None:
    mail.password = "c4nary-Secret-of-mail"
    token = "c4nary-Token-of-a-hook"
    with WebReceiver(status=500) as receiver:
        hook = f"json://127.0.0.1:{receiver.port}/{token}"
        wrong = mail.url(password="c4nary-Secret-that-is-wrong")
        site = telling_site(
            tmp_path,
            mail,
            NOTIFY=[{"URL": mail.url()}, {"URL": hook}, {"URL": wrong}, {"URL": f"json://127.0.0.1:9/{token}x"}],
            PING={"URL": f"http://127.0.0.1:{receiver.port}/{token}"},
        )
        without_source(tmp_path)
        said = []
        with SecretWatch("c4nary-") as seen:
            for program, *arguments in (
                ("backup.py", BACKUP_ID),
                ("backup.py", "--watch"),
                ("backup.py", "--summary"),
                ("main.py", "doctor", "--notify", "--json"),
                ("main.py", "validate", "--json"),
            ):
                finished = site.run(program, *arguments)
                said.append(finished.stdout + finished.stderr)
        assert [text for text in said if "c4nary-" in text] == []
        assert (seen.seen.command_lines_with_secret, seen.seen.environments_with_secret) == (set(), set())
        assert len(waiting(site)) == 3
        for path in site.state.rglob("*"):
            if path.is_file():
                assert b"c4nary-" not in path.read_bytes(), path
        assert all("c4nary-" not in body for body in mail.bodies)
        assert all(b"c4nary-" not in request.body for request in receiver.requests)
