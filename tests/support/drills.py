"""Drills within the test's own process or in one of their own, of copies that are made to order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model import Assertion, Source
from operations.backup import Attempt, back_up
from operations.copies.stored_copies import StoredCopy
from operations.verifying.drill import drill_copy
from operations.verifying.drill_report import DrillReport
from progress import Progress
from storages.workplace import Workplace
from tests.support.copies import STARTED, backup_of, find_copy
from tests.support.product_code import ROOT
from tests.support.users import user_without_rights


def copy_of_source(storage: Path, source: Source) -> StoredCopy:
    """Back a source up as ``shop/files`` into a LOCAL storage at ``storage``; the copy that lies there."""
    backup = replace(backup_of(storage), source=source)
    state = storage.parent / "state"
    (state / "spool").mkdir(parents=True, exist_ok=True)
    attempt = Attempt(backup, "run", STARTED, (), state, Workplace(state), own_folders=())
    back_up(attempt, lambda _: None, Progress(backup.id, None, quiet=True))
    return find_copy(backup)


def drill(copy: StoredCopy, base: Path, *assertions: str | Assertion, stale: str | None = None) -> DrillReport:
    """A drill without progress. An assertion that is a text is one to the only database."""
    asked = [Assertion(each) if isinstance(each, str) else each for each in assertions]
    return drill_copy(copy, base, lambda _member, _size: None, asked, stale)


@contextmanager
def drill_base() -> Iterator[Path]:
    """A folder for drills that every user may enter. Afterwards nothing is in it, and no process works there."""
    base = Path(tempfile.mkdtemp(prefix="holdfast-drills-"))
    base.chmod(0o755)
    try:
        yield base
        assert wait_until(lambda: not processes_in(base)), processes_in(base)
        assert list(base.iterdir()) == []
    finally:
        shutil.rmtree(base, ignore_errors=True)


def processes_in(folder: Path) -> list[str]:
    """The processes that work in a folder or below it, as servers do in that of their data."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text())
    return found


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> bool:
    """Whether it has become true within a minute, and before a process has ended."""
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline or (process is not None and process.poll() is not None):
            return False
        time.sleep(0.02)
    return True


def change_dumps(monkeypatch: pytest.MonkeyPatch, module: Any, change: Callable[[bytes], bytes]) -> list[int]:
    """Have the dumps of an engine changed after all checks, and before they are archived: their sizes in the answer."""
    original = module._Dump.chunks
    sizes: list[int] = []

    def chunks(dump: Any) -> Iterator[bytes]:
        data = b"".join(original(dump))
        changed = change(data)
        assert changed != data
        sizes.append(len(changed))
        yield changed

    monkeypatch.setattr(module._Dump, "chunks", chunks)
    return sizes


def change_descriptions(monkeypatch: pytest.MonkeyPatch, module: Any, change: Callable[[dict[str, Any]], None]) -> None:
    """Have ``databases.json`` of an engine say something else."""
    original = module.description_member

    def description_member(description: Mapping[str, Any]) -> Any:
        changed = json.loads(json.dumps(description))
        change(changed)
        return original(changed)

    monkeypatch.setattr(module, "description_member", description_member)


def start_drill(
    storage: Path,
    base: Path,
    *assertions: str,
    is_isolated: bool = True,
    user: int | None = None,
    environment: Mapping[str, str] | None = None,
    held_at: Path | None = None,
) -> subprocess.Popen[str]:
    """A process that drills the newest copy on the storage, and prints its outcome and its sentences as JSON.

    With ``held_at`` it makes this file once a first file was restored, and goes no further.

    ``environment`` is added to that of this process; ``user`` is the number of another one that it becomes.
    """
    document = {"storage": str(storage), "base": str(base), "assertions": assertions, "isolated": is_isolated}
    plan = json.dumps({**document, "user": user, "held_at": str(held_at) if held_at else None})
    command = [sys.executable, str(ROOT / "tests" / "support" / "drill_process.py"), plan]
    given = {**os.environ, **(environment or {})}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=given)


def result_of(process: subprocess.Popen[str]) -> tuple[str, Sequence[str]]:
    """The outcome and the sentences of a drill that ends well."""
    answer, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    document = json.loads(answer)
    return document["outcome"], document["sentences"]


@contextmanager
def owned_by_nobody(storage: Path) -> Iterator[tuple[Path, Path, int | None]]:
    """A storage and a base for drills of an ordinary user, and its number where this process is another one's."""
    user = user_without_rights()
    folder = Path(tempfile.mkdtemp(prefix="holdfast-drills-"))
    try:
        shutil.copytree(storage, folder / "storage")
        (folder / "scratch").mkdir()
        if os.geteuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)
        yield folder / "storage", folder / "scratch", user.pw_uid if os.geteuid() == 0 else None
        assert list((folder / "scratch").iterdir()) == []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
