"""Pruning one target: what is removed and in which order, whatever dies, refuses or is pinned on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archives.signature import signing_key
from errors import StorageError, StorageUnavailableError, UsageError
from model import Keep, RunStatus, StoredObject
from operations.copies.keyring import Keyring
from operations.copies.layout import CopyKeys, folder_key
from operations.copies.pins import Pin, pin, read_pin, unpin
from operations.copies.removal import finish_removals
from operations.copies.stored_copies import StoredCopy, copies_on
from operations.retention.decisions import Decision
from operations.retention.prune import PruneReport, judge, prune
from storages.storage import Storage
from tests.support.stored_copies import BACKUP_ID, Killed, Plan, PlannedStorage, local_target, put_copy

NOW = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
DAY = timedelta(days=1)
FOREIGN = (
    "notes.txt",
    "HOW-TO-RESTORE.txt",
    "shop-files-20260101T000000Z.zip",
    "shop-files-20260101T000000Z.index.zst",
    "shop-files-20260102T000000Z.pin.json",
    "shop-files-2026.manifest.json",
    "shop-files-20261399T000000Z.removal.json",
    "other/shop-files-20260103T000000Z.removal.json",
    "shop-files-other-20260101T000000Z.manifest.json",
)


class Place:
    """A target with copies of the last days, the newest of the run that ended just now, and foreign files."""

    def __init__(self, root: Path) -> None:
        self.target, self.storage = local_target(root)
        self.keys = [put_copy(self.storage, self.target, NOW - days * DAY) for days in range(4)]
        self.folder = folder_key(self.target.path, BACKUP_ID)
        for name in FOREIGN:
            self.storage.put(self.folder + name, [b"foreign"])

    def prune(self, keep: Keep, storage: Storage | None = None) -> PruneReport:
        return prune(BACKUP_ID, self.target, storage or self.storage, keep, NOW, UTC, made=NOW)

    def copies(self) -> list[StoredCopy]:
        return copies_on(self.target, BACKUP_ID, self.storage)

    def copy(self, keys: CopyKeys) -> StoredCopy:
        return next(copy for copy in self.copies() if copy.keys == keys)

    def names(self) -> set[str]:
        """All but the foreign files, which are all there."""
        names = {stored.key.removeprefix(self.folder) for stored in self.storage.list(self.folder)}
        assert names >= set(FOREIGN)
        return names - set(FOREIGN)

    def names_of(self, *copies: CopyKeys) -> set[str]:
        keys = (key for copy in copies for key in (copy.archive, copy.index, copy.manifest))
        return {key.removeprefix(self.folder) for key in keys}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path / "storage")


def test_what_goes_is_removed_with_all_its_parts_and_nothing_else(place: Place) -> None:
    report = place.prune(Keep(last=2))
    assert report.problems == []
    assert [judged.decision.stays for judged in report.judged] == [True, True, False, False]
    assert [judged.copy.keys for judged in report.removed] == [place.keys[3], place.keys[2]]
    assert report.summary == "LOCAL:kept: 2 copies removed, 2 stay"
    assert place.names() == place.names_of(*place.keys[:2])


def test_asking_removes_nothing(place: Place) -> None:
    before = place.names()
    judged = judge(place.copies(), Keep(last=1), NOW, UTC)
    assert [(each.copy.keys, each.decision.stays) for each in judged] == list(
        zip(place.keys, [True, False, False, False], strict=True)
    )
    assert place.names() == before


def test_the_manifest_goes_before_the_archive(place: Place) -> None:
    plan = Plan()
    place.prune(Keep(last=3), PlannedStorage(place.storage, plan))
    stem = "shop-files-20261117T120000Z"
    assert plan.changes == [
        ("put", f"{stem}.removal.json"),
        ("delete", f"{stem}.manifest.json"),
        ("delete", f"{stem}.zip"),
        ("delete", f"{stem}.index.zst"),
        ("delete", f"{stem}.removal.json"),
    ]


def test_the_note_of_a_removal_says_why(place: Place) -> None:
    plan = Plan(kill_at=1)
    with pytest.raises(Killed):
        place.prune(Keep(last=3), PlannedStorage(place.storage, plan))
    note = json.loads(b"".join(place.storage.get(place.keys[3].removal)))
    assert note == {
        "format": "holdfast-removal",
        "version": 1,
        "when": "2026-11-20T12:00:00.123456+00:00",
        "reasons": ["no rule of KEEP asks for it"],
    }


# Two copies go, with five changes each.
@pytest.mark.parametrize("kill_at", range(10))
@pytest.mark.parametrize("kill_is_after", [False, True])
def test_whatever_kills_it_no_copy_is_listed_that_is_not_whole(place: Place, kill_at: int, kill_is_after: bool) -> None:
    plan = Plan(kill_at, kill_is_after)
    with pytest.raises(Killed):
        place.prune(Keep(last=2), PlannedStorage(place.storage, plan))
    assert plan.has_killed
    assert [copy.damage for copy in place.copies()] == [None] * len(place.copies())
    assert place.names() >= place.names_of(*place.keys[:2])
    present = [stored.key for stored in place.storage.list(place.folder)]
    assert finish_removals(BACKUP_ID, place.target, place.storage, present) == []
    whole = [copy.keys for copy in place.copies()]
    assert place.names() == place.names_of(*whole), "the next run has cleaned up, before it prunes"
    place.prune(Keep(last=2))
    assert place.names() == place.names_of(*place.keys[:2])


def test_a_removal_that_was_only_announced_is_decided_anew(place: Place) -> None:
    with pytest.raises(Killed):
        place.prune(Keep(last=2), PlannedStorage(place.storage, Plan(kill_at=1)))
    assert place.keys[3].removal.removeprefix(place.folder) in place.names()
    report = place.prune(Keep(last=9))
    assert (report.removed, report.problems) == ([], [])
    assert place.names() == place.names_of(*place.keys)


@pytest.mark.parametrize("part", ["manifest", "archive", "index", "removal"])
def test_what_cannot_be_removed_is_said_and_the_others_go(place: Place, part: str) -> None:
    locked: str = getattr(place.keys[3], part)
    plan = Plan(refused=(locked.rpartition("/")[2],))
    report = place.prune(Keep(last=2), PlannedStorage(place.storage, plan))
    assert len(report.problems) == 1
    assert "20261117T120000Z" in report.problems[0]
    assert "is locked." in report.problems[0]
    assert place.names_of(place.keys[2]).isdisjoint(place.names())
    place.prune(Keep(last=2))
    assert place.names() == place.names_of(*place.keys[:2])


def test_what_is_left_of_a_removal_and_still_locked_is_said_each_time(place: Place) -> None:
    plan = Plan(refused=(".zip",))
    place.prune(Keep(last=3), PlannedStorage(place.storage, plan))
    assert [copy.keys for copy in place.copies()] == place.keys[2::-1]
    report = place.prune(Keep(last=3), PlannedStorage(place.storage, plan))
    (problem,) = report.problems
    assert "what is left of" in problem
    assert len(report.judged) == 3


def test_a_storage_that_does_not_answer_is_asked_once(place: Place) -> None:
    plan = Plan(refused=(".json",), error=StorageUnavailableError)
    report = place.prune(Keep(last=1), PlannedStorage(place.storage, plan))
    assert len(report.problems) == 1
    assert len(plan.changes) == 1
    assert place.names() == place.names_of(*place.keys)


def test_a_storage_that_cannot_be_listed_is_said(place: Place) -> None:
    class Unlisted(PlannedStorage):
        def list(self, prefix: str) -> Iterator[StoredObject]:
            raise StorageError(f"{prefix} cannot be listed.")

    report = place.prune(Keep(last=1), Unlisted(place.storage, Plan()))
    assert report.problems == ["LOCAL:kept: kept/shop/files/ cannot be listed."]
    assert (report.judged, report.removed) == ([], [])


def test_an_incomplete_copy_does_not_let_others_go(place: Place) -> None:
    place.storage.delete(place.keys[0].archive)
    report = place.prune(Keep(last=1))
    assert report.removed == []
    assert report.judged[0].decision.reasons == (
        "it cannot be judged: shop-files-20261120T120000Z.zip is missing",
        "the copy of this run is not there as it was made",
    )


def test_an_archive_of_another_size_counts_for_nothing(place: Place, tmp_path: Path) -> None:
    (tmp_path / "storage" / place.keys[1].archive).write_bytes(b"short")
    report = place.prune(Keep(last=2))
    assert [judged.copy.keys for judged in report.removed] == [place.keys[3]]
    assert report.judged[1].decision.reasons == (
        "it cannot be judged: shop-files-20261119T120000Z.zip has 5 bytes where 58 were stored",
    )


def test_a_damaged_manifest_holds_its_copy(place: Place, tmp_path: Path) -> None:
    (tmp_path / "storage" / place.keys[2].manifest).write_bytes(b"{}")
    report = place.prune(Keep(last=1))
    assert [judged.copy.keys for judged in report.removed] == [place.keys[3], place.keys[1]]
    assert place.names() == place.names_of(place.keys[0], place.keys[2])


def test_partial_copies_are_pruned_after_a_good_one(place: Place) -> None:
    keys = put_copy(place.storage, place.target, NOW - DAY / 2, RunStatus.PARTIAL)
    assert [judged.copy.keys for judged in place.prune(Keep(daily=4)).removed] == [keys]


# --- pins -----------------------------------------------------------------------------------------------------------

PIN = Pin("before the upgrade", "anna@shop", NOW)


def test_a_pin_holds_a_copy_and_is_listed_with_it(place: Place) -> None:
    pin(place.copy(place.keys[3]), PIN)
    assert place.copy(place.keys[3]).pin == PIN
    assert place.copy(place.keys[2]).pin is None
    report = place.prune(Keep(last=1))
    assert report.judged[3].decision.reasons == ("pinned: before the upgrade",)
    assert place.copy(place.keys[3]).pin == PIN
    assert [copy.keys for copy in place.copies()] == [place.keys[3], place.keys[0]]


def test_an_unpinned_copy_goes(place: Place) -> None:
    pin(place.copy(place.keys[3]), PIN)
    unpin(place.copy(place.keys[3]))
    unpin(place.copy(place.keys[3]))
    place.prune(Keep(last=1))
    assert place.names() == place.names_of(place.keys[0])


def test_a_copy_is_pinned_once(place: Place) -> None:
    pin(place.copy(place.keys[1]), PIN)
    with pytest.raises(UsageError, match="on LOCAL:kept is pinned already: before the upgrade"):
        pin(place.copy(place.keys[1]), Pin("again", "otto@shop", NOW))
    assert read_pin(place.storage, place.keys[1]) == PIN


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the pin is damaged"),
        (b"[]", "the pin is damaged"),
        (b'{"format": "holdfast-pin", "version": 1, "reason": "x", "by": "y", "when": "soon"}', "the pin is damaged"),
        (b'{"format": "holdfast-pin", "version": 2}', "by another version of Holdfast"),
        (b"\xff", "the pin is damaged"),
    ],
)
def test_a_pin_that_cannot_be_read_holds_as_well(place: Place, content: bytes, reason: str) -> None:
    place.storage.put(place.keys[2].pin, [content])
    report = place.prune(Keep(last=1))
    assert report.judged[2].decision == Decision(True, (f"pinned: {reason}",))


def test_a_pin_that_the_storage_does_not_give_holds_as_well(place: Place) -> None:
    class Unreadable(PlannedStorage):
        def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
            if key.endswith(".pin.json"):
                raise StorageError("It does not want to.")
            return super().get(key, offset, length)

    place.storage.put(place.keys[2].pin, [PIN.encode()])
    report = place.prune(Keep(last=1), Unreadable(place.storage, Plan()))
    assert report.judged[2].decision.reasons == ("pinned: the pin cannot be read: It does not want to.",)


def test_a_pin_that_comes_while_others_are_removed_holds(place: Place) -> None:
    class PinnedMeanwhile(PlannedStorage):
        def delete(self, key: str) -> None:
            if key == place.keys[3].manifest:
                self._storage.put(place.keys[2].pin, [PIN.encode()])
            super().delete(key)

    report = place.prune(Keep(last=2), PinnedMeanwhile(place.storage, Plan()))
    assert [judged.copy.keys for judged in report.removed] == [place.keys[3]]
    assert place.copy(place.keys[2]).pin == PIN
    assert place.keys[2].removal.removeprefix(place.folder) not in place.names()


def test_two_backups_of_one_target_do_not_touch_each_other(tmp_path: Path) -> None:
    target, storage = local_target(tmp_path)
    mine = [put_copy(storage, target, NOW - days * DAY) for days in range(3)]
    others = [put_copy(storage, target, NOW - days * DAY, backup_id=f"{BACKUP_ID}-x") for days in range(3)]
    prune(BACKUP_ID, target, storage, Keep(last=1), NOW, UTC, made=NOW)
    assert [copy.keys for copy in copies_on(target, f"{BACKUP_ID}-x", storage)] == others[::-1]
    assert [copy.keys for copy in copies_on(target, BACKUP_ID, storage)] == mine[:1]


# --- whose they are ---


@pytest.mark.parametrize("forger", ["another key", "nobody"])
def test_newer_copies_of_somebody_else_let_none_of_ours_go(forger: str, tmp_path: Path) -> None:
    """Who may write to a target and not remove, as with some keys of S3, would have us remove our own copies."""
    target, storage = local_target(tmp_path / "storage")
    ours = signing_key(tmp_path / "state")
    old = [put_copy(storage, target, NOW - days * DAY, signed_by=ours) for days in (3, 2)]
    theirs = signing_key(tmp_path / "theirs") if forger == "another key" else None
    forged = [put_copy(storage, target, NOW - hours * timedelta(hours=1), signed_by=theirs) for hours in (2, 1)]
    keyring = Keyring(frozenset({ours.public_key}))
    report = prune(BACKUP_ID, target, storage, Keep(last=1), NOW, UTC, keyring=keyring)
    assert [each.copy.keys for each in report.removed] == [old[0]]
    (last_good,) = [each for each in report.judged if each.copy.keys == old[1]]
    assert last_good.decision.stays
    for each in report.judged[:2]:
        assert each.copy.keys in forged
        assert each.decision.stays
        assert "it cannot be judged: " in each.decision.reasons[0]


def test_copies_from_before_there_were_signatures_go_as_ever(tmp_path: Path) -> None:
    target, storage = local_target(tmp_path / "storage")
    old = [put_copy(storage, target, NOW - days * DAY) for days in (3, 2)]
    ours = signing_key(tmp_path / "state")
    put_copy(storage, target, NOW, signed_by=ours)
    report = prune(
        BACKUP_ID, target, storage, Keep(last=2), NOW, UTC, made=NOW, keyring=Keyring(frozenset({ours.public_key}))
    )
    assert [each.copy.keys for each in report.removed] == [old[0]]
