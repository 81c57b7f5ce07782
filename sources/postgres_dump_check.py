"""Whether a dump in pg_dump's custom format is whole, found out while it passes.

pg_dump's exit status is the first proof. This is the second: pg_restore reads the table of contents, which stands at
the beginning, and the dump ends as its contents say that it must.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from errors import HostError, SourceError
from hosts.command import Command, CommandHost

# pg_restore ends as soon as it has the table of contents. What was sent after it must not count as an error: `cat`.
_LIST_AND_READ_ON = '"$@" && cat >/dev/null'

# The data of each table, and of large objects, ends with a block of length 0: a sign and four bytes (WriteInt() in
# PostgreSQL's pg_backup_archiver.c). Nothing follows the last of them.
_END_OF_DATA = bytes(5)
_HAS_DATA = re.compile(rb"^\d+; \d+ \d+ (TABLE DATA|BLOBS) ", re.MULTILINE)

_CHUNKS_IN_FLIGHT = 4
_SECONDS_TO_END = 10.0


class DumpCheck:
    """Reads the beginning of a dump with `pg_restore --list` on the host while the dump passes. A context manager."""

    def __init__(self, host: CommandHost, command: Command) -> None:
        self._host = host
        argv = ("sh", "-c", _LIST_AND_READ_ON, "sh", *command.argv)
        self._running = host.start(Command(argv, command.environment, command.argv[0]), feeds_input=True)
        self._beginning: queue.Queue[bytes | None] = queue.Queue(_CHUNKS_IN_FLIGHT)
        self._has_enough = threading.Event()
        self._listing = b""
        self._error: HostError | None = None
        self._tail = b""
        self._feeder = threading.Thread(target=self._feed, name="feeds pg_restore --list", daemon=True)
        self._reader = threading.Thread(target=self._read, name="reads pg_restore --list", daemon=True)

    def __enter__(self) -> Self:
        self._running.__enter__()
        self._feeder.start()
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_feeding()
        self._feeder.join(_SECONDS_TO_END)
        self._running.__exit__(kind, error, trace)
        self._reader.join(_SECONDS_TO_END)

    def passes(self, chunk: bytes) -> None:
        """See a chunk of the dump. It waits for pg_restore where that is slower."""
        self._tail = chunk[-len(_END_OF_DATA) :] if len(chunk) >= len(_END_OF_DATA) else (self._tail + chunk)[-5:]
        while not self._has_enough.is_set():
            with suppress(queue.Full):
                self._beginning.put(chunk, timeout=0.1)
                return

    def finish(self) -> None:
        """After the last chunk. Raises SourceError where the dump is not whole."""
        while not self._has_enough.is_set():
            with suppress(queue.Full):
                self._beginning.put(None, timeout=0.1)
                break
        self._feeder.join()
        self._reader.join()
        if self._error is not None:
            raise SourceError(
                f"pg_dump on {self._host.name} ended well, but pg_restore cannot read what it wrote. {self._error}"
            ) from self._error
        if _HAS_DATA.search(self._listing) and self._tail != _END_OF_DATA:
            raise SourceError(
                f"pg_dump on {self._host.name} ended well, but what arrived of its dump does not end as a dump does: a "
                "part is missing."
            )

    def _feed(self) -> None:
        try:
            self._running.feed(self._chunks_of_beginning())
        except HostError as error:
            self._error = error
        finally:
            self._has_enough.set()

    def _chunks_of_beginning(self) -> Iterator[bytes]:
        while not self._has_enough.is_set():
            chunk = self._beginning.get()
            if chunk is None:
                return
            yield chunk

    def _read(self) -> None:
        try:
            for piece in self._running.chunks():
                self._listing += piece
                self._stop_feeding()
        except HostError as error:
            self._error = error
        finally:
            self._stop_feeding()

    def _stop_feeding(self) -> None:
        self._has_enough.set()
        with suppress(queue.Full):  # then the feeder does not wait for anything
            self._beginning.put_nowait(None)
