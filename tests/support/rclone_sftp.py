"""A second SFTP server, independent of OpenSSH: ``rclone serve sftp`` (golang.org/x/crypto/ssh, github.com/pkg/sftp).

It has users with passwords, which a real sshd has only where the machine has them.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.sshd import fingerprint, free_port, make_key

RCLONE = shutil.which("rclone", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin") or "rclone"


@dataclass(frozen=True)
class RcloneSftp:
    """``host_key`` is its fingerprint; what it serves lies below ``folder``."""

    port: int
    host_key: str
    folder: Path


@contextmanager
def running_rclone_sftp(folder: Path, username: str, password: str) -> Iterator[RcloneSftp]:
    """A server for one user."""
    key = make_key(folder / "rclone_host_key")
    served = folder / "served"
    served.mkdir()
    port = free_port()
    command = [RCLONE, "serve", "sftp", str(served), "--addr", f"127.0.0.1:{port}", "--key", str(key)]
    command += ["--user", username, "--pass", password, "--vfs-cache-mode", "full", "--vfs-write-back", "0"]
    command += ["--cache-dir", str(folder / "rclone_cache"), "--config", str(folder / "rclone.conf")]
    log = folder / "rclone.log"
    with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
        try:
            _wait_for(port, process, log)
            yield RcloneSftp(port, fingerprint(key), served)
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(500):
        assert process.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.02)
    raise AssertionError("rclone serve sftp does not listen")
