"""An SFTP server that goes wrong as planned: a program for sshd's ``Subsystem sftp``, and how a test plans it.

The program stands between sshd and the real sftp-server, takes the packets of version 3 apart
(draft-ietf-secsh-filexfer-02, section 3) and hands them on, but for the one that the plan names. Requests are counted
over all sessions since the plan was made, so a client that comes back goes on counting.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

SFTP_SERVER = "/usr/lib/openssh/sftp-server"

ANY = 0
OPEN, CLOSE, READ, WRITE, REMOVE, RENAME, STAT = 3, 4, 5, 6, 13, 18, 17
INIT, STATUS, EXTENDED = 1, 101, 200

# What may go wrong with a request.
REFUSED = "refused"  # answered with ``status`` and not carried out
CUT_BEFORE = "cut before"  # the connection ends, and the request is not carried out
CUT_INSIDE = "cut inside"  # half of the packet reaches the server
LOST_ANSWER = "lost answer"  # carried out, and the connection ends before the answer
HALF_ANSWER = "half answer"  # half of the answer is sent
ALTERED = "altered"  # the last byte of what a WRITE carries is another one
STALLED = "stalled"  # nothing more is handed on


@dataclass(frozen=True)
class Fault:
    """``request`` is a type of packet or ANY; the fault meets the ``number``-th of them, counted from 1."""

    name: str
    request: int = ANY
    number: int = 1
    status: int = 4
    message: str = "Failure"


class FaultPlan:
    """The plan of one server, in a folder that its sessions share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.clear()

    @property
    def subsystem(self) -> str:
        """The command for ``Subsystem sftp``."""
        return shlex.join((sys.executable, "-S", "-E", __file__, str(self._folder)))

    def plan(self, fault: Fault) -> None:
        """From now on."""
        self.clear()
        with _locked(self._folder):
            (self._folder / "plan").write_text(json.dumps(asdict(fault)))

    def clear(self) -> None:
        with _locked(self._folder):
            for name in ("plan", "count", "fired"):
                (self._folder / name).unlink(missing_ok=True)

    @property
    def has_fired(self) -> bool:
        return (self._folder / "fired").exists()


class _Session:
    """One run of the program."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = subprocess.Popen([SFTP_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._output = threading.Lock()
        self._awaited: tuple[bytes, str] | None = None
        self._parent = os.getppid()

    def run(self) -> None:
        threading.Thread(target=self._hand_back_answers, daemon=True).start()
        assert self._server.stdin is not None
        for packet in _packets(sys.stdin.buffer):
            fault = None if packet[0] == INIT else self._fault_for(packet[0])
            if fault is not None:
                packet = self._go_wrong(fault, packet)  # noqa: PLW2901
            if packet:
                _send(self._server.stdin, packet)
        self._server.stdin.close()
        self._server.wait()

    def _fault_for(self, kind: int) -> Fault | None:
        with _locked(self._folder):
            if os.getppid() != self._parent:  # the connection is gone, and what it left in the pipe counts no more
                os._exit(1)
            try:
                fault = Fault(**json.loads((self._folder / "plan").read_text()))
            except FileNotFoundError:
                return None
            if fault.request not in (ANY, kind):
                return None
            counter = self._folder / "count"
            count = int(counter.read_text()) + 1 if counter.exists() else 1
            counter.write_text(str(count))
            if count != fault.number or (fault.name == ALTERED and kind != WRITE):
                return None
            (self._folder / "fired").touch()
            return fault

    def _go_wrong(self, fault: Fault, packet: bytes) -> bytes:
        """What the server gets in place of the packet."""
        number = packet[1:5]
        match fault.name:
            case "refused":
                text = fault.message.encode()
                refusal = bytes([STATUS]) + number + fault.status.to_bytes(4, "big")
                refusal += len(text).to_bytes(4, "big") + text + bytes(4)
                with self._output:
                    _send(sys.stdout.buffer, refusal)
                return b""
            case "cut before":
                self._cut_connection()
            case "cut inside":
                assert self._server.stdin is not None
                self._server.stdin.write(len(packet).to_bytes(4, "big") + packet[: len(packet) // 2])
                self._server.stdin.flush()
                self._cut_connection()
            case "lost answer" | "half answer":
                self._awaited = (number, fault.name)
            case "altered":
                return packet[:-1] + bytes([packet[-1] ^ 1])
            case "stalled":
                self._stall()
        return packet

    def _stall(self) -> None:
        """Hand nothing on until sshd has gone, and then leave nothing running."""
        waiting = select.poll()
        waiting.register(sys.stdin.fileno(), 0)  # only that the other end is closed
        waiting.poll()
        self._server.kill()
        os._exit(1)

    def _hand_back_answers(self) -> None:
        try:
            self._hand_back_each()
        except OSError:  # sshd has gone; the server would wait for ever to be read
            self._server.kill()

    def _hand_back_each(self) -> None:
        assert self._server.stdout is not None
        for packet in _packets(self._server.stdout):
            if self._awaited is not None and packet[1:5] == self._awaited[0]:
                if self._awaited[1] == HALF_ANSWER:
                    with self._output:
                        sys.stdout.buffer.write((len(packet).to_bytes(4, "big") + packet)[: len(packet) // 2 + 4])
                        sys.stdout.buffer.flush()
                    time.sleep(0.05)  # sshd must have sent it before it is ended
                self._cut_connection()
            with self._output:
                _send(sys.stdout.buffer, packet)
        sys.stdout.buffer.flush()

    def _cut_connection(self) -> None:
        """End the sshd that serves this connection: it is the first of our parents that has this name."""
        pid = os.getppid()
        while pid > 1 and Path(f"/proc/{pid}/comm").read_text().strip() != "sshd":
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if pid > 1:
            os.kill(pid, signal.SIGKILL)
        with _locked(self._folder):  # the other thread may be counting
            os._exit(1)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _packets(stream: IO[bytes]) -> Iterator[bytes]:
    while len(head := stream.read(4)) == 4:
        yield stream.read(int.from_bytes(head, "big"))


def _send(stream: IO[bytes], packet: bytes) -> None:
    stream.write(len(packet).to_bytes(4, "big") + packet)
    stream.flush()


if __name__ == "__main__":
    _Session(Path(sys.argv[1])).run()
