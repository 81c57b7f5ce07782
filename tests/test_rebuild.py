"""The catalog made again from the manifests, after the state folder was lost."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from archives.manifest import NoteList
from archives.signature import Origin, Trust
from model import Note, NoteKind, RunStatus, StorageDefinition, StorageType, Target
from operations.copies.keyring import Keyring
from operations.copies.rebuild import history_of, without_shared_runs
from operations.copies.stored_copies import Listing, StoredCopy, copies_on
from storages.local import LocalStorage
from tests.support.age_keys import make_key_pair
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.stored_copies import put_copy

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


# --- whole processes ---


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Holdfast:
    """Two backups of three runs in all, on two targets each; one has left the configuration since, and is encrypted."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "source").mkdir()
    (folder / "source" / "file").write_text("content")
    site = Holdfast(folder / "machine")
    key = make_key_pair("age", folder).public
    for names in (("files", "gone"), ("files",)):
        backups = [_backup(folder, name, key) for name in names]
        site.write(
            {
                "STORAGES": [{"NAME": "disk", "TYPE": "LOCAL", "ROOT": str(folder / "disk")}],
                "PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": backups}]}],
            }
        )
        assert site.run("backup.py", "--all").returncode == 0
    return site


def _backup(folder: Path, name: str, key: str) -> dict[str, object]:
    return {
        **({"ENCRYPT_TO": key} if name == "gone" else {}),
        "NAME": name,
        "INTERVALS": "0 2 * * *",
        "FILE_PATH": [str(folder / "source")],
        "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": "kept"}, {"STORAGE_NAME": "disk"}],
    }


def overview(site: Holdfast) -> Any:
    """All but when runs ended, and what follows from that: a manifest cannot know how long it took to write itself. And
    but for the space in use, which the next run measures."""
    standings = json.loads(site.run("backup.py", "--json").stdout)["backups"]
    for standing in standings:
        del standing["usual_duration"], standing["deadline"]
        for target in standing["targets"]:
            del target["copies"], target["size"], target["measured"]
    for run in (standing[which] for standing in standings for which in ("last", "last_good")):
        assert run["started"] < run.pop("ended")
    return standings


def rebuild(site: Holdfast, *options: str, exit_code: int = 0) -> Any:
    answer = site.run("restore.py", "rebuild", "--json", *options)
    assert answer.returncode == exit_code, answer.stderr
    return json.loads(answer.stdout)


def test_what_was_known_before_is_known_again(site: Holdfast) -> None:
    before = overview(site)
    assert [each["backup"] for each in before] == [BACKUP_ID, "shop/gone"]
    shutil.rmtree(site.state)
    answer = rebuild(site)
    assert (answer["runs"], answer["new_runs"], answer["problems"]) == (3, 3, [])
    rows = [(each["backup"], each["orphaned"], each["runs"], each["copies"]) for each in answer["backups"]]
    assert rows == [(BACKUP_ID, False, 2, 4), ("shop/gone", True, 1, 2)]
    archives = [*site.folder.parent.rglob("*.zip"), *site.folder.parent.rglob("*.zip.age")]
    assert len(archives) == 6
    assert sum(each["size"] for each in answer["backups"]) == sum(path.stat().st_size for path in archives)
    assert overview(site) == before
    again = rebuild(site)
    assert (again["runs"], again["new_runs"]) == (3, 0)
    assert overview(site) == before


def test_a_damaged_catalog_names_the_command_that_takes_its_runs_in_again(site: Holdfast) -> None:
    before = overview(site)
    (site.state / "catalog.db").write_bytes(b"garbage " * 1000)
    damaged = site.run("backup.py")
    assert "restore.py rebuild" in damaged.stderr
    assert "No run is known yet. Where there are copies from before, restore.py rebuild" in damaged.stdout
    text = site.run("restore.py", "rebuild")
    assert text.returncode == 0, text.stderr
    assert [line.split()[:3] for line in text.stdout.splitlines()[1:3]] == [
        [BACKUP_ID, "2", "4"],
        ["shop/gone", "1", "2"],
    ]
    assert "3 runs recorded in the catalog." in text.stdout
    assert overview(site) == before


def test_runs_are_taken_in_from_a_folder_without_a_configuration(site: Holdfast, tmp_path: Path) -> None:
    other = Holdfast(tmp_path / "other")
    answer = rebuild(other, "--from", str(site.folder.parent / "disk"))
    assert [(each["backup"], each["runs"], each["copies"]) for each in answer["backups"]] == [
        (BACKUP_ID, 2, 2),
        ("shop/gone", 1, 1),
    ]
    other.configure(tmp_path)
    assert [each["last_good"]["status"] for each in overview(other)] == ["good", "good"]


