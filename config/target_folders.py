"""The folders that backups have on their storages: none may lie in that of another, or be it.

A run removes what an interrupted one left in the backup's folder. It must not find another's upload under way there.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.names import identity
from config.problems import Position, Problems
from model import Target


@dataclass(frozen=True, slots=True)
class _Folder:
    backup_id: str
    target: Target
    position: Position


class TargetFolders:
    """Collects them, and reports those that lie in another."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._folders: dict[tuple[str, ...], _Folder] = {}

    def add(self, backup_id: str, target: Target, position: Position) -> None:
        """``<PATH>/<project>/<backup>`` on the target's storage. Two backups of one id are reported elsewhere."""
        path = f"{target.path}/{backup_id}".strip("/")
        # Two spellings that differ in case are one folder on OneDrive.
        parts = (target.storage.name, *identity(path).split("/"))
        self._folders.setdefault(parts, _Folder(backup_id, target, position))

    def report_nested(self) -> None:
        """An error for each folder that lies in that of another backup, or of another target of the same one."""
        for parts, folder in self._folders.items():
            for length in range(2, len(parts)):
                outer = self._folders.get(parts[:length])
                if outer is not None:
                    self._problems.error(
                        folder.position,
                        f"This PATH puts the copies of {folder.backup_id} into the folder of {outer.backup_id} "
                        f"(in line {outer.position.line}), which its runs tidy up. Give it a PATH outside of it.",
                    )
