"""Which databases a copy holds, as the member ``databases.json`` says (docs/formats.md), and the content of each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archives.entry import Entry
from errors import DamagedArchiveError, UsageError
from operations.copies.stored_copies import StoredCopy
from operations.restoring.member_content import MemberReader
from sources.programs import DESCRIPTION_FORMAT, DESCRIPTION_PATH, DESCRIPTION_VERSION
from utils import printable

_LARGEST_DESCRIPTION = 256 << 20


@dataclass(frozen=True, slots=True)
class StoredDatabase:
    """One database in a copy. ``details`` is its entry in ``databases.json``."""

    name: str
    entry: Entry
    details: Mapping[str, Any] = field(default_factory=dict)


class DatabasesInCopy:
    """``engine`` and ``server_version`` (perhaps ``""``) are those of its server; ``accounts`` is the member with roles
    or users, where there is one.

    Raises UsageError where the copy holds none, StorageError, DamagedArchiveError and HostileArchiveError.
    """

    def __init__(self, copy: StoredCopy) -> None:
        self.copy = copy.unlocked()
        self._reader = MemberReader(copy, DESCRIPTION_PATH)
        description = self._description()
        try:
            self.engine = str(description["engine"])
            self.server_version = str(description.get("server_version", ""))
            self.databases = [
                StoredDatabase(str(each["name"]), self._entry(each["member"]), each)
                for each in description["databases"]
            ]
            accounts = description.get("accounts")
            self.accounts = None if accounts is None else self._entry(accounts)
        except (KeyError, TypeError, AttributeError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from None

    def choose(self, names: Sequence[str]) -> StoredDatabase:
        """The one that is named, as a database or as a member; without a name the only one. Raises UsageError."""
        if len(names) > 1:
            raise UsageError(f"--to-database takes one database, and these are {len(names)}: {', '.join(names)}.")
        matching = self.databases
        if names:
            matching = [each for each in matching if each.name == names[0]] or [
                each for each in matching if each.entry.member.path == names[0].encode("utf-8", "surrogateescape")
            ]
        if len(matching) == 1:
            return matching[0]
        listed = ", ".join(each.name for each in self.databases)
        if not matching and names:
            raise UsageError(f"{self.copy} holds no database {names[0]}. It holds {listed}.")
        raise UsageError(f"{self.copy} holds several databases: {listed}. Name the one that is meant, after NAME.")

    def content(self, entry: Entry) -> Iterator[bytes]:
        """The content of a member. Raises DamagedArchiveError or StorageError before the last of it was given, where it
        is not what was stored."""
        return self._reader.content(entry)

    def _description(self) -> Mapping[str, Any]:
        entry = self._reader.entries.get(DESCRIPTION_PATH)
        if entry is None:
            raise self._without_databases()
        if entry.size > _LARGEST_DESCRIPTION:
            raise self._damaged("it is larger than any")
        try:
            description = json.loads(b"".join(self.content(entry)))
            found = (description.get("format"), description.get("version"))
        except (ValueError, AttributeError, RecursionError) as error:
            raise self._damaged(f"{type(error).__name__}: {error}") from None
        if found[0] != DESCRIPTION_FORMAT:
            raise self._without_databases()
        if found[1] != DESCRIPTION_VERSION:
            raise self._damaged(f"its version is {found[1]}, and this Holdfast reads version {DESCRIPTION_VERSION}")
        return dict(description)

    def _entry(self, path: str) -> Entry:
        encoded = path.encode("utf-8", "surrogateescape")
        if encoded not in self._reader.entries:
            raise self._damaged(f"there is no member {printable(encoded)}")
        return self._reader.entries[encoded]

    def _without_databases(self) -> UsageError:
        source = self.copy.manifest.source if self.copy.manifest is not None else {}
        if "COMMAND" in source:
            return UsageError(
                f"{self.copy} holds what a program wrote ({source.get('FILENAME')}), and no database that could be "
                "restored into a server by itself. Get the file back with --to DIR, and give it to the program that "
                "reads it."
            )
        return UsageError(f"{self.copy} holds files and no database. Restore them with --to DIR.")

    def _damaged(self, reason: str) -> DamagedArchiveError:
        return DamagedArchiveError(f"{self.copy}: {DESCRIPTION_PATH.decode()} cannot be understood ({reason}).")
