"""A real SSH server of this machine, for one test or for all: its own port, configuration, host keys and user's key.

It serves the user who runs the tests. As root, /run/sshd is made where it is missing.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
SFTP_SERVER = "/usr/lib/openssh/sftp-server"
USER = pwd.getpwuid(os.geteuid()).pw_name

requires_sshd = pytest.mark.skipif(not (Path(SSHD).exists() and Path(SFTP_SERVER).exists()), reason="needs sshd")


@dataclass
class Sshd:
    """A server that runs. ``user_key`` is the private key that it accepts, ``known_hosts`` names it."""

    folder: Path
    port: int
    host_keys: tuple[Path, ...]
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def user_key(self) -> Path:
        return self.folder / "user_key"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def fingerprint(self, number: int = 0) -> str:
        """``SHA256:…`` of one of its host keys."""
        return fingerprint(self.host_keys[number])

    def children(self) -> list[int]:
        """The processes that serve connections now, and all that they started."""
        return _descendants(self.process.pid)

    def signal_children(self, number: signal.Signals) -> None:
        """Send it to all of :meth:`children`. Some end by themselves when another one is ended."""
        for pid in self.children():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(self) -> None:
        """End it and every connection."""
        children = self.children()
        for pid in (self.process.pid, *children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_sshd(
    subsystem: str = "internal-sftp",
    lines: Sequence[str] = (),
    key_types: Sequence[str] = ("ed25519",),
    port: int | None = None,
) -> Iterator[Sshd]:
    """A server with these host keys, and with further ``lines`` in its configuration."""
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="holdfast-sshd-"))
    try:
        host_keys = tuple(make_key(folder / f"host_key_{number}", kind) for number, kind in enumerate(key_types))
        make_key(folder / "user_key")
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        sshd = _started(folder, host_keys, subsystem, lines, port)
        try:
            write_known_hosts(sshd.known_hosts, sshd.port, host_keys)
            yield sshd
        finally:
            sshd.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """One server for all tests of this process that need nothing special of it."""
    with running_sshd() as server:
        yield server


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A new private key; the public one lies beside it."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


def public_key(private_key: Path) -> str:
    """``ssh-ed25519 AAAA…``"""
    return " ".join(private_key.with_name(f"{private_key.name}.pub").read_text().split()[:2])


def fingerprint(private_key: Path) -> str:
    answer = subprocess.run(["ssh-keygen", "-lf", private_key], capture_output=True, text=True, check=True).stdout
    return answer.split()[1]


def write_known_hosts(file: Path, port: int, host_keys: Sequence[Path], name: str = "127.0.0.1") -> None:
    file.write_text("".join(f"[{name}]:{port} {public_key(key)}\n" for key in host_keys))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _started(folder: Path, host_keys: Sequence[Path], subsystem: str, lines: Sequence[str], port: int | None) -> Sshd:
    """Another process may take the free port first, so it is tried again."""
    for _ in range(5):
        chosen = port or free_port()
        configuration = folder / "sshd_config"
        configuration.write_text(
            "\n".join(
                (
                    f"Port {chosen}",
                    "ListenAddress 127.0.0.1",
                    *(f"HostKey {key}" for key in host_keys),
                    f"AuthorizedKeysFile {folder}/authorized_keys",
                    "PidFile none",
                    "UsePAM no",
                    "StrictModes no",
                    "PermitRootLogin prohibit-password",
                    "PasswordAuthentication no",
                    "KbdInteractiveAuthentication no",
                    "MaxStartups 100",
                    *([f"Subsystem sftp {subsystem}"] if subsystem else []),
                    *lines,
                    "",
                )
            )
        )
        log = (folder / "log").open("ab")
        with log:
            process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(configuration)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/"
            )
        if _listens(chosen, process):
            return Sshd(folder, chosen, tuple(host_keys), process)
    raise AssertionError((folder / "log").read_text())


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(500):
        if process.poll() is not None:
            return False
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as client:
            client.settimeout(5)
            return client.recv(4) == b"SSH-"
        time.sleep(0.01)
    process.kill()
    process.wait()
    return False


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [found for child in children for found in (child, *_descendants(child))]
