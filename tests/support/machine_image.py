"""An image of this machine's own database programs, for a Docker that reaches no registry.

It holds each program with the libraries that it is linked to, at the paths that they have here. Its shell is dash, its
small programs are busybox's, its tar is GNU's, and there is no bash.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.support.dockerd import BUSYBOX_PROGRAM, Dockerd
from tests.support.mariadb import mariadbd_program
from tests.support.postgresql import postgresql_binaries
from tests.support.users import user_without_rights

DATABASES = "databases"

_PROGRAMS = ("dash", "tar", "setpriv", "mariadb", "mariadb-dump", "sqlite3")
_APPLETS = (
    *("cat", "cp", "dirname", "env", "find", "head", "id", "ln", "ls", "mkdir", "mktemp", "mv", "printf", "readlink"),
    *(
        "rm",
        "rmdir",
        "sed",
        "sha256sum",
        "sleep",
        "sort",
        "stat",
        "test",
        "touch",
        "tr",
        "true",
        "uname",
        "wc",
        "xargs",
    ),
)
_UNUSED_LIBRARY = "llvmjit.so"  # it would bring 100 MB of LLVM with it
_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")


def import_databases_image(dockerd: Dockerd) -> None:
    """Make the image DATABASES. Skips where a program for it is not installed."""
    for name in _PROGRAMS:
        if shutil.which(name) is None:
            pytest.skip(f"needs the program {name}")
    dockerd.import_image(DATABASES, _tree())


def _tree() -> bytes:
    binaries = postgresql_binaries()
    share, modules = (_answer(binaries / "pg_config", option) for option in ("--sharedir", "--pkglibdir"))
    programs = [*(Path(shutil.which(name) or name) for name in _PROGRAMS), mariadbd_program(), *binaries.iterdir()]
    files = {path for path in programs if not _is_script(path)}
    files |= {path for path in Path(modules).glob("*.so") if path.name != _UNUSED_LIBRARY}
    files |= set(_libraries(files))
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tree:
        for name in ("bin", "sbin", "lib", "lib64"):
            link = Path("/", name)
            if link.is_symlink():
                tree.add(link)
        for path in sorted({_named_as_here(path) for path in files}):
            # What a link of a library points to, under the name of the link: so that is what the loader finds.
            tree.add(path.resolve(), str(path))
        for folder in (share, "/usr/share/mysql/english", "/usr/share/mysql/charsets", "/usr/share/zoneinfo"):
            tree.add(folder, filter=lambda entry: None if "/man/" in entry.name else entry)
        _add_small_programs(tree)
        _add_etc(tree)
    return written.getvalue()


def _add_small_programs(tree: tarfile.TarFile) -> None:
    tree.add(BUSYBOX_PROGRAM.resolve(), "usr/bin/busybox")
    for name, program in (("sh", "dash"), *((name, "busybox") for name in _APPLETS)):
        link = tarfile.TarInfo(f"usr/bin/{name}")
        link.type, link.linkname = tarfile.SYMTYPE, program
        tree.addfile(link)


def _add_etc(tree: tarfile.TarFile) -> None:
    user = user_without_rights()
    for name, text in (
        ("passwd", f"root:x:0:0:root:/root:/bin/sh\nservice:x:{user.pw_uid}:{user.pw_gid}::/:/bin/sh\n"),
        ("group", f"root:x:0:\nservice:x:{user.pw_gid}:\n"),
    ):
        file = tarfile.TarInfo(f"etc/{name}")
        file.size = len(text)
        tree.addfile(file, io.BytesIO(text.encode()))
    for name, mode in (("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700), ("srv", 0o755), ("run", 0o755)):
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, mode
        tree.addfile(folder)


def _libraries(files: Iterable[Path]) -> Iterator[Path]:
    answer = subprocess.run(["ldd", *files], capture_output=True, text=True, check=True).stdout
    return map(Path, _LIBRARY.findall(answer))


def _named_as_here(path: Path) -> Path:
    """Below /usr, where /lib is a link to /usr/lib."""
    return Path(os.path.realpath(path.parent), path.name)


def _is_script(path: Path) -> bool:
    return path.read_bytes()[:2] == b"#!"


def _answer(*command: object) -> str:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout.strip()
