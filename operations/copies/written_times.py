"""Times as a person writes them: ``2026-11-20``, ``2026-11-20 03:00``, ``2026-11-20T03:00:00Z``.

Only forms that nobody reads in two ways. What is not written is meant to its end: a day alone is all of that day, and
03:00 all of that minute, so that the time that a list shows finds the copy that it was shown for.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from errors import UsageError

_FORM = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)([ T](?P<minute>\d\d:\d\d)(?P<second>:\d\d)?(?P<offset>Z|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def parse_written_time(text: str) -> datetime:
    """The last moment (UTC) that a written time means, in this machine's time zone where it has no offset.

    An hour that a clock goes through twice is the second of them. Raises UsageError.
    """
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise _not_a_time(text, "has another form")
    length = timedelta(seconds=1) if found["second"] else timedelta(minutes=1) if found["minute"] else timedelta(days=1)
    written = f"{found['day']}T{found['minute'] or '00:00'}{found['second'] or ':00'}{found['offset'] or ''}"
    try:
        # The end is taken before the time zone, as a day with a change of clocks has no 24 hours.
        end = datetime.fromisoformat(written) + length - timedelta(microseconds=1)
        return end.replace(fold=1).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _not_a_time(text, f"is none ({error})") from None


def _not_a_time(text: str, reason: str) -> UsageError:
    return UsageError(
        f"A time is written like 2026-11-20, 2026-11-20 03:00 or 2026-11-20T03:00:00Z, and '{text}' {reason}."
    )
