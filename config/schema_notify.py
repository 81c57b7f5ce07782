"""Who is told how backups go: messages and pings."""

from __future__ import annotations

from config import scalars
from config.shapes import Key, ListOf, MapOf, MapsOf, Section
from model import Event

NOTIFY = Section(
    "NOTIFY",
    "A place that messages go to: a mailbox, a chat, a telephone, a web address. What cannot be sent is tried again "
    "for three days. `main.py doctor --notify` sends a test.",
    (
        Key(
            "URL",
            scalars.NOTIFY_URL,
            "Where to, as a URL of Apprise: https://github.com/caronc/apprise/wiki lists all services, and "
            "docs/notifications.md has examples.",
            '"${NOTIFY_URL}"',
            required=True,
        ),
        Key(
            "EVENTS",
            ListOf(scalars.one_of(*Event)),
            "What is told there: a run that failed or was killed (`failure`), one that could not read everything "
            "(`partial`), a run that did not come when it was due (`late`), the end of any of these (`recovered`), a "
            "copy that is damaged or a proof that failed or could not be done (`drill_failed`), each good run "
            "(`success`). `EVENTS: []` is none of them, where only a `SUMMARY` is wanted.",
            "[failure, late, recovered]",
            default="all but `success`",
        ),
        Key(
            "SUMMARY",
            scalars.SUMMARY,
            "When it is told how all backups stand that have this URL: `daily` is at 7:00, `weekly` on Monday at 7:00.",
            "weekly",
            default="never",
        ),
    ),
)

PING = Section(
    "PING",
    "An address that hears when a run begins (`/start` is appended), ends well, and fails (`/fail`), for a service "
    "such as Healthchecks, which misses what does not come.",
    (
        Key(
            "URL",
            scalars.PING_URL,
            "The address. `{backup}` in it becomes the id of the backup, with `-` for `/`.",
            '"https://hc-ping.com/${PING_KEY}/{backup}?create=1"',
            required=True,
        ),
        Key(
            "LOG",
            scalars.YES_NO,
            "`yes` sends the end of the run's log (at most 10 kB) along when it fails. It names files.",
            "yes",
            default="no",
        ),
    ),
)

NOTIFY_KEY = Key(
    "NOTIFY",
    MapsOf(NOTIFY),
    "Who is told how it goes. That of a backup takes the place of that of its project, and this of that of `DEFAULTS`; "
    "`NOTIFY: []` is nobody.",
    '[{URL: "${NOTIFY_URL}", SUMMARY: weekly}]',
    default="nobody",
)
PING_KEY = Key(
    "PING",
    MapOf(PING),
    "What hears of its runs as they go. That of a backup takes the place of that of its project, and this of that of "
    "`DEFAULTS`.",
    '{URL: "https://hc-ping.com/${PING_KEY}/{backup}?create=1"}',
    default="nothing",
)
