"""Cron expressions: what both Debian's cron and cronsim read, and read alike.

cronsim also takes ``L``, ``#``, ``5/10`` and seconds; Debian's cron refuses a whole crontab for the first and the
third, and reads the second as something else. cron takes ``1-2-3`` and ``0~59``, which nobody else does. What only one
of the two understands is refused here, before it reaches a crontab.
"""

from __future__ import annotations

import difflib
import re
from datetime import datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

# crontab(5). `@reboot` is one too, but no interval.
NICKNAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")

LONGEST_INTERVAL = 200

_FIELDS = (
    ("a minute", "0 to 59", 59),
    ("an hour", "0 to 23", 23),
    ("a day of the month", "1 to 31", 31),
    ("a month", "1 to 12 or JAN to DEC", 12),
    ("a day of the week", "0 to 7 or SUN to SAT, where 0 and 7 are Sunday", 7),
)
_VALUE = "(?:[0-9]{1,4}|[A-Za-z]{3})"
_TERM = rf"(?:\*|{_VALUE}-{_VALUE})(?:/[0-9]+)?|{_VALUE}"
_FIELD = re.compile(rf"(?:{_TERM})(?:,(?:{_TERM}))*")
_ANY_DAY = datetime(2024, 1, 1)


@lru_cache(maxsize=4096)
def check_interval(text: str) -> str:
    """The expression with single blanks. Raises ValueError with the end of a sentence that begins with the key."""
    expression = " ".join(text.replace("\t", " ").split())
    if not expression:
        raise ValueError("must not be empty")
    if expression.startswith("@"):
        return _check_nickname(expression.lower())
    if len(expression) > LONGEST_INTERVAL:
        raise ValueError(f"is longer than {LONGEST_INTERVAL} characters")
    fields = expression.split(" ")
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"must have five fields (minute, hour, day of the month, month, day of the week), not {len(fields)}"
        )
    for index, (field, (name, allowed, highest)) in enumerate(zip(fields, _FIELDS, strict=True)):
        if not _is_known_spelling(field, highest) or not _is_good(_alone(field, index)):
            raise ValueError(
                f"has {name} (field {index + 1}) that cron does not know: it can be {allowed}, `*`, "
                "a list `1,2`, a range `1-5`, or a step `*/2` or `10-50/5`"
            )
    if not _is_good(expression):
        raise ValueError("can never run: no month in it has such a day")
    return expression


def _check_nickname(nickname: str) -> str:
    if nickname == "@reboot":
        raise ValueError(
            "cannot be @reboot, which says nothing about how often a backup is made; missed runs are caught up after a "
            "reboot anyhow. Write @daily, for example"
        )
    if nickname not in NICKNAMES:
        near = difflib.get_close_matches(nickname, NICKNAMES, 1)
        hint = f"the nearest is {near[0]}" if near else "it can be " + ", ".join(NICKNAMES)
        raise ValueError(f"has an @ name that cron does not know: {hint}")
    return nickname


def _is_known_spelling(field: str, highest: int) -> bool:
    # cron takes `*/70` and runs it at minute 0 only, which is not what its writer meant; `5-5/10` is once an hour to
    # cron, and every ten minutes to cronsim.
    return (
        bool(_FIELD.fullmatch(field))
        and all(int(step) <= highest for step in re.findall(r"/([0-9]+)", field))
        and not re.search(r"\b(\w+)-\1/", field, re.IGNORECASE)
    )


def _alone(field: str, index: int) -> str:
    """An expression that says nothing but this field, so that a fault in it is no other field's."""
    return " ".join(field if number == index else "*" for number in range(len(_FIELDS)))


@lru_cache(maxsize=4096)
def _is_good(expression: str) -> bool:
    try:
        CronSim(expression, _ANY_DAY)
    except (CronSimError, ValueError):
        return False
    return True