def test_a_manifest_that_cannot_be_read_is_named_and_the_others_are_taken_in(site: Holdfast, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    shutil.copytree(site.folder.parent / "disk", disk)
    rotten, *_ = sorted(disk.glob("shop/files/*.manifest.json"))
    rotten.write_bytes(rotten.read_bytes().replace(b'"good"', b'"evil"'))
    (forged,) = disk.glob("shop/gone/*.manifest.json")
    forged.write_bytes(_forged(forged.read_bytes()))
    other = Holdfast(tmp_path / "other")
    answer = rebuild(other, "--from", str(disk), exit_code=1)
    assert answer["new_runs"] == 1
    of_rotten, of_forged = answer["problems"]
    assert of_rotten.startswith(f"shop/files/{rotten.name} on {disk}: ")
    assert of_forged.startswith(f"shop/gone/{forged.name} on {disk}: the manifest is not what was signed")
    assert rotten.name in other.run("restore.py", "rebuild", "--from", str(disk)).stderr


def _forged(manifest: bytes) -> bytes:
    """Another status, with a checksum that fits: what somebody makes of it who does not have the key."""
    lines = manifest.replace(b'"good"', b'"partial"').splitlines(keepends=True)[:-2]
    checksum = hashlib.sha256(b"".join(lines)).hexdigest()
    return b"".join(lines) + f'  "sha256_of_lines_above": "{checksum}"\n}}\n'.encode()


# --- what the manifests tell ---


def copies_at(root: Path, backup_id: str = BACKUP_ID) -> list[StoredCopy]:
    storage = LocalStorage(root.name, root)
    definition = StorageDefinition(root.name, StorageType.LOCAL, {"ROOT": str(root)})
    return copies_on(Target(definition, ""), backup_id, storage)


def put(root: Path, backup_id: str = BACKUP_ID, hours: int = 0) -> None:
    definition = StorageDefinition(root.name, StorageType.LOCAL, {"ROOT": str(root)})
    started = NOON + timedelta(hours=hours)
    put_copy(LocalStorage(root.name, root), Target(definition, ""), started, backup_id=backup_id)


def test_copies_of_one_run_are_one_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / name)
    history = history_of(BACKUP_ID, Listing((*copies_at(tmp_path / "a"), *copies_at(tmp_path / "b")), ()))
    (run,) = history.runs
    assert (run.id, run.status, run.started, run.backup_id) == ("20261120T120000Z", RunStatus.GOOD, NOON, BACKUP_ID)
    assert [(copy.storage, copy.status, copy.error) for copy in run.copies] == [
        ("a", RunStatus.GOOD, None),
        ("b", RunStatus.GOOD, None),
    ]
    assert (history.copies, history.newest, history.problems) == (2, NOON, ())


def test_a_copy_whose_archive_is_gone_is_recorded_as_such(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / name)
    (tmp_path / "b" / "shop" / "files" / "shop-files-20261120T120000Z.zip").unlink()
    copies = (*copies_at(tmp_path / "a"), *copies_at(tmp_path / "b"))
    (run,) = history_of(BACKUP_ID, Listing(copies, ())).runs
    assert run.status is RunStatus.GOOD
    assert [(copy.status, copy.size > 0) for copy in run.copies] == [(RunStatus.GOOD, True), (RunStatus.FAILED, False)]
    assert "shop-files-20261120T120000Z.zip is missing" in str(run.copies[1].error)
    (alone,) = history_of(BACKUP_ID, Listing(copies[1:], ())).runs
    assert (alone.status, "is missing" in alone.message) == (RunStatus.FAILED, True)


def test_a_partial_run_says_how_much_it_lacks(tmp_path: Path) -> None:
    put(tmp_path / "a")
    (copy,) = copies_at(tmp_path / "a")
    assert copy.manifest is not None
    notes = NoteList()
    for path in (b"x", b"y"):
        notes.add(Note(NoteKind.UNREADABLE, path, "no right"))
    partial = replace(copy, manifest=replace(copy.manifest, status=RunStatus.PARTIAL, notes=notes))
    (run,) = history_of(BACKUP_ID, Listing((partial,), ())).runs
    assert (run.status, run.copies[0].status) == (RunStatus.PARTIAL, RunStatus.PARTIAL)
    assert run.message.startswith("2 paths could not be read")


def test_manifests_of_one_run_that_contradict_each_other(tmp_path: Path) -> None:
    """Whoever can write to one target alone cannot change what the others say."""
    copies = []
    for name in ("a", "b", "c"):
        put(tmp_path / name)
        copies += copies_at(tmp_path / name)
    manifest = copies[0].manifest
    assert manifest is not None
    other = replace(copies[0], manifest=replace(manifest, archive=replace(manifest.archive, sha256="0" * 64)))
    history = history_of(BACKUP_ID, Listing((other, *copies[1:]), ()))
    (run,) = history.runs
    assert [copy.storage for copy in run.copies] == ["b", "c"]
    (problem,) = history.problems
    key = "shop/files/shop-files-20261120T120000Z.manifest.json"
    assert problem.startswith(f"{key} on a says that it is of the same run as {key} on b")


def test_a_trusted_manifest_counts_more_than_any_number_of_others(tmp_path: Path) -> None:
    keyring = Keyring(frozenset({"ed25519:mine"}))
    trusted, stranger = Origin(Trust.TRUSTED, "ed25519:mine"), Origin(Trust.UNKNOWN_KEY, "ed25519:other")
    copies = []
    for name in ("a", "b", "c"):
        put(tmp_path / name)
        copies += [replace(copy, origin=stranger, keyring=keyring) for copy in copies_at(tmp_path / name)]
    manifest = copies[2].manifest
    assert manifest is not None
    other = replace(manifest, archive=replace(manifest.archive, sha256="0" * 64))
    copies[2] = replace(copies[2], origin=trusted, manifest=other)
    history = history_of(BACKUP_ID, Listing(tuple(copies), ()))
    (run,) = history.runs
    assert [copy.storage for copy in run.copies] == ["c"]
    assert len(history.problems) == 2
    (remark,) = history.remarks
    assert remark.startswith("shop/files/shop-files-20261120T120000Z.manifest.json on a (and 1 more): ")
    assert "signed with ed25519:other, which is not trusted here" in remark


def test_a_run_belongs_to_one_backup(tmp_path: Path) -> None:
    histories = []
    for backup_id in ("shop/db", "shop/files"):
        put(tmp_path / "a", backup_id)
        histories.append(history_of(backup_id, Listing(tuple(copies_at(tmp_path / "a", backup_id)), ())))
    first, second = without_shared_runs(histories)
    assert (len(first.runs), first.problems) == (1, ())
    assert second.runs == ()
    assert "says that it is of a run of shop/db" in second.problems[0]
