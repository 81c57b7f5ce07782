"""An installation as a person has one after a year: some projects, most of them well, one failed, late, running.

For screenshots and for tests of the pages. Nothing but the running process and the copies of one backup is real.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from catalog import Catalog, open_catalog
from model import (
    ActivityKind,
    Archive,
    Check,
    CheckKind,
    CheckOutcome,
    Copy,
    Member,
    MemberKind,
    Run,
    RunStatus,
    Usage,
)
from operations.activities import Publication
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.holdfast import Holdfast
from tests.support.waiting import wait_for
from utils import format_timestamp, utc_now

CONFIG = """\
# The backups of three servers.
DEFAULTS:
  KEEP: {LAST: 3, DAILY: 14, WEEKLY: 8, MONTHLY: 12}

STORAGES:
  - NAME: NAS
    TYPE: SFTP
    HOST: nas.example.net
    USERNAME: backup
    PASSWORD: ${NAS_PASSWORD}
    ROOT: /volume1/backups

PROJECTS:
  - NAME: Web shop
    BACKUPS:
      - FILE_BACKUP:
          - NAME: uploads
            INTERVALS: ["15 2 * * *"]
            FILE_PATH: [${SOURCE}]
            EXCLUDE: ["*.tmp", cache/]
            UPLOAD_TO: [{STORAGE_NAME: LOCAL, PATH: shop}]
          - NAME: settings
            INTERVALS: ["@daily"]
            FILE_PATH: [/etc/nginx, /etc/letsencrypt]
            SSH: {USERNAME: deploy, IP_ADDRESS: 192.0.2.7}
            UPLOAD_TO: [{STORAGE_NAME: S3, PATH: shop}]
      - DB_BACKUPS:
          - NAME: database
            INTERVALS: ["30 */6 * * *"]
            DB_INFO: {NAME: shop, USERNAME: shop, PASSWORD: "${SHOP_DB_PASSWORD}", HOST: localhost}
            DOCKER: {CONTAINER_NAME: shop-db}
            SSH: {USERNAME: deploy, IP_ADDRESS: 192.0.2.7}
            VERIFY: {INTERVALS: ["0 5 * * 0"], DRILL: {INTERVALS: ["0 6 1 * *"]}}
            UPLOAD_TO: [{STORAGE_NAME: S3, PATH: shop}, {STORAGE_NAME: NAS, PATH: shop, ONLY: WEEKLY}]

  - NAME: Blog
    BACKUPS:
      - FILE_BACKUP:
          - NAME: media
            INTERVALS: ["45 2 * * *"]
            FILE_PATH: [/srv/blog/media]
            SSH: {USERNAME: deploy, IP_ADDRESS: 192.0.2.9}
            UPLOAD_TO: [{STORAGE_NAME: S3, PATH: blog}, {STORAGE_NAME: NAS, PATH: blog}]
      - DB_BACKUPS:
          - NAME: database
            INTERVALS: ["0 3 * * *"]
            DB_INFO: {TYPE: mariadb, NAME: blog, USERNAME: blog, PASSWORD: "${BLOG_DB_PASSWORD}"}
            SSH: {USERNAME: deploy, IP_ADDRESS: 192.0.2.9}
            UPLOAD_TO: [{STORAGE_NAME: S3, PATH: blog}, {STORAGE_NAME: NAS, PATH: blog}]

  - NAME: Till
    BACKUPS:
      - DB_BACKUPS:
          - NAME: database
            INTERVALS: ["0 22 * * *"]
            DB_INFO: {NAME: till_prod, USERNAME: till_prod, PASSWORD: "${TILL_DB_PASSWORD}"}
            UPLOAD_TO: [{STORAGE_NAME: S3, PATH: till}, {STORAGE_NAME: NAS, PATH: till}]
      - FILE_BACKUP:
          - NAME: receipts
            INTERVALS: ["30 22 * * 1-6"]
            FILE_PATH: [/srv/till/receipts]
            UPLOAD_TO: [{STORAGE_NAME: S3, PATH: till}, {STORAGE_NAME: NAS, PATH: till}]

  - NAME: Office
    BACKUPS:
      - FILE_BACKUP:
          - NAME: documents
            INTERVALS: ["0 19 * * 1-5"]
            FILE_PATH: [/srv/office/documents]
            UPLOAD_TO: [{STORAGE_NAME: NAS, PATH: office}]
          - NAME: mail
            INTERVALS: ["30 1 * * *"]
            FILE_PATH: [/var/mail]
            UPLOAD_TO: [{STORAGE_NAME: NAS, PATH: office}]
          - NAME: scans
            INTERVALS: ["@monthly"]
            FILE_PATH: [/srv/office/scans]
            ENABLED: no
            UPLOAD_TO: [{STORAGE_NAME: NAS, PATH: office}]
      - COMMAND_BACKUP:
          - NAME: directory
            INTERVALS: ["@weekly"]
            COMMAND: [slapcat, -n, "1"]
            FILENAME: directory.ldif
            UPLOAD_TO: [{STORAGE_NAME: NAS, PATH: office}]
