"""The real cron: a user made for a test, the daemon, and waiting for what it does. Needs root and Debian's cron.

No crontab but that of the new user is touched, and no process ended but the daemon that was started here.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

# Where the real programs are; PATH begins with a crontab that refuses (tests/conftest.py).
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

_SPOOL = Path("/var/spool/cron/crontabs")

# cron wakes up when a minute begins; the rest is for a machine with better things to do.
LONGEST_WAIT_SECONDS = 75

_IGNORED = shutil.ignore_patterns(".*", "__pycache__", "tests", "benchmarks", "docs", "state", "backups")


def skip_without_cron() -> None:
    """Skip the test where it cannot have a cron and a user of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for program in ("cron", "crontab", "useradd", "userdel"):
        if shutil.which(program, path=SYSTEM_PATH) is None:
            pytest.skip(f"needs the program {program}")


@dataclass(frozen=True)
class CronUser:
    """A user of the machine, with a home that may be read by all."""

    name: str
    home: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, with cron's environment."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LOGNAME": self.name, "SHELL": "/bin/sh"}
        group = pwd.getpwnam(self.name).pw_gid
        return subprocess.run(
            command,
            user=self.name,
            group=group,
            extra_groups=[],
            env=environment,
            cwd=self.home,
            capture_output=True,
            text=True,
        )

    def own(self, path: Path) -> None:
        """Give a folder and all that is below it to this user."""
        for entry in (path, *path.rglob("*")):
            shutil.chown(entry, self.name)

    @property
    def crontab(self) -> bytes | None:
        """The crontab as it was installed, read where cron keeps it; None where there is none.

        Not by ``crontab -l``, which shows some bytes as others: below the three lines that Debian's crontab(1) adds.
        """
        file = _SPOOL / self.name
        return file.read_bytes().split(b"\n", 3)[3] if file.exists() else None

    def install(self, text: bytes) -> str:
        """Install a crontab by the program itself; what it complained of, "" where it took it."""
        result = _crontab(self.name, "-", text)
        return "" if result.returncode == 0 else result.stderr.decode()


@contextmanager
def cron_user() -> Iterator[CronUser]:
    """A new user, gone at the end with its crontab and its home."""
    name = f"holdfast{os.getpid()}"
    home = Path(tempfile.mkdtemp(prefix="holdfast-cron-"))
    home.chmod(0o755)
    subprocess.run([_program("useradd"), "-M", "-d", home, "-s", "/bin/sh", name], check=True, capture_output=True)
    try:
        shutil.chown(home, name)
        yield CronUser(name, home)
    finally:
        _crontab(name, "-r")
        subprocess.run([_program("userdel"), name], check=True, capture_output=True)
        shutil.rmtree(home)


def copy_of_holdfast(user: CronUser, folder: Path, backup_program: str | None = None) -> Path:
    """The product in ``folder``, owned by the user; its backup.py is ``backup_program`` where one is given."""
    shutil.copytree(ROOT, folder, ignore=_IGNORED)
    if backup_program is not None:
        (folder / "backup.py").write_text(backup_program)
    user.own(folder)
    return folder


def python_for(user: CronUser) -> Path:
    """A Python with the product's libraries that this user may run.

    That is the one that runs the tests, unless it lies in a private home (pyenv's of root, for one); then it is an
    environment in the user's home on the system's Python of the same version, with the same libraries.
    """
    if _has_libraries(user, Path(sys.executable)):
        return Path(sys.executable)
    system = Path(f"/usr/bin/python3.{sys.version_info.minor}")
    environment = user.home / "python"
    if system.exists():
        subprocess.run([system, "-m", "venv", "--without-pip", environment], check=True, capture_output=True)
        (packages,) = environment.glob("lib/python3.*/site-packages")
        (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
        if _has_libraries(user, environment / "bin" / "python"):
            return environment / "bin" / "python"
    pytest.skip("needs a Python that every user may run")


def _has_libraries(user: CronUser, python: Path) -> bool:
    try:
        return user.run(python, "-c", "import yaml, cronsim, sqlalchemy").returncode == 0
    except PermissionError:
        return False


class CronDaemon:
    """The machine's cron, or one that is started where none runs."""

    def __init__(self) -> None:
        self._started: subprocess.Popen[bytes] | None = None

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Whether the condition came true while cron ran. Should the cron of somebody else end, one is started."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while time.monotonic() < deadline:
            if condition():
                return True
            if not _is_cron_running():
                self.start()
                deadline = time.monotonic() + LONGEST_WAIT_SECONDS
            time.sleep(0.2)
        return condition()

    def start(self) -> None:
        """Start cron, unless that would run what other people have scheduled."""
        if any(not entry.name.startswith("holdfast") for entry in _SPOOL.iterdir()):
            pytest.skip("needs a cron that runs, or a machine without other crontabs")
        self._started = subprocess.Popen([_program("cron"), "-f"])
        while not _is_cron_running():
            assert self._started.poll() is None, "cron ended at once"
            time.sleep(0.05)

    def stop(self) -> None:
        """End the process that was started here, and no other."""
        if self._started is not None:
            self._started.terminate()
            self._started.wait()


@contextmanager
def cron_daemon() -> Iterator[CronDaemon]:
    daemon = CronDaemon()
    try:
        if not _is_cron_running():
            daemon.start()
        yield daemon
    finally:
        daemon.stop()


def _is_cron_running() -> bool:
    for entry in Path("/proc").glob("[0-9]*/comm"):
        try:
            if (
                entry.read_text().strip() in ("cron", "crond")
                and "State:\tZ" not in (entry.parent / "status").read_text()
            ):
                return True
        except OSError:
            continue
    return False


def _crontab(user: str, argument: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [_program("crontab"), "-u", user, argument]
    return subprocess.run(command, input=text, capture_output=True, env={"PATH": SYSTEM_PATH, "LC_ALL": "C"})


def _program(name: str) -> str:
    path = shutil.which(name, path=SYSTEM_PATH)
    assert path is not None
    return path
