"""Pruning and pins on four targets at once, each a real server: the copies that go, go everywhere."""

from __future__ import annotations

import json

from tests.support.four_targets import NAMES, Places, places
from tests.support.holdfast import BACKUP_ID
from tests.support.onedrive_storage import emulator, emulator_process
from tests.support.s3_fixtures import rclone
from tests.support.sshd import requires_sshd, sshd
from tests.support.trees import make_tree

__all__ = ["emulator", "emulator_process", "places", "rclone", "sshd"]

pytestmark = requires_sshd


def good(places: Places, *command: str) -> str:
    ended = places.run(*command)
    assert ended.returncode == 0, ended.stderr
    return str(ended.stdout)


def timestamps(places: Places, name: str) -> list[str]:
    """The copies there, oldest first; whatever lies there is a part of one."""
    objects = places.copies(name)
    stems = [key.removesuffix(".manifest.json") for key in objects if key.endswith(".manifest.json")]
    parts = {stem + ending for stem in stems for ending in (".index.zst", ".manifest.json", ".zip")}
    assert {key for key in objects if not key.endswith(".pin.json")} == {*parts, "HOW-TO-RESTORE.txt"}
    return [stem[-16:] for stem in stems]


def test_old_copies_go_from_every_kind_of_storage_and_pinned_ones_stay(places: Places) -> None:
    make_tree(places.source / "tree", files=3)
    places.configure(*NAMES, KEEP={"LAST": 1})
    good(places, "backup.py", BACKUP_ID)
    first = {name: timestamps(places, name) for name in NAMES}
    assert first == dict.fromkeys(NAMES, first["LOCAL"])
    (pinned,) = first["LOCAL"]
    good(places, "restore.py", "pin", f"{BACKUP_ID}@{pinned}", "--reason", "the first of all")
    good(places, "backup.py", BACKUP_ID)
    second = {name: timestamps(places, name) for name in NAMES}
    assert second == dict.fromkeys(NAMES, second["LOCAL"])
    assert (second["LOCAL"][0], len(second["LOCAL"])) == (pinned, 2)

    good(places, "restore.py", "unpin", f"{BACKUP_ID}@{pinned}")
    documents = json.loads(good(places, "restore.py", "prune", "--json"))["copies"]
    removed = [(each["storage"], each["timestamp"]) for each in documents if each["removed"]]
    assert removed == [(name, pinned) for name in NAMES]
    assert {name: timestamps(places, name) for name in NAMES} == dict.fromkeys(NAMES, second["LOCAL"][1:])
    assert places.left_over() == []
