"""What a person sees on a terminal while something is restored: how much there is, also of a selection."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.sshd import USER, Sshd, requires_sshd, sshd
from tests.support.whole_trees import MIB

__all__ = ["sshd"]

pytestmark = requires_sshd


def on_terminal(installation: Holdfast, *arguments: str) -> str:
    """What a process shows whose standard error is a terminal."""
    ours, theirs = pty.openpty()
    shown = bytearray()

    def listen() -> None:
        try:
            while data := os.read(ours, 1 << 16):
                shown.extend(data)
        except OSError:  # EIO: nobody has the other end open any more
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        command = installation.command("restore.py", "restore", BACKUP_ID, *arguments)
        environment = {**installation.environment(), "TERM": "xterm", "COLUMNS": "200"}
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=environment, check=False
        )
    finally:
        os.close(theirs)
        listener.join(30)
        os.close(ours)
    text = shown.decode(errors="replace")
    assert finished.returncode == 0, text
    return text


@pytest.fixture
def installation(tmp_path: Path, sshd: Sshd) -> Holdfast:
    source = tmp_path / "source"
    (source / "some").mkdir(parents=True)
    for number in range(4):
        (source / "some" / f"{number}.bin").write_bytes(os.urandom(3 * MIB))
    (source / "other.bin").write_bytes(os.urandom(8 * MIB))
    shared: dict[str, object] = {"INTERVALS": "0 3 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": ""}]}
    server = {"USERNAME": USER, "IP_ADDRESS": "127.0.0.1", "PORT": sshd.port, "KEY_FILE": str(sshd.user_key)}
    there = {"NAME": "there", **shared, "FILE_PATH": "/etc", "SSH": {**server, "HOST_KEY": sshd.fingerprint()}}
    installation = Holdfast(tmp_path / "installation")
    backups = [{"NAME": "files", **shared, "FILE_PATH": str(source)}, there]
    installation.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUPS": backups}]}]})
    installation.back_up()
    return installation


def test_how_much_is_to_come(installation: Holdfast, tmp_path: Path) -> None:
    selection = str(tmp_path / "source" / "**" / "[0-2].bin")
    for number, where in enumerate(([], ["--on", "shop/there"])):
        to = tmp_path / f"to{number}"
        whole = on_terminal(installation, *where, "--to", str(to))
        assert "/21.0 MB" in whole
        shutil.rmtree(to)
        some = on_terminal(installation, *where, "--to", str(to), selection)
        assert "/9.4 MB" in some
        assert "21.0 MB" not in some
