"""The text of a crontab: which lines are ours, and what it becomes. Pure functions of bytes.

Ours is a line that ends with the exact marker of its owner, the configuration that it was compiled from::

    0 2 * * * /srv/holdfast/.venv/bin/python … --scheduled shop/uploads # holdfast:/srv/holdfast/config.yaml

and the header, a comment of exactly one text. Everything else belongs to the user and stays byte for byte, a line of
ours that was commented out too. A line ends with ``\\n``; a ``\\r`` before it, which an editor left, does not count.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from errors import ScheduleError

MOST_LINES = 10_000
"""Debian's crontab(1) refuses more: "crontab is too long; maximum number of lines is 10000" (cron 3.0pl1-162)."""

LONGEST_COMMAND = 998
"""Bytes after the five fields. Debian's crontab(1) refuses 999: "command too long" (MAX_COMMAND in its cron.h)."""

_MARKER = re.compile(rb" # holdfast:(/[^ ]*)\Z")
_HEADER = re.compile(rb'^# Holdfast wrote the lines that end in "# holdfast:(/[^ ]*)": edit that file, not them\.\Z')


def marker(owner: Path) -> bytes:
    """What the lines of this owner end with: its path, percent-encoded where it is not plain, with ``%`` escaped."""
    return b" # holdfast:" + quote_from_bytes(os.fsencode(owner), safe="/").replace("%", "\\%").encode("ascii")


def header(owner: Path) -> bytes:
    """The comment above the lines of this owner, without its newline."""
    return b'# Holdfast wrote the lines that end in "' + marker(owner).lstrip() + b'": edit that file, not them.'


def owners(crontab: bytes) -> list[Path]:
    """The configurations that have lines or a header in this crontab, in order of appearance."""
    found: dict[Path, None] = {}
    for line in _split(crontab):
        text = _text(line)
        match = _HEADER.search(text) if _is_comment(text) else _MARKER.search(text)
        if match:
            owner = Path(os.fsdecode(unquote_to_bytes(match[1].replace(b"\\%", b"%"))))
            if match[0] in (marker(owner), header(owner)):
                found[owner] = None
    return list(found)


def update(crontab: bytes, owner: Path, wanted: Sequence[bytes]) -> bytes:
    """The crontab in which ``wanted`` (without newlines) are the lines of this owner, and all else is as it was.

    Lines that are there already stay where they are. One whose times alone changed takes the place of its old form;
    other new ones follow the line that they follow in ``wanted``, or begin at the end of the crontab. Without
    ``wanted`` all lines and the header go. Where anything changes, a missing last newline is added: cron refuses a
    crontab without it.
    """
    lines = _split(crontab)
    own_positions = [position for position, line in enumerate(lines) if _is_own(_text(line), owner)]
    header_positions = [position for position, line in enumerate(lines) if _text(line) == header(owner)]
    if not wanted:
        dropped = {*own_positions, *header_positions}
        return _joined(crontab, (line for position, line in enumerate(lines) if position not in dropped))
    if own_positions:
        return _joined(crontab, _merged(lines, own_positions, wanted))
    new = [line + b"\n" for line in wanted]
    if header_positions:
        below = header_positions[0] + 1
        return _joined(crontab, [*lines[:below], *new, *lines[below:]])
    return _joined(crontab, [*lines, header(owner) + b"\n", *new])


def check_limits(before: bytes, after: bytes) -> None:
    """Raises ScheduleError where cron would refuse the new crontab because it has too many lines."""
    count = after.count(b"\n")
    if count > MOST_LINES and count > before.count(b"\n"):
        raise ScheduleError(
            f"The crontab would have {count:,} lines, and cron refuses more than {MOST_LINES:,}. Give fewer INTERVALS "
            "(`0 2,14 * * *` is one line, two intervals are two), or run some projects under another user. "
            "Nothing was changed."
        )


def _merged(lines: Sequence[bytes], own_positions: Sequence[int], wanted: Sequence[bytes]) -> Iterable[bytes]:
    """``lines`` with the wanted ones in the place of, or beside, those at ``own_positions`` (at least one)."""
    kept: dict[bytes, deque[int]] = defaultdict(deque)
    for position in own_positions:
        kept[_text(lines[position])].append(position)
    places: list[int | None] = [kept[text].popleft() if kept[text] else None for text in wanted]
    vacated: dict[bytes, deque[int]] = defaultdict(deque)
    for position in sorted(position for left in kept.values() for position in left):
        vacated[_command(_text(lines[position]))].append(position)

    content: dict[int, list[bytes]] = {position: [] for position in own_positions}
    anchor: int | None = None
    leading: list[bytes] = []
    for text, place in zip(wanted, places, strict=True):
        if place is not None:
            content[place].append(lines[place])
            anchor = place
            continue
        if vacated[_command(text)]:
            anchor = vacated[_command(text)].popleft()
        (leading if anchor is None else content[anchor]).append(text + b"\n")
    content[own_positions[0]] = leading + content[own_positions[0]]
    for position, line in enumerate(lines):
        yield from content.get(position, [line])


def _joined(before: bytes, lines: Iterable[bytes]) -> bytes:
    """The lines as one text; where it is another one than before, every line of it ends."""
    after = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    return before if after == before + b"\n" and not before.endswith(b"\n") else after


def _split(crontab: bytes) -> list[bytes]:
    """The lines with their newlines. Not ``splitlines``: for cron only ``\\n`` ends a line, and 0x0b is content."""
    lines = [line + b"\n" for line in crontab.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _text(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def _is_comment(text: bytes) -> bool:
    return text.lstrip(b" \t").startswith(b"#")


def _is_own(text: bytes, owner: Path) -> bool:
    return text.endswith(marker(owner)) and not _is_comment(text)


def _command(text: bytes) -> bytes:
    """What a line runs, without its times: two lines of one backup are alike in it."""
    return text.split(None, 1 if text.startswith(b"@") else 5)[-1]
