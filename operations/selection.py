"""Which backups a person means by ``shop/uploads``, ``'shop/*'`` or ``"Till Production/db"``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from errors import UsageError
from model import Backup, Configuration
from operations.copies.discovery import StoredBackup


def select_backups(configuration: Configuration, patterns: Sequence[str]) -> list[Backup]:
    """The enabled backups that match any of the patterns, in the order of the configuration.

    A pattern is matched against the id and against ``project/name`` as written, without regard to case; a project
    alone means all of its backups. Raises UsageError where a pattern matches nothing that is enabled.
    """
    chosen = set()
    for pattern in patterns:
        matching = all_matching(configuration, pattern)
        if not matching:
            raise UsageError(_unknown(configuration, pattern))
        enabled = [backup.id for backup in matching if backup.enabled]
        if not enabled:
            raise UsageError(
                f"{matching[0].id} is disabled: {configuration.path}:{matching[0].line} or its project says "
                "ENABLED: false."
            )
        chosen.update(enabled)
    return [backup for backup in configuration.backups if backup.id in chosen]


def find_backup(configuration: Configuration, text: str) -> Backup:
    """The one backup with this id or ``project/name``, enabled or not. Raises UsageError."""
    matching = all_matching(configuration, text)
    if len(matching) > 1:
        raise UsageError(f"{text!r} could be {', '.join(backup.id for backup in matching)}. Write one of them.")
    if not matching:
        raise UsageError(_unknown(configuration, text))
    return matching[0]


def all_matching(configuration: Configuration, pattern: str) -> list[Backup]:
    """Every backup that the pattern means, enabled or not."""
    return [backup for backup in configuration.backups if _matches(backup, pattern)]


def is_configured(configuration: Configuration, text: str) -> bool:
    """Whether any backup of the configuration is meant by this."""
    return bool(all_matching(configuration, text))


def find_stored(backups: Sequence[StoredBackup], text: str) -> StoredBackup | None:
    """The one that was found and is meant by this id, in any case, or pattern. Raises UsageError where several are."""
    names = {backup.id: (backup.id, backup.id.partition("/")[0]) for backup in backups}
    matching = [backup for backup in backups if _any_matches(names[backup.id], text)]
    exact = [backup for backup in matching if backup.id == text]
    if len(matching) > 1 and not exact:
        raise UsageError(f"{text!r} could be {', '.join(backup.id for backup in matching)}. Write one of them.")
    return next(iter(exact or matching), None)


def _matches(backup: Backup, pattern: str) -> bool:
    names = (backup.id, f"{backup.project}/{backup.name}", backup.project, backup.id.partition("/")[0])
    return _any_matches(names, pattern)


def _any_matches(names: Sequence[str], pattern: str) -> bool:
    pattern = pattern.casefold()
    return any(fnmatchcase(name.casefold(), pattern) for name in names)


def _unknown(configuration: Configuration, pattern: str) -> str:
    ids = [backup.id for backup in configuration.backups]
    if not ids:
        return f"There is no backup in {configuration.path} that is known here."
    names = {name.casefold(): name for backup in configuration.backups for name in (backup.project, backup.id)}
    nearest = difflib.get_close_matches(pattern.casefold(), names, n=1)
    hint = f"Did you mean {names[nearest[0]]}?" if nearest else f"There are: {', '.join(ids)}."
    return f"There is no backup {pattern!r} in {configuration.path}. {hint}"
