"""A whole run that has to fail, and everything that must be so after it.

An installation has one good copy already. A fault in a later run must leave that untouched, leave nothing of its own,
and say what happened and where.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog import open_catalog
from model import RunStatus
from operations.copies.stored_copies import list_all_copies
from tests.support.archives import snapshot
from tests.support.fault_places import MARK_VARIABLE, FaultWorld
from tests.support.holdfast import Holdfast
from tests.support.product_code import ROOT

CANARY = "Canary-4711-canary"
"""In every secret of a test."""

_SECONDS = 120


@dataclass
class Installation:
    """Holdfast with one backup, ``shop/it``, to LOCAL, and to S3 as well where there is a bucket."""

    world: FaultWorld
    holdfast: Holdfast
    kind: str
    bucket: str | None = None
    _before: dict[str, object] = field(default_factory=dict)

    id = "shop/it"

    def configure(self, *keys: dict[str, Any]) -> None:
        """The backup has all these keys."""
        backup: dict[str, Any] = {"NAME": "it", "INTERVALS": "0 3 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
        backup["COMPRESSION"] = {"METHOD": "store"}  # so that the megabytes of a dump come to the target as they are
        for some in keys:
            backup |= some
        configuration: dict[str, Any] = {"PROJECTS": [{"NAME": "shop", "BACKUPS": [{self.kind: [backup]}]}]}
        if self.bucket:
            backup["UPLOAD_TO"].append({"STORAGE_NAME": "OFFSITE"})
            s3 = self.world.s3
            configuration["STORAGES"] = [
                {
                    "NAME": "OFFSITE",
                    "TYPE": "S3",
                    "BUCKET": self.bucket,
                    "ENDPOINT_URL": s3.endpoint_url,
                    "REGION": "us-east-1",
                    "ACCESS_KEY_ID": s3.access_key_id,
                    "SECRET_ACCESS_KEY": s3.secret_access_key,
                }
            ]
        self.holdfast.write(configuration)

    def make_good_copy(self) -> None:
        """The copy that every fault must leave alone."""
        finished = self.holdfast.run("backup.py", self.id)
        assert finished.returncode == 0, finished.stderr
        self._before = self.stored()

    @contextmanager
    def running(self, prefix: tuple[str, ...] = (), *, impatient: bool = False) -> Iterator[subprocess.Popen[str]]:
        """A run under way. It is judged, by :meth:`judge`, after it has ended; it is killed where the test fails."""
        command = self.holdfast.command("backup.py", self.id)
        if impatient:
            command.insert(1, ROOT / "tests" / "support" / "impatient.py")
        environment = {MARK_VARIABLE: self.world.mark}
        process = self.holdfast.start_command([*prefix, *command], env=environment)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def fail(self, *words: str, prefix: tuple[str, ...] = ()) -> str:
        """A run that fails by itself; see :meth:`judge`."""
        before = self.world.processes()
        with self.running(prefix) as run:
            return self.judge(run, before, *words)

    def fail_while(self, fault: Callable[[], object], *words: str, impatient: bool = False) -> str:
        """A run in whose middle ``fault`` happens, which itself waits for that; see :meth:`judge`."""
        before = self.world.processes()
        with self.running(impatient=impatient) as run:
            fault()
            assert run.poll() is None or run.returncode != 0, "the run was over before the fault"
            return self.judge(run, before, *words)

    def judge(self, run: subprocess.Popen[str], before: dict[int, str], *words: str) -> str:
        """Wait for its end, and assert everything that holds after any fault. The answer is the message.

        ``words`` are regular expressions that the message has, in this order. ``before`` were the marked processes.
        """
        output, message = run.communicate(timeout=_SECONDS)
        sys.stderr.write(message)  # for whoever looks at it with pytest -rA
        assert run.returncode == 1, (output, message)
        assert output == ""
        assert message.startswith(f"{self.id}: failed. ")
        assert re.search(".*".join(words), message, re.DOTALL), message
        self._check_secrets(message)
        self.world.require_nothing_left(before)
        assert self.stored() == self._before
        assert [path for path in (self.holdfast.state / "spool").rglob("*") if path.is_file()] == []
        self._check_record(message)
        self._check_listed()
        return message

    def wait_for_part(self) -> None:
        """Until a part of the archive of the run under way has come to its target."""
        wait_until(lambda: any(path.stat().st_size for path in self.holdfast.storage.rglob(".holdfast*")))

    def stored(self) -> dict[str, object]:
        """Everything on the targets."""
        stored: dict[str, object] = {"LOCAL": snapshot(self.holdfast.storage)}
        if self.bucket:
            server = self.world.s3
            stored["S3"] = {key: server.content(self.bucket, key) for key in server.keys(self.bucket)}
            stored["S3 uploads"] = server.unfinished_uploads(self.bucket)
        return stored

    def _check_secrets(self, message: str) -> None:
        logs = "".join(path.read_text() for path in (self.holdfast.state / "logs").rglob("*") if path.is_file())
        for text in (message, logs):
            assert CANARY not in text
            assert "Traceback" not in text
        assert logs

    def _check_record(self, message: str) -> None:
        with closing(open_catalog(self.holdfast.state, None)) as catalog:
            run, *_ = catalog.runs(self.id, 1)
            last_good = catalog.last_runs([self.id])[self.id].last_good
        assert run.status is RunStatus.FAILED
        assert message == f"{self.id}: failed. {run.message}\n"
        assert last_good is not None
        assert last_good.id != run.id

    def _check_listed(self) -> None:
        (listing,) = list_all_copies([self.holdfast.the_backup()])
        assert listing.errors == ()
        statuses = [copy.manifest and copy.manifest.status for copy in listing.copies]
        assert statuses == [RunStatus.GOOD] * (2 if self.bucket else 1)


def new_installation(world: FaultWorld, folder: Path, kind: str, *, with_s3: bool = False) -> Installation:
    bucket = world.s3.new_bucket() if with_s3 else None
    return Installation(world, Holdfast(folder), kind, bucket)


def blocks_to_see() -> int:
    """So many blocks of 1 MiB have to be read before the first megabyte of an archive comes to its target.

    Up to 6 for each core are packed at the same time.
    """
    return 6 * (os.cpu_count() or 1) + 3


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Look again and again."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for has never come"
        time.sleep(0.01)
