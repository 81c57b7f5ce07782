"""What a person sees on a terminal while files are packed or put back: a bar, files, bytes, rate, and what is read.

rich is imported only where a terminal is there to draw on; under cron nothing of this is loaded.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from command_line import is_terminal
from model import Member, Run, Target
from utils import format_count, printable

if TYPE_CHECKING:
    from rich.progress import TaskID

_REDRAW_SECONDS = 0.1
_PATH_LENGTH = 40


class Progress:
    """An ``operations.observer.Observer``, and a context manager.

    ``expected_size`` is the number of bytes to come, None where that cannot be guessed.

    Does nothing where standard error is no terminal, or ``quiet``.
    """

    def __init__(self, title: str, expected_size: int | None, *, quiet: bool) -> None:
        self._title = title
        self._expected_size = expected_size
        self._enabled = not quiet and is_terminal(sys.stderr)
        self._files = 0
        self._size = 0
        self._member: Member | None = None
        self._next_redraw = 0.0
        self._uploads: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._enabled:
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._enabled:
            self._bar.stop()

    @property
    def is_shown(self) -> bool:
        """Whether anybody looks."""
        return self._enabled

    def begin(self, run: Run) -> None:
        """A run begins: the bar of the first one goes on."""

    def wait(self, until: datetime) -> None:
        """The bar stands still until then."""

    def expect(self, size: int) -> None:
        """Now it is known how many bytes are to come."""
        if self._enabled:
            self._bar.update(self._task, total=size)

    def advance(self, member: Member, size: int) -> None:
        """``size`` more bytes of this member are done; a member counts as one file at its first call."""
        self._size += size
        self._files += member is not self._member
        self._member = member
        if self._enabled and time.monotonic() >= self._next_redraw:
            self._next_redraw = time.monotonic() + _REDRAW_SECONDS
            path = printable(member.path)
            if len(path) > _PATH_LENGTH:
                path = "…" + path[-_PATH_LENGTH:]
            self._bar.update(self._task, completed=self._size, files=format_count(self._files, "file"), path=path)

    def reach(self, size: int) -> None:
        """So many bytes in all are done, of whatever file."""
        if self._enabled and time.monotonic() >= self._next_redraw:
            self._next_redraw = time.monotonic() + _REDRAW_SECONDS
            self._bar.update(self._task, completed=size)

    def upload(self, target: Target, sent: int, size: int) -> None:
        """``sent`` of the ``size`` bytes of an archive that waits on this machine are on their way to the target."""
        if not self._enabled:
            return
        name = str(target)
        if name not in self._uploads:
            self._bar.update(self._task, completed=self._size, total=self._size, path="")  # all of it is packed
            self._uploads[name] = self._bar.add_task(f"to {target.storage.name}", total=size, files="", path="")
        self._bar.update(self._uploads[name], completed=sent)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TransferSpeedColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[files]}"),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("{task.fields[path]}", style="dim", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self._title, total=self._expected_size, files="", path="")
        self._bar.start()


class Steps:
    """Which of some things is looked at, and how many are still to come; a context manager.

    Does nothing where standard error is no terminal, or ``quiet``.
    """

    def __init__(self, title: str, count: int, *, quiet: bool) -> None:
        self._title = title
        self._count = count
        self._enabled = not quiet and is_terminal(sys.stderr)
        self._begun = 0

    def __enter__(self) -> Self:
        if self._enabled:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=20),
                MofNCompleteColumn(),
                TextColumn("{task.fields[step]}", style="dim", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(self._title, total=self._count, step="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._enabled:
            self._bar.stop()

    def begin(self, step: str) -> None:
        """This one is next, and all before it are done."""
        if self._enabled:
            self._bar.update(self._task, completed=self._begun, step=step)
        self._begun += 1
