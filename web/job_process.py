"""The parent of one job: it starts the command, keeps a bounded part of its output, and writes how it ended.

``job_process.py JOB.json COMMAND…``, started by ``web.jobs`` with the output file as its standard output, on which it
holds the lock: while that is held, the job lives. It outlives the dashboard. Only the standard library is used, so that
it costs next to nothing while it waits. SIGTERM is handed on to the command.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, Any

# In bytes: of more output than this, the beginning and the end are kept.
_BEGINNING = 65_536
_END = 65_536
_PIECE = 4096

# In seconds: something that the command left behind may have its output open for ever.
_PATIENCE = 5.0


def main() -> int:
    """Run it to its end."""
    path, command = Path(sys.argv[1]), sys.argv[2:]
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    child: subprocess.Popen[bytes] | None = None
    is_ended_early = False

    def hand_on(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_ended_early
        is_ended_early = True
        if child is not None:
            child.terminate()  # which does nothing once it has ended

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hand_on)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if is_ended_early:
        child.terminate()
    if child.stdout is None:  # never, with a pipe
        return 1
    document["process"] = child.pid
    _write(path, document)
    reader = threading.Thread(target=_keep, args=(child.stdout,), daemon=True)
    reader.start()
    exit_code = child.wait()
    reader.join(_PATIENCE)
    if exit_code != 0 and document["folder"]:
        with suppress(OSError):  # it stays where anything is in it
            Path(document["folder"]).rmdir()
    document["exit_code"] = exit_code if exit_code >= 0 else 128 - exit_code
    document["ended"] = datetime.now(UTC).isoformat()
    _write(path, document)
    return 0


def _keep(output: IO[bytes]) -> None:
    """Write what is kept to standard output."""
    written, left_out = 0, 0
    end: deque[bytes] = deque()
    with suppress(OSError):
        while piece := os.read(output.fileno(), _PIECE):
            if written < _BEGINNING:
                written += _put(piece)
                continue
            end.append(piece)
            if len(end) > _END // _PIECE:
                left_out += len(end.popleft())
        if left_out:
            _put(f"\n… {left_out:,} bytes are left out here …\n".encode())
        for piece in end:
            _put(piece)


def _put(piece: bytes) -> int:
    with suppress(OSError):  # a full disk must not end the command
        os.write(sys.stdout.fileno(), piece)
    return len(piece)


def _write(path: Path, document: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".unfinished")
    with suppress(OSError):
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
        unfinished.replace(path)


if __name__ == "__main__":
    sys.exit(main())
