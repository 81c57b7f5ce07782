"""A real Docker of its own for the tests: its own socket, data and containers, and images that come from no registry.

An image is a tree of files given to ``docker import``. BUSYBOX is the smallest: one static program that is sh, tar and
the like, so no bash, no GNU, and no library.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BUSYBOX = "busybox"
BUSYBOX_PROGRAM = Path("/bin/busybox")

_container_numbers = itertools.count(1)

requires_dockerd = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dockerd", "docker", "busybox")),
    reason="needs root, dockerd, docker and busybox-static",
)


@dataclass
class Dockerd:
    """A Docker that runs."""

    folder: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def socket(self) -> Path:
        return self.folder / "docker.sock"

    @property
    def url(self) -> str:
        """What DOCKER_HOST has to say."""
        return f"unix://{self.socket}"

    def docker(self, *arguments: str, stdin: bytes = b"") -> str:
        """What the command-line client prints."""
        command = ["docker", "--host", self.url, *arguments]
        answer = subprocess.run(command, input=stdin, capture_output=True)
        assert answer.returncode == 0, (arguments, answer.stderr)
        return answer.stdout.decode().strip()

    def import_image(self, name: str, tree: bytes) -> None:
        """An image from a tar archive of its root folder."""
        self.docker("import", "-", name, stdin=tree)

    def run(self, *options: str, image: str = BUSYBOX, command: tuple[str, ...] = ("sleep", "1000000000")) -> str:
        """A new container that runs; its name, which is a new one unless the options have one."""
        if "--name" not in options:
            options = ("--name", f"container-{os.getpid()}-{next(_container_numbers)}", *options)
        identity = self.docker("run", "--detach", "--network", "none", *options, image, *command)
        return self.docker("inspect", "--format", "{{.Name}}", identity).removeprefix("/")

    def remove(self, container: str) -> None:
        self.docker("rm", "--force", "--volumes", container)

    def stop(self) -> None:
        """End it and every container."""
        if self.process.poll() is None:
            with suppress(AssertionError):
                if containers := self.docker("ps", "--all", "--quiet").split():
                    self.docker("rm", "--force", "--volumes", *containers)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


@contextmanager
def running_dockerd(*options: str) -> Iterator[Dockerd]:
    """A Docker with the BUSYBOX image and no network, and with further options."""
    # Not below a long path: that of a socket has at most 107 bytes (unix(7)).
    folder = Path(tempfile.mkdtemp(prefix="holdfast-dockerd-", dir="/tmp"))
    try:
        dockerd = _started(folder, options)
        try:
            dockerd.import_image(BUSYBOX, busybox_tree())
            yield dockerd
        finally:
            dockerd.stop()
    finally:
        _unmount_below(folder)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Dockerd]:
    """One Docker for all tests of this process that need nothing special of it."""
    with running_dockerd() as running:
        yield running


def busybox_tree() -> bytes:
    """A root folder with busybox under all its names, as a tar archive."""
    names = subprocess.run([BUSYBOX_PROGRAM, "--list"], capture_output=True, text=True, check=True).stdout.split()
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tree:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700), ("srv", 0o755)):
            _add_folder(tree, folder, mode)
        tree.add(BUSYBOX_PROGRAM, "bin/busybox")
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tree.addfile(link)
        users = b"root:x:0:0:root:/root:/bin/sh\n"
        file = tarfile.TarInfo("etc/passwd")
        file.size = len(users)
        tree.addfile(file, io.BytesIO(users))
    return written.getvalue()


def _add_folder(tree: tarfile.TarFile, name: str, mode: int) -> None:
    folder = tarfile.TarInfo(name)
    folder.type, folder.mode = tarfile.DIRTYPE, mode
    tree.addfile(folder)


def _started(folder: Path, options: Sequence[str]) -> Dockerd:
    """With overlay2 where the kernel and the file system can do it, else by copying files."""
    for driver in ("overlay2", "vfs"):
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [
                    # It ends, and its containers with it, where the tests are killed.
                    *("setpriv", "--pdeathsig", "TERM", "dockerd"),
                    *("--host", f"unix://{folder}/docker.sock", "--pidfile", f"{folder}/pid"),
                    *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"),
                    *("--storage-driver", driver),
                    *("--bridge", "none", "--iptables=false", "--ip6tables=false"),
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # a Ctrl-C is for the tests, which then stop it
            )
        dockerd = Dockerd(folder, process)
        if _answers(dockerd):
            return dockerd
        dockerd.stop()
    raise AssertionError((folder / "log").read_text()[-5000:])


def _answers(dockerd: Dockerd) -> bool:
    for _ in range(600):
        if dockerd.process.poll() is not None:
            return False
        with suppress(AssertionError):
            dockerd.docker("version")
            return True
        time.sleep(0.05)
    return False


def _unmount_below(folder: Path) -> None:
    """A Docker that was killed leaves its file systems mounted."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
        subprocess.run(["umount", "--lazy", mount], check=True)