"""

ENVIRONMENT = {
    "NAS_PASSWORD": "not-a-real-one-1",
    "SHOP_DB_PASSWORD": "not-a-real-one-2",
    "BLOG_DB_PASSWORD": "not-a-real-one-3",
    "TILL_DB_PASSWORD": "not-a-real-one-4",
    "S3_BUCKET": "example-backups",
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-real-one-5",
}

REAL, RUNNING = "Web-shop/uploads", "Office/documents"
FAILED, LATE, PARTIAL = "Till/database", "Office/mail", "Blog/media"

_NO_ROUTE = "The server 203.0.113.26 cannot be reached: No route to host."
_UNREADABLE = (
    "2 paths could not be read, so the archive is without:\n"
    "  /srv/blog/media/2024/export.tmp.lock: Permission denied\n"
    "  /srv/blog/media/.trash: Permission denied"
)


@dataclass(frozen=True)
class _Story:
    """How often and when a backup ran, how large it is in bytes, and where it goes."""

    backup_id: str
    at: time
    every_days: float
    size: float
    files: int
    seconds: float
    targets: tuple[str, ...]
    growth: float = 0.3
    weekdays: tuple[int, ...] = tuple(range(7))
    days_ago: int = 0


_STORIES = (
    _Story(REAL, time(2, 15), 1, 2.4e7, 168, 0.9, ("LOCAL:shop",)),
    _Story("Web-shop/settings", time(0, 0), 1, 2.6e6, 412, 3, ("S3:shop",), 0.05),
    _Story("Web-shop/database", time(0, 30), 0.25, 8.7e8, 5, 41, ("S3:shop", "NAS:shop"), 0.6),
    _Story("Blog/media", time(2, 45), 1, 1.3e10, 18_902, 310, ("S3:blog", "NAS:blog"), 0.2),
    _Story("Blog/database", time(3, 0), 1, 6.4e7, 4, 9, ("S3:blog", "NAS:blog"), 0.15),
    _Story("Till/database", time(22, 0), 1, 2.2e9, 5, 62, ("S3:till", "NAS:till"), 0.8),
    _Story("Till/receipts", time(22, 30), 1, 9.1e8, 120_411, 48, ("S3:till", "NAS:till"), 0.7, (0, 1, 2, 3, 4, 5)),
    _Story("Office/documents", time(19, 0), 1, 2.8e10, 88_120, 540, ("NAS:office",), 0.1, (0, 1, 2, 3, 4)),
    _Story("Office/mail", time(1, 30), 1, 7.3e9, 240_018, 260, ("NAS:office",), 0.4, days_ago=3),
    _Story("Office/directory", time(0, 0), 7, 1.4e7, 1, 2, ("NAS:office",), 0.02, (6,)),
)


def write_demo(holdfast: Holdfast, source: Path, now: datetime) -> None:
    """Have the configuration, and a catalog with a year of runs until ``now``.

    ``source`` is a new folder with what Web-shop/uploads reads. The process must have :data:`ENVIRONMENT`.
    """
    make_uploads(source)
    holdfast.folder.mkdir(exist_ok=True)
    holdfast.config.write_text(CONFIG.replace("${SOURCE}", str(source)), encoding="utf-8")
    holdfast.config.chmod(0o600)
    catalog = open_catalog(holdfast.state, None)
    chance = random.Random(7)
    runs = [run for story in _STORIES for run in _runs(story, now, chance)]
    catalog.record_found(runs)
    for story in _STORIES:
        _measure(catalog, story, now)
    _check(catalog, now)
    configuration = holdfast.configuration()
    since = now - timedelta(days=300)
    catalog.record_schedule({backup.id: backup.intervals for backup in configuration.enabled_backups}, since)
    _log(holdfast, next(run for run in reversed(runs) if run.backup_id == FAILED))
    catalog.close()


def make_uploads(folder: Path) -> None:
    """What a web shop's visitors and editors have uploaded: some 160 files, 24 MB."""
    chance = random.Random(11)
    things = ("armchair", "bookshelf", "desk-lamp", "dining-table", "floor-mirror", "rug", "sideboard", "stool")
    for number, thing in enumerate(things):
        below = folder / "products" / thing
        below.mkdir(parents=True)
        for view in range(1, 19):
            (below / f"{thing}-{view:02}.jpg").write_bytes(chance.randbytes(120_000 + 3_000 * number + 900 * view))
        (below / "description.md").write_text(f"# {thing.replace('-', ' ').title()}\n\nMade to order.\n" * 20)
    for name in ("catalogue-autumn.pdf", "catalogue-spring.pdf", "terms.pdf"):
        (folder / "downloads").mkdir(exist_ok=True)
        (folder / "downloads" / name).write_bytes(chance.randbytes(900_000))
    (folder / "robots.txt").write_text("User-agent: *\nDisallow: /checkout\n")


