"""How copies are proved: read back, and restored for real."""

from __future__ import annotations

from dataclasses import replace

from config import scalars
from config.shapes import Key, ListOf, MapOf, Section, TextMap
from model import VerifyPlan

_INTERVALS = Key(
    "INTERVALS",
    ListOf(scalars.INTERVAL),
    "When copies are read back, in the time zone of this machine. An empty list, `INTERVALS: []`, takes away what "
    "`DEFAULTS` says.",
    '["0 5 * * 0"]',
    default="only `DRILL`",
)

DRILL = Section(
    "DRILL",
    "The newest good copy is restored for real, compared with what its manifest says, and removed again: files into a "
    "folder, databases into a server that is started for this alone.",
    (
        replace(
            _INTERVALS,
            doc="When that is done, in the time zone of this machine.",
            example='["0 6 1 * *"]',
            default="",
            required=True,
        ),
        Key(
            "ASSERT",
            ListOf(scalars.QUESTION),
            "Questions in SQL to the restored database, each answered by one value: the drill has failed where it is "
            "not true (or 0). For a backup of one database; in `DEFAULTS` for each such backup.",
            '["select count(*) > 100 from users"]',
            default="none",
        ),
        Key(
            "ASSERT_IN",
            TextMap(scalars.TEXT, scalars.QUESTION),
            "The same for a backup of several databases: the name of each (of SQLite, its path), and the question to "
            "it.",
            '{shop: "select count(*) > 100 from users"}',
            default="none",
        ),
        Key(
            "FOLDER",
            scalars.PATH,
            "The folder on this machine in which it is restored, with room for all of it. It is made where it is "
            "missing, and what the drill puts there is private and removed.",
            "/srv/drills",
            default="a folder in `STATE_DIR`",
        ),
    ),
)

VERIFY = Section(
    "VERIFY",
    "When it is proved, by a line of the crontab, that copies can be restored: by reading them back, by a drill, or "
    "both.",
    (
        _INTERVALS,
        Key(
            "SAMPLE",
            scalars.PERCENTAGE,
            "How many of the copies on each target are read back each time, at least two: the newest good one, and "
            "those whose last time is longest ago.",
            "25%",
            default=f"{VerifyPlan().sample}%",
        ),
        Key(
            "HEAL",
            scalars.YES_NO,
            "`yes` makes a copy that is found bad, or the newest where it is missing, again from a good one on another "
            "target.",
            "yes",
            default="no",
        ),
        Key(
            "DRILL",
            MapOf(DRILL),
            "When the newest copy is restored for real.",
            '{INTERVALS: ["0 6 1 * *"]}',
            default="no drill by itself",
        ),
    ),
)

VERIFY_KEY = Key(
    "VERIFY",
    MapOf(VERIFY),
    "When copies are read back, and restored for real.",
    '{INTERVALS: ["0 5 * * 0"], SAMPLE: 25%}',
    default="only when `restore.py verify` is asked to",
)
