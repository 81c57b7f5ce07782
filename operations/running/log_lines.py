"""The lines of the logs of runs and checks, in both formats of ``LOG_FORMAT``: written, and read again. Pure.

``text`` has a line for each event, and more for its traceback::

    2026-11-20T03:00:00Z INFO 30,925 files, 927 MB

``json`` (https://jsonlines.org) has one object in each line::

    {"time": "2026-11-20T03:00:00Z", "level": "INFO", "message": "30,925 files, 927 MB", "kind": "backup", "backup": …}
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from utils import printable, redact

_TEXT_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ([A-Z]+) (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One event. ``time`` is None and ``level`` is ``""`` where the line is torn, or not one of ours."""

    time: datetime | None
    level: str
    message: str


def text_lines(record: logging.LogRecord) -> str:
    """The record as lines: one for its message, and one for each line of its traceback."""
    start = f"{_time(record)} {record.levelname} "
    texts = [redact(record.getMessage()), *_traceback(record).splitlines()]
    return "".join(f"{start}{printable(text.encode('utf-8', 'backslashreplace'))}\n" for text in texts)


def json_line(record: logging.LogRecord, fields: Mapping[str, str]) -> str:
    """The record as one line: ``time``, ``level``, ``message``, ``fields``, and ``traceback`` where there is one.

    It is ASCII: what is no text (bytes of file names) stands as ``\\udc…``, as it does in ``text``.
    """
    found = _traceback(record)
    document = {"time": _time(record), "level": record.levelname, "message": redact(record.getMessage()), **fields}
    if found:
        document["traceback"] = found
    texts = {name: text.encode("utf-8", "backslashreplace").decode() for name, text in document.items()}
    return json.dumps(texts) + "\n"


def read_lines(lines: Iterable[str]) -> Iterator[LogLine]:
    """The events of a log in either format, or in both: it may have been changed on the way."""
    for line in lines:
        yield from _read(line.rstrip("\n"))


def _read(line: str) -> Iterator[LogLine]:
    if line.startswith("{"):
        try:
            document = json.loads(line)
            moment, level = datetime.fromisoformat(document["time"]), str(document["level"])
            yield LogLine(moment, level, str(document["message"]))
        except (ValueError, KeyError, TypeError):
            yield LogLine(None, "", line)
            return
        for text in str(document.get("traceback", "")).splitlines():
            yield LogLine(moment, level, text)
        return
    match = _TEXT_LINE.fullmatch(line)
    yield LogLine(datetime.fromisoformat(match[1]), match[2], match[3]) if match else LogLine(None, "", line)


def _time(record: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _traceback(record: logging.LogRecord) -> str:
    return redact("".join(traceback.format_exception(*record.exc_info))) if record.exc_info else ""
