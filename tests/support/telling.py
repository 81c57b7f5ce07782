"""Sites whose backups tell people, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.mail_server import MailServer


def telling_site(folder: Path, mail: MailServer, **keys: object) -> Holdfast:
    """A site whose backup shop/files of ``folder/source``, which is there, tells the mail server all but successes."""
    site = Holdfast(folder / "holdfast")
    source(folder)
    site.configure(folder / "source", **{"NOTIFY": {"URL": mail.url()}, **keys})
    return site


def source(folder: Path) -> Path:
    """The source with its one file."""
    found = folder / "source"
    found.mkdir(exist_ok=True)
    (found / "file").write_text("something")
    return found


def without_source(folder: Path) -> None:
    """From now on the backup fails."""
    (folder / "source" / "file").unlink()
    (folder / "source").rmdir()


def what_was_told(mail: MailServer) -> list[str]:
    """The subjects, without the beginning and the name of this machine."""
    return [subject.removeprefix("Holdfast: ").partition(" on ")[0] for subject in mail.subjects]


def watch(site: Holdfast, after: timedelta = timedelta()) -> None:
    """What cron calls every five minutes, with a clock that is so much later."""
    clock = (datetime.now(UTC) + after).isoformat()
    finished = site.run_command(site.command_with_plan([], "--watch", clock=clock))
    said = finished.stdout + finished.stderr
    assert (finished.returncode, said) == (0, ""), said


def waiting(site: Holdfast) -> list[Path]:
    """The files of the outbox."""
    return sorted((site.state / "outbox").glob("*"))


__all__ = ["BACKUP_ID", "source", "telling_site", "waiting", "watch", "what_was_told", "without_source"]
