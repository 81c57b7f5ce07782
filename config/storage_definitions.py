"""The storages of a configuration: those of ``STORAGES``, and those that come from the environment."""

from __future__ import annotations

import difflib
from pathlib import Path

from config.environment import Environment
from config.home import expand_home
from config.problems import START, Position, Problems
from config.records import Record
from config.scalars import PATH, YES_NO
from config.schema_storages import IMPLICIT_STORAGES, STORAGE
from config.shapes import Key, Scalar
from model import Secret, StorageDefinition, StorageType

_ABOUT_THE_STORAGE = ("NAME", "TYPE")


class Storages:
    """Finds storages by name. One from the environment is made, and warned about, when it is first asked for."""

    def __init__(self, environment: Environment, config_directory: Path, problems: Problems) -> None:
        self._environment = environment
        self._config_directory = config_directory
        self._problems = problems
        self._definitions: dict[str, StorageDefinition] = {}
        # Names of wrong definitions are kept too, so that their users are not called wrong as well.
        self._lines: dict[str, int] = {}

    def define(self, records: list[Record]) -> None:
        """Take the storages of ``STORAGES``."""
        for record in records:
            name, type_name = record.text("NAME"), record.text("TYPE")
            if name is None:
                continue
            if name in self._lines:
                message = f"Another storage has this NAME, in line {self._lines[name]}. Give each its own."
                self._problems.error(record.position_of("NAME"), message)
                continue
            self._lines[name] = record.position_of("NAME").line
            if type_name is not None:
                _check_together(record, self._problems)
                settings = {key.name: value for key in record.section.keys if (value := self._value(record, key))}
                self._definitions[name] = StorageDefinition(name, StorageType(type_name), settings)

    def find(self, name: str, position: Position) -> StorageDefinition | None:
        """The storage that a target names, or None where there is none: that is reported."""
        if name in self._definitions:
            return self._definitions[name]
        if name in self._lines:
            return None
        if name in IMPLICIT_STORAGES:
            self._definitions[name] = self._from_environment(name, position, self._problems)
            return self._definitions[name]
        known = sorted({*self._lines, *IMPLICIT_STORAGES})
        near = difflib.get_close_matches(name.upper(), known, 1) or difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}; others are defined in STORAGES."
        self._problems.error(position, f"STORAGE_NAME names no known storage. {hint}")
        return None

    def all(self, *, also_unused: bool = False) -> dict[str, StorageDefinition]:
        """Every storage that is defined or used, and ``LOCAL``, which always works.

        ``also_unused``: those of the environment that no backup uses, too. What they lack is said when they are used.
        """
        unused = [name for name in IMPLICIT_STORAGES if name not in self._lines and name not in self._definitions]
        for name in unused:
            if name == "LOCAL":
                self._definitions[name] = self._from_environment(name, START, self._problems)
            elif also_unused:
                problems = Problems("")
                definition = self._from_environment(name, START, problems)
                if not problems.has_errors:
                    self._definitions[name] = definition
        return dict(self._definitions)

    def _value(self, record: Record, key: Key) -> str | Secret | None:
        if key.name in _ABOUT_THE_STORAGE:
            return None
        if key.is_secret:
            return record.secret(key.name)
        if key.shape is YES_NO:
            return "yes" if record.flag(key.name, False) else None
        number = record.number(key.name)
        text = record.text(key.name) if number is None else str(number)
        is_local_path = key.shape is PATH and (key.name != "ROOT" or record.text("TYPE") == "LOCAL")
        if text is None or not is_local_path:
            return text
        return self._expand(key.name, text, record.position_of(key.name), self._problems)

    def _from_environment(self, name: str, position: Position, problems: Problems) -> StorageDefinition:
        settings: dict[str, str | Secret] = {}
        missing = []
        for key in STORAGE.sections[name].keys:
            if key.environment is None or not isinstance(key.shape, Scalar):
                continue
            value = self._environment.setting(key.environment, key.shape, problems, position)
            if isinstance(value, Secret):
                settings[key.name] = value
            elif value is not None:
                text = str(value)
                used_at = self._environment.position(key.environment) or position
                is_path = key.shape is PATH
                settings[key.name] = self._expand(key.environment, text, used_at, problems) if is_path else text
            elif key.name == "ROOT":
                settings[key.name] = str(self._config_directory / "backups")
            # The certificate that could take the place of CLIENT_SECRET has no name in the environment.
            elif (key.required or key.name == "CLIENT_SECRET") and not self._environment.get(key.environment):
                missing.append(key.environment)
        if missing:
            message = (
                f"The storage {name} cannot be used yet. Set {', '.join(missing)} in the environment or in "
                f"{self._environment.file}."
            )
            problems.warn(position, message)
        return StorageDefinition(name, StorageType(name), settings)

    def _expand(self, key: str, path: str, position: Position, problems: Problems) -> str:
        try:
            return expand_home(path, self._environment.get("HOME"))
        except ValueError as error:
            problems.error(position, f"{key} {error}.")
            return path


def _check_together(record: Record, problems: Problems) -> None:
    """What a map of keys cannot say by itself: which need, or exclude, each other."""
    given = record.positions
    if record.section.kind == "ONEDRIVE" and ("CLIENT_SECRET" in given) == ("CERTIFICATE_FILE" in given):
        problems.error(
            record.position, "The app signs in with CLIENT_SECRET or CERTIFICATE_FILE. Write one of the two."
        )
    if record.section.kind == "S3":
        _check_pair(record, "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", problems)
        _check_pair(record, "OBJECT_LOCK_MODE", "OBJECT_LOCK_DAYS", problems)
        if "PROFILE" in given and "ACCESS_KEY_ID" in given:
            problems.error(given["PROFILE"], "PROFILE takes the place of ACCESS_KEY_ID. Remove one of the two.")
        if "KMS_KEY_ID" in given and record.text("ENCRYPTION") != "aws:kms":
            problems.error(given["KMS_KEY_ID"], "KMS_KEY_ID needs ENCRYPTION: aws:kms.")


def _check_pair(record: Record, first: str, second: str, problems: Problems) -> None:
    if (first in record.positions) != (second in record.positions):
        problems.error(record.position, f"{first} and {second} belong together. Write both, or none.")
