"""An installation whose backup goes to several folders, each a storage of its own, and what lies in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.trees import make_tree


@dataclass
class SeveralTargets:
    """The storages are folders of these names, ``one`` and so on, and are called in capitals, ``ONE``."""

    folder: Path
    storages: tuple[str, ...] = ("one", "two")
    others: Sequence[Mapping[str, object]] = ()
    large_size: int = 0
    holdfast: Holdfast = field(init=False)
    tree: Path = field(init=False)

    def __post_init__(self) -> None:
        self.holdfast = Holdfast(self.folder / "holdfast")
        self.tree = make_tree(self.folder / "tree", files=3, large_size=self.large_size)
        self.configure(*self.storages)

    def configure(self, *targets: str | Mapping[str, object], **keys: object) -> None:
        """The backup with these targets: names of folders, or entries of UPLOAD_TO. ``keys`` are others of it."""
        folders = [{"NAME": name.upper(), "TYPE": "LOCAL", "ROOT": str(self.folder / name)} for name in self.storages]
        entries = [
            {"STORAGE_NAME": each.upper(), "PATH": "kept"} if isinstance(each, str) else each for each in targets
        ]
        backup = {"NAME": "files", "INTERVALS": "0 2 * * *", "FILE_PATH": str(self.tree), "UPLOAD_TO": entries, **keys}
        projects = [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}]
        self.holdfast.write({"STORAGES": [*folders, *self.others], "PROJECTS": projects})

    def again(self, folder: Path, **keys: object) -> SeveralTargets:
        """The same in another folder, copies and state included, which may be spoilt. ``keys`` are of its backup."""
        site = SeveralTargets(folder)
        site.tree = self.tree
        site.configure(*self.storages, **keys)
        for name in (*self.storages, "holdfast/state"):
            shutil.copytree(self.folder / name, folder / name)
        return site

    def copies(self, name: str, path: str = "kept") -> Path:
        """The folder of the backup on one of them."""
        return self.folder / name / path / BACKUP_ID

    def files(self, name: str, path: str = "kept") -> dict[str, bytes]:
        """What lies there, hidden files too, by name."""
        folder = self.copies(name, path)
        return {file.name: file.read_bytes() for file in sorted(folder.iterdir())} if folder.exists() else {}

    def part(self, name: str, suffix: str, number: int = -1) -> Path:
        """An object there that ends so: that of the newest copy, or of another by its number from 0."""
        return sorted(path for path in self.copies(name).iterdir() if path.name.endswith(suffix))[number]

    def timestamps(self, name: str) -> list[str]:
        """Of the copies that have a manifest there, oldest first."""
        found = self.copies(name).glob("*.manifest.json")
        return sorted(path.name.removesuffix(".manifest.json")[-16:] for path in found)

    def run(self, *arguments: str, **options: Any) -> Any:
        """``restore.py`` with these arguments."""
        return self.holdfast.run("restore.py", *arguments, **options)

    def document(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self.run(*arguments, "--json").stdout))


def flip_a_bit(path: Path) -> None:
    """In the middle, where an archive has data."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