@contextmanager
def running_backup(holdfast: Holdfast, now: datetime) -> Iterator[Run]:
    """A run of :data:`RUNNING` is under way in this process, two fifths done."""
    catalog = open_catalog(holdfast.state, None)
    run = Run("c0ffee" + "0" * 26, RUNNING, now - timedelta(seconds=212))
    catalog.begin_run(run)
    at = Member(b"2026/invoices/2026-11/INV-20261118-0412.pdf", MemberKind.FILE, 0o644)
    with Publication(holdfast.state, ActivityKind.BACKUP, RUNNING, expected_size=37_000_000_000) as publication:
        publication.begin(run)
        for _ in range(34_816):
            publication.advance(Member(b"2026/letter.odt", MemberKind.FILE, 0o644), 430_000)
        publication.advance(at, 1_000_000)
        _write_log(holdfast, run, [f"INFO {RUNNING} begins", "INFO to NAS:office"])
        yield run
    catalog.close()


def _runs(story: _Story, now: datetime, chance: random.Random) -> Iterator[Run]:
    day = (now - timedelta(days=330)).date()
    moment = datetime.combine(day, story.at, UTC)
    last = now - timedelta(days=story.days_ago)
    started = []
    while moment < last - timedelta(minutes=15):
        if moment.weekday() in story.weekdays:
            started.append(moment + timedelta(seconds=chance.uniform(0.4, 2.5)))
            moment += timedelta(days=max(story.every_days, 0.25)) if story.every_days < 7 else timedelta(days=7)
        else:
            moment += timedelta(days=1)
    for number, begin in enumerate(started):
        age = number / max(len(started) - 1, 1)
        yield _run(story, begin, age, is_last=number == len(started) - 1, chance=chance)


