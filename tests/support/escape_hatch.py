"""The commands that get a backup back without anything of ours, taken from the texts that have them, and executed.

They are executed one after the other by a shell that finds only the programs in :data:`PROGRAMS`.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.product_code import ROOT

_INDENTATION = " " * 7
_OURS = "With Holdfast and its configuration"
_TIME = re.compile(r"-(\d{8}T\d{6}Z)\.manifest\.json$")
_UNPACKS = re.compile(r" -d restored$| -orestored$|^mkdir restored ")
_OF_ONE_DATABASE = re.compile(r"\b(FILE|NEW_DATABASE|DATABASE_FILE|ENCODING|CHARSET)\b")
_IN_DESCRIPTION = {"ENCODING", "COLLATE", "CTYPE", "CHARSET", "COLLATION"}

PROGRAMS = (
    *("sh", "sha256sum", "grep", "sed", "base64", "mkdir", "find", "cat", "cp", "rm"),
    *("age", "unzip", "7z", "bsdtar", "mariadb", "mysql", "sqlite3"),
)


def commands_of(text: str) -> list[str]:
    """Every command of a HOW-TO-RESTORE.txt that needs nothing of ours, in the order of the text."""
    without_holdfast, found, _ = text.partition(_OURS)
    assert found
    lines = without_holdfast.splitlines()
    return [line.removeprefix(_INDENTATION) for line in lines if line.startswith(_INDENTATION)]


def commands_of_formats(word: str, stem: str) -> str:
    """The block of commands of docs/formats.md that has this word, for the copy with this stem."""
    blocks = (ROOT / "docs" / "formats.md").read_text().split("```sh\n")[1:]
    (block,) = [block.partition("```")[0] for block in blocks if word in block.partition("```")[0]]
    return block.replace("NAME", stem)


@dataclass
class Stranger:
    """Somebody who has a folder of a target, and a key or a passphrase, and follows the text in it.

    ``programs`` are further ones that they have; ``environment`` says how servers are reached; ``new_name`` gives the
    NEW_DATABASE or DATABASE_FILE for the database of a name. ``unpacked`` are the folders that each way of unpacking
    has made, ``printed`` what each command said.
    """

    folder: Path
    home: Path
    programs: Iterable[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    new_name: Callable[[str], str] = str
    key_file: Path | None = None
    passphrase: str = ""
    unpacked: dict[str, Path] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.home / "bin"
        path.mkdir(parents=True)
        found = [shutil.which(name) for name in PROGRAMS]
        for program in (*(Path(each) for each in found if each is not None), *self.programs):
            (path / program.name).symlink_to(program)

    @property
    def text(self) -> str:
        return (self.folder / "HOW-TO-RESTORE.txt").read_text()

    @property
    def timestamp(self) -> str:
        """Of the one archive that there is."""
        (time,) = [found[1] for path in self.folder.iterdir() if (found := _TIME.search(path.name))]
        return time

    def follow(self) -> None:
        """Execute everything: each way to unpack into a folder of its own, each database under a new name."""
        for command in commands_of(self.text):
            if _UNPACKS.search(command):
                self._set_aside()
            for values in self._values_for(command):
                self.execute(_filled(command, values))
        self._set_aside(keep=True)

    def execute(self, command: str) -> str:
        """What a command says, which must end well."""
        asks = "age --decrypt" in command and "--identity" not in command
        arguments = ["sh", "-c", command]
        status, output = self._on_terminal(arguments) if asks else self._without_terminal(arguments)
        assert status == 0, f"{command}\n{output}"
        self.printed[command] = output
        return output

    def _values_for(self, command: str) -> Iterator[dict[str, str]]:
        values = {"<time>": self.timestamp}
        if self.key_file is not None:
            values["KEY_FILE"] = shlex.quote(str(self.key_file))
        if not _OF_ONE_DATABASE.search(command):
            yield values
            return
        listed = json.loads((self.folder / "restored" / "databases.json").read_text())["databases"]
        for database in listed:
            yield {**values, **self._values_of(database)}

    def _values_of(self, database: dict[str, Any]) -> dict[str, str]:
        known = {key.upper(): str(value) for key, value in database.items()}
        names = {key: known[key] for key in known.keys() & _IN_DESCRIPTION}
        new = self.new_name(database["name"])
        file = shlex.quote(database["member"].removeprefix("databases/"))
        return {**names, "FILE": file, "NEW_DATABASE": new, "DATABASE_FILE": shlex.quote(new)}

    def _set_aside(self, *, keep: bool = False) -> None:
        """Remember what the last way of unpacking made, and give the next one room."""
        made = self.folder / "restored"
        if not made.exists():
            return
        command = [command for command in self.printed if _UNPACKS.search(command)][-1]
        self.unpacked[command] = made if keep else made.rename(self.home / f"restored {len(self.unpacked)}")

    def _environment(self) -> dict[str, str]:
        mine = {"PATH": str(self.home / "bin"), "HOME": str(self.home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        return {**mine, **self.environment}

    def _without_terminal(self, arguments: list[str]) -> tuple[int, str]:
        answer = subprocess.run(
            arguments,
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            start_new_session=True,
        )
        said = answer.stdout if answer.returncode == 0 else answer.stdout + answer.stderr
        return answer.returncode, said.decode("utf-8", "surrogateescape")

    def _on_terminal(self, arguments: list[str]) -> tuple[int, str]:
        """With a terminal, on which the passphrase is given when it is asked for."""
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(self.folder)
            os.execvpe("/bin/sh", arguments, self._environment())
        said = b""
        with suppress(OSError):  # with which Linux ends a terminal that nobody holds any more
            while data := os.read(terminal, 1024):
                said += data
                if data.rstrip().endswith(b":"):
                    os.write(terminal, self.passphrase.encode() + b"\n")
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), said.decode()


def _filled(command: str, values: Mapping[str, str]) -> str:
    """The command with its placeholders replaced, the longest first: one is a part of another."""
    words = "|".join(re.escape(word) for word in sorted(values, key=len, reverse=True))
    return re.sub(words, lambda found: values[found[0]], command)
