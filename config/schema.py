"""The truth about config.yaml: every key, what its value is, what it means, an example.

Validation, ``config.schema.json``, ``docs/config.md`` and the storages from the environment all come from here. A new
database is one more section in ``config.schema_databases``; hosts stand in ``config.schema_hosts``, storages in
``config.schema_storages``, encryption in ``config.schema_encryption``, proofs in ``config.schema_verify``, who is told
in ``config.schema_notify``, and what other programs watch in ``config.schema_observing``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from config import scalars
from config.schema_dashboard import DASHBOARD_KEY
from config.schema_databases import DATABASE
from config.schema_encryption import ENCRYPTION, TRUSTED_KEYS
from config.schema_hosts import DOCKER, SSH, STOP_CONTAINERS
from config.schema_notify import NOTIFY_KEY, PING_KEY
from config.schema_observing import OBSERVING
from config.schema_storages import BANDWIDTH, STORAGE
from config.schema_verify import VERIFY_KEY
from config.shapes import Key, ListOf, MapOf, MapsOf, Section, TextMap, Variants
from model import Compression

# --- how much stays ----------------------------------------------------------------------------------------------

NUMBER_KEPT = scalars.whole_number(1, 100_000)

KEEP = Section(
    "KEEP",
    "Which copies stay on each target; the others are removed after a good run. A copy stays where any of these keys "
    "asks for it. Days, weeks (from Monday), months and years are those of this machine's time zone, only those with a "
    "copy count, and while there are fewer than asked for, the oldest copy stays too: as in `restic forget`. Whatever "
    "is written here, the newest good copy stays, and so does what is newer than it, pinned "
    "(`restore.py pin`), damaged, from the future, or perhaps somebody else's (its signature is not trusted). "
    "`restore.py prune --dry-run` shows what would go, and why.",
    (
        Key("LAST", NUMBER_KEPT, "The newest copies.", "3", default="none by this rule"),
        Key("HOURLY", NUMBER_KEPT, "The newest copy of each of so many hours.", "24", default="none by this rule"),
        Key("DAILY", NUMBER_KEPT, "The newest copy of each of so many days.", "7", default="none by this rule"),
        Key("WEEKLY", NUMBER_KEPT, "The newest copy of each of so many weeks.", "4", default="none by this rule"),
        Key("MONTHLY", NUMBER_KEPT, "The newest copy of each of so many months.", "12", default="none by this rule"),
        Key("YEARLY", NUMBER_KEPT, "The newest copy of each of so many years.", "3", default="none by this rule"),
        Key(
            "WITHIN",
            scalars.CALENDAR_SPAN,
            "All copies that are no older than this: not than now, but than the newest good copy. A longer gap "
            "between two copies makes none old by itself.",
            "30d",
            default="none by this rule",
        ),
        Key(
            "MIN_COUNT",
            NUMBER_KEPT,
            "Never fewer good copies than this, whatever the other keys say. It needs another key beside it.",
            "3",
            default="1",
        ),
    ),
)

# --- where to: targets and storages ------------------------------------------------------------------------------

TARGET = Section(
    "UPLOAD_TO",
    "One place where the archive is put. Several are independent: when one fails the others are finished.",
    (
        Key(
            "STORAGE_NAME",
            scalars.TEXT,
            "`LOCAL`, `S3`, `ONEDRIVE`, or a `NAME` from `STORAGES`.",
            "LOCAL",
            required=True,
        ),
        Key(
            "PATH",
            scalars.TARGET_PATH,
            "The folder inside of the storage.",
            "backups/shop",
            default="the top of the storage",
        ),
        BANDWIDTH,
        Key("KEEP", MapOf(KEEP), "Which copies stay on this target.", "{LAST: 2}", default="the `KEEP` of the backup"),
        Key(
            "ONLY",
            scalars.one_of("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"),
            "The archive goes to this target only once in each hour, day, week (from Monday), month or year of this "
            "machine's time zone: with the first good run of it. At least one target must be without `ONLY`.",
            "MONTHLY",
            default="each run goes there",
        ),
    ),
)

# --- how much: packing -----------------------------------------------------------------------------

COMPRESSION = Section(
    "COMPRESSION",
    "How the archive is packed. Every program for ZIP files reads `deflate`. `zstd` is smaller, and few read it: a "
    "recent 7-Zip and libarchive (bsdtar) do, unzip and Python's zipfile do not.",
    (
        Key(
            "METHOD",
            scalars.one_of("deflate", "zstd", "store"),
            "`store` does not compress.",
            "zstd",
            default="deflate",
        ),
        Key(
            "LEVEL",
            scalars.whole_number(0, 19),
            "Higher is smaller and slower: 0 to 3 for `deflate`, 1 to 19 for `zstd`, none for `store`.",
            "3",
            default=f"{Compression().level} for `deflate`, 3 for `zstd`",
        ),
    ),
)

# --- what every backup has ---------------------------------------------------------------------------------------

_INTERVALS = Key(
    "INTERVALS",
    ListOf(scalars.INTERVAL),
    "When the backup runs, in the time zone of this machine. Write cron expressions in quotes.",
    '["0 2 * * *"]',
    required=True,
)
_UPLOAD_TO = Key(
    "UPLOAD_TO",
    MapsOf(TARGET),
    "Where the archive goes.",
    "[{STORAGE_NAME: LOCAL, PATH: shop}]",
    required=True,
)
_SSH = Key(
    "SSH",
    MapOf(SSH),
    "The server on which the backup is read.",
    "{USERNAME: deploy, IP_ADDRESS: 192.0.2.7}",
    default="this machine",
)
_KEEP = Key("KEEP", MapOf(KEEP), "Which copies stay on its targets.", "{LAST: 3, DAILY: 7}", default="all")
_COMPRESSION = Key(
    "COMPRESSION",
    MapOf(COMPRESSION),
    "How the archive is packed.",
    "{METHOD: zstd, LEVEL: 3}",
    default=f"`deflate`, level {Compression().level}",
)
_BANDWIDTH = replace(BANDWIDTH, doc="The most that a run sends in a second, to all of its targets together.")
_ENABLED = Key(
    "ENABLED", scalars.YES_NO, "`no` takes it out of the schedule; what was stored stays.", "no", default="yes"
)

_FILE_RULES = (
    Key(
        "EXCLUDE",
        ListOf(scalars.PATTERN),
        "What is left out: patterns as in `.gitignore`, matched below each `FILE_PATH`.",
        '["*.tmp", cache/]',
        default="nothing",
    ),
    Key(
        "EXCLUDE_CACHES",
        scalars.YES_NO,
        "`yes` leaves out folders that are marked as caches by a `CACHEDIR.TAG`.",
        "yes",
        default="no",
    ),
    Key(
        "EXCLUDE_IF_PRESENT",
        ListOf(scalars.FILE_NAME),
        "Folders that hold a file of this name are left out.",
        "[.nobackup]",
        default="none",
    ),
    Key("ONE_FILE_SYSTEM", scalars.YES_NO, "`yes` does not go into other mounted file systems.", "yes", default="no"),
)

# What POSIX gives a meaning to (Base Definitions, chapter 8). Of any other name nobody can tell.
_PUBLIC_NAMES = frozenset(
    {
        *("HOME", "PATH", "TERM", "TMPDIR", "TZ", "LANG"),
        *("LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME"),
    }
)

_PROGRAM = "A program and its arguments, each by itself; a line for a shell is `[sh, -c, line]`."
_AROUND = (
    Key(
        "BEFORE",
        ListOf(scalars.ARGUMENT),
        f"Run where the backup is read, before it is. Exit status 75 skips this run. {_PROGRAM}",
        "[systemctl, stop, shop]",
        default="nothing is run",
    ),
    Key(
        "AFTER",
        ListOf(scalars.ARGUMENT),
        "Run there when the run has ended, well or not, unless BEFORE had failed. It undoes what BEFORE did.",
        "[systemctl, start, shop]",
        default="nothing is run",
    ),
    Key(
        "ON_FAILURE",
        ListOf(scalars.ARGUMENT),
        "Run there when the run has failed.",
        "[logger, --tag, holdfast, backup failed]",
        default="nothing is run",
    ),
    Key(
        "TIMEOUT",
        scalars.DURATION,
        "The longest that a run, or each try of it, may take. One that takes longer is ended, and has failed.",
        "2h",
        default="no limit",
    ),
    Key(
        "RETRIES",
        scalars.whole_number(0, 10),
        "How often a run that failed is tried again: after 1 minute, then 2, 4, 8, and 15 from then on.",
        "2",
        default="0",
    ),
)
_STOP_CONTAINERS = Key(
    "STOP_CONTAINERS",
    MapOf(STOP_CONTAINERS),
    "Containers that stand still while the source is read.",
    "{CONTAINER_NAME: [shop-web]}",
    default="none",
)
_SHARED = (_INTERVALS, _UPLOAD_TO, _SSH)
_HOW = (_KEEP, *ENCRYPTION, VERIFY_KEY, NOTIFY_KEY, PING_KEY, _COMPRESSION, _BANDWIDTH)
_SHARED_LAST = (_STOP_CONTAINERS, *_AROUND, *_HOW, _ENABLED)
_DOCKER = Key(
    "DOCKER",
    MapOf(DOCKER),
    "The container in which the backup is read.",
    "{CONTAINER_NAME: shop-web}",
    default="no container",
)


def _backup_name(word: str) -> Key:
    return Key(
        "NAME",
        scalars.TEXT,
        "Its name, unique in the project.",
        "uploads",
        default=f"`{word}`; needed where a project has several without one",
    )


FILE_BACKUP = Section(
    "FILE_BACKUP",
    "A backup of files and folders.",
    (
        _backup_name("files"),
        Key(
            "FILE_PATH",
            ListOf(scalars.PATH),
            "The files and folders: absolute, from `~/` on, or from `${CONFIG_DIR}/` on.",
            "[/srv/shop/uploads, /etc/nginx]",
            required=True,
        ),
        *_SHARED,
        _DOCKER,
        *_FILE_RULES,
        *_SHARED_LAST,
    ),
    takes_defaults=True,
)

DB_BACKUP = Section(
    "DB_BACKUP",
    "A backup of databases: one, several or all of a server, or SQLite files.",
    (
        _backup_name("db"),
        Key(
            "DB_INFO",
            MapOf(DATABASE),
            "The database and how to reach it.",
            '{NAME: shop, USERNAME: shop, PASSWORD: "${SHOP_DB_PASSWORD}"}',
            required=True,
        ),
        *_SHARED,
        _DOCKER,
        *_SHARED_LAST,
    ),
    takes_defaults=True,
)

COMMAND_BACKUP = Section(
    "COMMAND_BACKUP",
    "A backup of what a program writes to its standard output: for a database that Holdfast does not know, and "
    "whatever else has a program that exports it. It is good only where the program ends with exit status 0.",
    (
        _backup_name("command"),
        Key(
            "COMMAND",
            ListOf(scalars.ARGUMENT),
            f"{_PROGRAM} Secrets belong into `ENVIRONMENT`.",
            "[slapcat, -n, '1']",
            required=True,
        ),
        Key(
            "FILENAME",
            scalars.FILE_NAME,
            "The name of the file that its output becomes.",
            "directory.ldif",
            required=True,
        ),
        Key(
            "ENVIRONMENT",
            TextMap(scalars.VARIABLE_NAME, scalars.SECRET, _PUBLIC_NAMES),
            "Variables for the program, by name. Each counts as a secret, but `PATH`, `LANG`, `TZ` and their like.",
            '{API_TOKEN: "${SHOP_API_TOKEN}"}',
            default="none besides those of the host",
        ),
        *_SHARED,
        _DOCKER,
        *_SHARED_LAST,
    ),
    takes_defaults=True,
)

# --- the whole ---------------------------------------------------------------------------------------------------

BACKUPS = Section(
    "BACKUPS",
    "The backups of a project, by kind.",
    (
        Key("FILE_BACKUP", MapsOf(FILE_BACKUP), "Backups of files and folders.", "[]", aliases=("FILE_BACKUPS",)),
        Key("DB_BACKUP", MapsOf(DB_BACKUP), "Backups of databases.", "[]", aliases=("DB_BACKUPS",)),
        Key(
            "COMMAND_BACKUP",
            MapsOf(COMMAND_BACKUP),
            "Backups of what programs write.",
            "[]",
            aliases=("COMMAND_BACKUPS",),
        ),
    ),
)

PROJECT = Section(
    "PROJECTS",
    "A named group of backups.",
    (
        Key("NAME", scalars.TEXT, "Its name. It is a folder on every target.", "shop", required=True),
        Key("BACKUPS", MapsOf(BACKUPS), "Its backups.", "[]", default="none yet"),
        Key("ENABLED", scalars.YES_NO, "`no` takes all of its backups out of the schedule.", "no", default="yes"),
        replace(NOTIFY_KEY, default="what `DEFAULTS` says"),
        replace(PING_KEY, default="what `DEFAULTS` says"),
    ),
)

DEFAULTS = Section(
    "DEFAULTS",
    "What holds for every backup that does not say it itself. A key in a backup takes the place of the whole key here.",
    tuple(replace(key, required=False) for key in (*_SHARED, *_FILE_RULES, *_AROUND, *_HOW)),
)

CONFIGURATION = Section(
    "config.yaml",
    "The top of the file.",
    (
        Key("PROJECTS", MapsOf(PROJECT), "All projects.", "[]", required=True, may_be_empty=True),
        Key(
            "STORAGES", MapsOf(STORAGE), "Storages with names of their own.", "[]", default="those from the environment"
        ),
        Key("DEFAULTS", MapOf(DEFAULTS), "What holds for every backup.", "{}", default="nothing"),
        TRUSTED_KEYS,
        DASHBOARD_KEY,
        *OBSERVING,
    ),
)


def sections() -> Iterator[Section]:
    """Every map of the configuration once, each followed by the maps that stand in it."""
    waiting: list[Section | Variants] = [CONFIGURATION]
    seen: list[Section] = []
    while waiting:
        here = waiting.pop(0)
        if isinstance(here, Variants):
            waiting[:0] = here.sections.values()
        elif here not in seen:
            seen.append(here)
            yield here
            waiting[:0] = [key.shape.section for key in here.keys if isinstance(key.shape, MapOf | MapsOf)]


KEY_NAMES = frozenset(spelling for section in sections() for key in section.keys for spelling in key.spellings)
