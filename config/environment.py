"""The environment of the configuration: the process's variables first, then those of the ``.env`` file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from config.problems import START, Position, Problems
from config.shapes import Scalar
from config.small_files import DOES_NOT_EXIST, SmallFileError, others_can_read, read_small_file
from config.yaml_document import decode
from model import Secret

CONFIG_DIR = "CONFIG_DIR"


class Environment:
    """Looks up variables and remembers where each came from.

    ``CONFIG_DIR`` is always the folder of the configuration. Values of ``.env`` are taken as python-dotenv's parser
    gives them, and are not expanded again.
    """

    def __init__(self, variables: Mapping[str, str], config_directory: Path, env_file: Path | None) -> None:
        self._variables = variables
        self._automatic = {CONFIG_DIR: str(config_directory)}
        self._from_file: dict[str, tuple[str, Position]] = {}
        self._must_exist = env_file is not None
        self._mode = 0
        self.file = env_file or config_directory / ".env"
        self.file_holds_used_secret = False

    def read_file(self, problems: Problems) -> None:
        """Read ``.env``. A default one may be absent; one that was named must exist."""
        try:
            data, self._mode = read_small_file(self.file)
        except SmallFileError as error:
            if self._must_exist or str(error) != DOES_NOT_EXIST:
                problems.error(Position(1, 1, str(self.file)), f"This file {error}.")
            return
        self._parse(decode(data, problems, str(self.file)), problems)

    def get(self, name: str) -> str | None:
        """The value of a variable; None where it is not set anywhere."""
        if name in self._automatic:
            return self._automatic[name]
        if name in self._variables:
            return self._variables[name]
        value = self._from_file.get(name)
        return value[0] if value else None

    def position(self, name: str) -> Position | None:
        """Where ``.env`` sets the variable, if that is where its value comes from."""
        if name in self._automatic or name in self._variables or name not in self._from_file:
            return None
        return self._from_file[name][1]

    def note_secret(self, name: str) -> None:
        """Remember that this variable was used as a secret: ``.env`` may have to be closed to others."""
        if self.position(name):
            self.file_holds_used_secret = True

    def setting(
        self, name: str, scalar: Scalar, problems: Problems, used_at: Position = START
    ) -> str | int | bool | Secret | None:
        """A checked setting, or None where it is not set or empty.

        ``used_at`` is the place of a problem with a value that does not come from ``.env``.
        """
        text = self.get(name)
        if not text:
            return None
        try:
            value = scalar.check(text)
        except ValueError as error:
            position = self.position(name)
            origin = "" if position else " (from the environment)"
            problems.error(position or used_at, f"{name}{origin} {error}.")
            return None
        if not scalar.secret:
            return value
        self.note_secret(name)
        return Secret(text)

    def warn_if_readable_by_others(self, problems: Problems) -> None:
        if self.file_holds_used_secret and others_can_read(self._mode):
            message = f"This file holds a secret and every user can read it. Run: chmod 600 {self.file}"
            problems.warn(Position(1, 1, str(self.file)), message)

    def _parse(self, text: str, problems: Problems) -> None:
        # Its package is slow to import (27 ms), and most configurations are read every minute.
        from dotenv.parser import parse_stream

        for binding in parse_stream(io.StringIO(text)):
            blank = len(binding.original.string) - len(binding.original.string.lstrip())
            line = binding.original.line + binding.original.string[:blank].count("\n")
            position = Position(line, 1, str(self.file))
            if binding.error:
                problems.error(position, "This line is not NAME=value. Write a comment with `#` at its beginning.")
            elif binding.key is not None and binding.value is not None:
                self._from_file[binding.key] = (binding.value, position)
