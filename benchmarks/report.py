"""A page of figures and its chart, both in docs/."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from pathlib import Path

_BAR_HEIGHT = 22
_LABEL_WIDTH = 230
_CHART_WIDTH = 760


@dataclass(frozen=True, slots=True)
class Table:
    """A part of the page. ``bars`` are (name, seconds) for the chart; those of Holdfast are drawn in its colour."""

    title: str
    text: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Sequence[tuple[str, float]] = ()


_WHOLE_PROCESSES = """\
Made by `make bench` (the programs are in `benchmarks/`). Every figure is the median of whole processes,
start-up included; the commands took turns, each with its input warm in memory. What counts is the ratio:
the seconds depend on the machine."""


def write_report(
    name: str, title: str, tables: Sequence[Table], docs: Path, peers: str, about: str = _WHOLE_PROCESSES
) -> None:
    """Write ``<name>.md`` and ``<name>.svg`` into the folder ``docs``.

    ``peers`` names the measured versions of other programs, ``""`` where there are none; ``about`` says what the
    figures are.
    """
    (docs / f"{name}.svg").write_text(_chart([table for table in tables if table.bars]))
    parts = [
        f"# {title}",
        "",
        about,
        "",
        f"Measured on {date.today().isoformat()} on {machine()}.",
        *([f"The others: {peers}."] if peers else []),
        "",
        f"![Seconds of each command]({name}.svg)",
    ]
    for table in tables:
        parts += ["", f"## {table.title}", "", table.text, "", _row(table.header), _row("---" for _ in table.header)]
        parts += [_row(row) for row in table.rows]
    (docs / f"{name}.md").write_text("\n".join(parts) + "\n")


def machine() -> str:
    """The machine's size in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB of memory, Python {platform.python_version()}"


def version(command: Sequence[str]) -> str:
    """The first line that a program says of its version."""
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    return next((line for line in (output.stdout + output.stderr).splitlines() if re.search(r"\d\.\d", line)), "?")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _chart(tables: Sequence[Table]) -> str:
    """Bars of seconds, a group for each table, each group to its own scale. Readable on light and dark pages."""
    parts, y = [], 10
    for table in tables:
        y += 18
        parts.append(f'<text x="0" y="{y}" class="title">{escape(table.title)}</text>')
        y += 10
        longest = max(seconds for _, seconds in table.bars)
        for name, seconds in table.bars:
            width = (_CHART_WIDTH - _LABEL_WIDTH - 80) * seconds / longest
            kind = "ours" if name.startswith("Holdfast") else "peer"
            middle = y + _BAR_HEIGHT * 0.65
            parts.append(f'<text x="{_LABEL_WIDTH - 8}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>')
            parts.append(
                f'<rect x="{_LABEL_WIDTH}" y="{y + 3}" width="{width:.1f}" height="{_BAR_HEIGHT - 6}" class="{kind}"/>'
            )
            parts.append(f'<text x="{_LABEL_WIDTH + width + 6:.1f}" y="{middle:.0f}">{seconds:.2f} s</text>')
            y += _BAR_HEIGHT
        y += 12
    style = (
        "text{font:13px system-ui,sans-serif;fill:#555}.title{font-weight:600;font-size:14px}"
        ".ours{fill:#1f7a4d}.peer{fill:#9aa5b1}"
        "@media(prefers-color-scheme:dark){text{fill:#bbb}.ours{fill:#3fb67f}.peer{fill:#5d6873}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_CHART_WIDTH} {y}" width="{_CHART_WIDTH}" height="{y}" '
        f'role="img" aria-label="Seconds of each command"><style>{style}</style>{"".join(parts)}</svg>\n'
    )