def _run(story: _Story, begin: datetime, age: float, *, is_last: bool, chance: random.Random) -> Run:
    run_id = f"{chance.getrandbits(128):032x}"
    size = int(story.size * (1 - story.growth * (1 - age)) * chance.uniform(0.985, 1.015))
    seconds = story.seconds * (0.75 + 0.25 * age) * chance.uniform(0.85, 1.2)
    is_bad = chance.random() < 0.008 or (is_last and story.backup_id == FAILED)
    is_partial = chance.random() < 0.004 or (is_last and story.backup_id == PARTIAL)
    if is_bad:
        ended = begin + timedelta(seconds=12)
        return Run(run_id, story.backup_id, begin, begin.replace(microsecond=0), ended, RunStatus.FAILED, _NO_ROUTE)
    project, _, name = story.backup_id.partition("/")
    archive_name = f"{project}-{name}-{format_timestamp(begin)}.zip"
    status = RunStatus.PARTIAL if is_partial else RunStatus.GOOD
    archive = Archive(
        archive_name,
        begin,
        size,
        f"{chance.getrandbits(256):064x}",
        int(story.files * (0.7 + 0.3 * age)),
        int(size * 1.32),
    )
    copies = tuple(
        Copy(
            target.partition(":")[0],
            f"{target.partition(':')[2]}/{story.backup_id}/{archive_name}",
            RunStatus.GOOD,
            size,
        )
        for target in story.targets
    )
    message = _UNREADABLE if is_partial else ""
    ended = begin + timedelta(seconds=seconds)
    return Run(run_id, story.backup_id, begin, begin.replace(microsecond=0), ended, status, message, archive, copies)


def _measure(catalog: Catalog, story: _Story, now: datetime) -> None:
    copies = 31 if story.every_days <= 1 else 22
    catalog.record_usage(
        [
            Usage(story.backup_id, target, copies - 9 * place, int(story.size * 0.86 * (copies - 9 * place)), now)
            for place, target in enumerate(story.targets)
        ]
    )


def _check(catalog: Catalog, now: datetime) -> None:
    drilled = {"Web-shop/database": 25, "Blog/database": 11, "Office/documents": 40}
    verified = {"Web-shop/database": 4, "Web-shop/uploads": 5, "Blog/media": 5, "Till/receipts": 2, "Blog/database": 5}
    plans = ((CheckKind.DRILL, drilled), (CheckKind.VERIFY, verified))
    for kind, found in plans:
        for number, (backup_id, days) in enumerate(found.items()):
            begin = now - timedelta(days=days, hours=2)
            story = next(each for each in _STORIES if each.backup_id == backup_id)
            copy = format_timestamp(datetime.combine((begin - timedelta(days=1)).date(), story.at, UTC))
            message = "5 files, 64.1 MB: all as they were." if kind is CheckKind.DRILL else ""
            catalog.record_check(
                Check(
                    f"{kind.value}-{number}",
                    backup_id,
                    kind,
                    copy,
                    story.targets[0],
                    begin,
                    begin + timedelta(minutes=3),
                    CheckOutcome.PASSED,
                    message,
                )
            )


def _log(holdfast: Holdfast, run: Run) -> None:
    _write_log(
        holdfast,
        run,
        [
            f"INFO {run.backup_id} begins",
            "INFO connecting to 203.0.113.26 as ubuntu",
            "WARNING no answer within 10 s; it is tried once more",
            f"ERROR {_NO_ROUTE}",
        ],
    )


def _write_log(holdfast: Holdfast, run: Run, lines: list[str]) -> None:
    path = holdfast.state / "logs" / run.backup_id / f"{format_timestamp(run.started)}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    moments = (run.started + timedelta(seconds=3 * number) for number in range(len(lines)))
    text = "".join(f"{moment:%Y-%m-%dT%H:%M:%SZ} {line}\n" for moment, line in zip(moments, lines, strict=True))
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """The dashboard of the site, with one backup under way. Import it into the module that uses it."""
    folder = tmp_path_factory.mktemp("demo")
    holdfast = Holdfast(folder / "holdfast")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in {
            **ENVIRONMENT,
            "LOCAL_STORAGE_ROOT": str(holdfast.storage),
            "STATE_DIR": str(holdfast.state),
        }.items():
            monkeypatch.setenv(name, value)
        now = utc_now()
        write_demo(holdfast, folder / "uploads", now)
        with running_backup(holdfast, now), running_dashboard(holdfast) as dashboard:
            wait_for(lambda: any(state.sizes for state in dashboard.services.snapshot.view.states.values()))
            yield dashboard
