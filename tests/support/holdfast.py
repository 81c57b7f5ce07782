"""Holdfast as a person or cron runs it: real processes, with a configuration, a storage and a state of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import load_configuration
from model import Backup, Configuration
from tests.support import warm_start
from tests.support.product_code import ROOT

BACKUP_ID = "shop/files"


@dataclass(frozen=True)
class Holdfast:
    """One installation in ``folder``: its config.yaml, and beside it ``storage/`` and ``state/``."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def storage(self) -> Path:
        """The root of the storage LOCAL; the copies of the backup lie in :attr:`copies`."""
        return self.folder / "storage"

    @property
    def copies(self) -> Path:
        return self.storage / BACKUP_ID

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def configure(self, *paths: Path, **keys: object) -> None:
        """Write a configuration with one backup, ``shop/files``, of these paths. ``keys`` are others of FILE_BACKUP."""
        backup = {
            "NAME": "files",
            "INTERVALS": "0 2 * * *",
            "FILE_PATH": [str(path) for path in paths],
            "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": ""}],
            **keys,
        }
        self.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}]})

    def write(self, configuration: Mapping[str, object]) -> None:
        """Write this configuration, whatever it says."""
        self.folder.mkdir(exist_ok=True)
        # JSON is YAML too.
        self.config.write_text(json.dumps(configuration, ensure_ascii=False), encoding="utf-8")
        self.config.chmod(0o600)

    def environment(self) -> dict[str, str]:
        # COLUMNS is the width of the terminal of whoever runs the tests.
        inherited = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        return {**inherited, "LOCAL_STORAGE_ROOT": str(self.storage), "STATE_DIR": str(self.state)}

    def configuration(self) -> Configuration:
        """What the processes will load."""
        return load_configuration(self.config, self.environment())

    def the_backup(self) -> Backup:
        (backup,) = self.configuration().backups
        return backup

    def command(self, program: str, *arguments: str | bytes | Path) -> list[str | bytes | Path]:
        """The argv of ``backup.py`` or ``restore.py``."""
        return [sys.executable, ROOT / program, "--config", self.config, *arguments]

    def run(self, program: str, *arguments: str | bytes | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run it to its end. ``options`` are those of ``subprocess.run``; ``env`` is added to :meth:`environment`."""
        return self.run_command(self.command(program, *arguments), **options)

    def run_command(self, command: list[str | bytes | Path], **options: Any) -> subprocess.CompletedProcess[str]:
        """The same for an argv."""
        environment: Mapping[str, str] = {**self.environment(), **options.pop("env", {})}
        return warm_start.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            env=environment,
            **options,
        )

    def start(self, program: str, *arguments: str | bytes | Path, **options: Any) -> subprocess.Popen[str]:
        """Start it; its output can be read from the pipes. ``options`` are those of ``subprocess.Popen``."""
        return self.start_command(self.command(program, *arguments), **options)

    def start_command(self, command: list[str | bytes | Path], **options: Any) -> subprocess.Popen[str]:
        """The same for an argv."""
        environment: Mapping[str, str] = {**self.environment(), **options.pop("env", {})}
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return warm_start.Process(command, encoding="utf-8", errors="backslashreplace", env=environment, **pipes)

    def back_up(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run the backup now, which must end well."""
        finished = self.run("backup.py", BACKUP_ID, *options)
        assert finished.returncode == 0, finished.stderr
        return finished

    def command_with_plan(
        self, events: Sequence[Mapping[str, object]], *arguments: str, program: str = "backup.py", **plan: str
    ) -> list[str | bytes | Path]:
        """The argv of ``backup.py``, or another, with these events planned: see ``tests.support.planned``."""
        python, *command = self.command(program, *arguments)
        document = json.dumps({"trace": str(self.trace), "events": events, **plan})
        return [python, ROOT / "tests" / "support" / "planned.py", document, *command]

    @property
    def trace(self) -> Path:
        """The points that processes with a plan passed, a line for each."""
        return self.folder / "trace"

    def restore(
        self, to: Path, *paths: str | bytes, copy: str = BACKUP_ID, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """``restore.py restore``; a path may begin with a dash, and may be an option such as ``--overwrite``."""
        return self.run("restore.py", "restore", copy, "--to", to, *paths, **options)

    def parts(self, suffix: str) -> list[Path]:
        """The objects of the backup whose names end so (``.zip``, ``.manifest.json`` …), oldest first."""
        return sorted(path for path in self.copies.glob("*") if path.name.endswith(suffix))
