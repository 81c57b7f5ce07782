"""Everything comes back without anything of ours: by the commands of HOW-TO-RESTORE.txt, taken from the text on the
target, in a shell that finds standard tools only. ``tests/support/escape_hatch.py`` is who follows them.

A test backs up one kind of source with each encryption, all by one process, and then empties the server.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import stat
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import database_samples as samples
from tests.support import mariadb_fingerprint, postgresql_fingerprint, sqlite_fingerprint
from tests.support.age_keys import KeyPair, make_key_pair
from tests.support.differences import assert_same
from tests.support.escape_hatch import Stranger, commands_of, commands_of_formats
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.mariadb import mariadb_server
from tests.support.postgresql import postgresql_server
from tests.support.skips import requires_program
from tests.support.whole_trees import IS_ROOT, MIB, describe_tree

pytestmark = [pytest.mark.slow, requires_program("age", "unzip", "7z", "bsdtar", "sqlite3", "mariadb", "mysql")]

PASSPHRASE = "correct horse battery staple"
# In all names of what is backed up; it must not be in the texts and manifests of what is encrypted.
CANARY = "canary-"
MARIADB_DATABASE = f"{CANARY}shop"
MARIADB_USERS = f"""
CREATE ROLE reader; CREATE USER owner@localhost IDENTIFIED BY 'not the one that is looked for';
GRANT SELECT (name) ON `{MARIADB_DATABASE}`.item TO reader; GRANT reader TO owner@localhost WITH ADMIN OPTION;
GRANT EXECUTE ON PROCEDURE `{MARIADB_DATABASE}`.fill TO owner@localhost;
"""

PLAIN, AGE, SSH, PHRASE = "nothing", "an age key", "an SSH key", "a passphrase"


@dataclass
class World:
    """An installation whose projects are ``plain``, ``keys`` (two recipients) and ``phrase``, and what opens them."""

    folder: Path
    keys: dict[str, KeyPair] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.holdfast = Holdfast(self.folder / "holdfast")
        self.keys = {AGE: make_key_pair("age", self.folder), SSH: make_key_pair("ssh-ed25519", self.folder)}

    def back_up(self, key: str, of_project: Mapping[str, Mapping[str, Mapping[str, object]]]) -> None:
        """``of_project`` has the backups of each project: their names, and what they have under ``key``."""
        encryptions: dict[str, dict[str, object]] = {
            "plain": {},
            "keys": {"ENCRYPT_TO": [self.keys[AGE].public, self.keys[SSH].public]},
            "phrase": {"ENCRYPT_PASSPHRASE": PASSPHRASE},
        }
        common = {"INTERVALS": "@daily", "UPLOAD_TO": {"STORAGE_NAME": "LOCAL"}}
        projects = []
        for project, backups in of_project.items():
            listed = [{"NAME": name, **keys, **common, **encryptions[project]} for name, keys in backups.items()]
            projects.append({"NAME": project, "BACKUPS": [{key: listed}]})
        self.holdfast.write({"PROJECTS": projects})
        ended = self.holdfast.run("backup.py", "--all")
        assert ended.returncode == 0, ended.stderr

    def stranger(self, backup: str, opened_by: str, **others: Any) -> Stranger:
        """Somebody who has the folder of one backup, and what opens it."""
        project = {PLAIN: "plain", PHRASE: "phrase"}.get(opened_by, "keys")
        folder = self.folder / f"{backup} by {opened_by}"
        shutil.copytree(self.holdfast.storage / project / backup, folder / "copies")
        stranger = Stranger(folder / "copies", folder / "home", **others)
        if project == "keys":
            stranger.key_file = self.keys[opened_by].file
        elif project == "phrase":
            stranger.passphrase = PASSPHRASE
        return stranger

    def assert_tells_nothing(self, *secrets: str) -> None:
        """What lies on the target beside encrypted archives has none of these, nor what is secret in all of them."""
        for path in self.holdfast.storage.rglob("*"):
            if path.is_file() and "plain" not in path.parts:
                content = path.read_bytes()
                for secret in (CANARY, str(self.folder), PASSPHRASE, f'"{socket.gethostname()}"', *secrets):
                    assert secret.encode() not in content, path
                assert path.name.endswith((".zip.age", ".index.zst.age", ".manifest.json", ".txt"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- files ------------------------------------------------------------------------------------------------------


PROGRAM = b"-rf it's; $HOME/program"


def make_tree(folder: Path) -> None:
    """What a ZIP file carries: names, content of all sizes, modes, owners, whole seconds, symbolic links."""
    (folder / "-rf it's; $HOME" / "empty").mkdir(parents=True)
    inner = folder / "-rf it's; $HOME"
    for number in range(20):
        (inner / f"größe 漢 {number}.txt").write_text("a line\n" * number * 100)
    (inner / "blocks").write_bytes(os.urandom(MIB) + b"packed " * MIB)
    (inner / "program").write_bytes(b"#!/bin/sh\n")
    (inner / "link").symlink_to("no/such file")
    for mode, path in ((0o755, inner / "program"), (0o640, inner / "blocks"), (0o700, inner / "empty")):
        path.chmod(mode)
    if IS_ROOT:
        os.chown(inner / "program", 12345, 54321)
        (inner / "program").chmod(0o4755)
    for path in (*inner.iterdir(), inner, folder):
        os.utime(path, (1_700_000_000, 1_700_000_001), follow_symlinks=False)


def described(folder: Path, *, with_modes: bool = True, with_owners: bool = False) -> dict[bytes, tuple[object, ...]]:
    """What a ZIP file carries of a tree."""
    return {
        path: (
            *(each.kind, each.size, each.content),
            each.mode if with_modes or each.kind == stat.S_IFLNK else None,
            each.owner if with_owners else None,
            each.modified_ns // 10**9 if each.kind != stat.S_IFLNK else None,
        )
        for path, each in describe_tree(folder).items()
    }


def test_files(world: World) -> None:
    tree = world.folder / f"{CANARY}tree"
    make_tree(tree)
    files: dict[str, object] = {"FILE_PATH": str(tree)}
    zstd = {**files, "COMPRESSION": {"METHOD": "zstd"}}
    backups: dict[str, Mapping[str, object]] = {"files": files, "zstd": zstd}
    world.back_up("FILE_BACKUP", {"plain": backups, "keys": backups, "phrase": {"files": files}})
    world.assert_tells_nothing()
    for backup, opened_by in (
        *(("files", each) for each in (PLAIN, AGE, SSH, PHRASE)),
        *(("zstd", each) for each in (PLAIN, AGE)),
    ):
        stranger = world.stranger(backup, opened_by)
        stranger.follow()
        assert len(stranger.unpacked) == (4 if backup == "files" else 2)
        assert {command.split()[0] for command in stranger.unpacked} == {"7z", "mkdir"} | (
            {"unzip"} if backup == "files" else set()
        )
        for command, folder in stranger.unpacked.items():
            assert_unpacked(command, folder / tree.relative_to("/"), tree)


def assert_unpacked(command: str, found: Path, expected: Path) -> None:
    # As root, bsdtar takes owners and set-user-ID bits as they are; of unzip that is asked for by -X -K.
    is_whole = IS_ROOT and ("-X -K" in command or "bsdtar" in command)
    trees = [described(path, with_modes="7z" not in command, with_owners=is_whole) for path in (found, expected)]
    if not is_whole:
        for tree in trees:
            tree[PROGRAM] = tree[PROGRAM][:3]
    assert_same(*trees)


def test_the_checksums_that_are_to_be_compared_are_the_same(world: World, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    backups = {"files": {"FILE_PATH": str(tmp_path / "tree")}}
    world.back_up("FILE_BACKUP", {"plain": backups, "keys": backups})
    for opened_by in (PLAIN, AGE):
        stranger = world.stranger("files", opened_by)
        commands = [command.replace("<time>", stranger.timestamp) for command in commands_of(stranger.text)]
        checksum, manifest = (stranger.execute(command) for command in commands[:2])
        assert f'"sha256": "{checksum.split()[0]}"' in manifest
        (archive,) = stranger.folder.glob("*.zip*")
        archive.write_bytes(archive.read_bytes()[:-1] + b"x")
        assert stranger.execute(commands[0]).split()[0] not in manifest


# --- databases --------------------------------------------------------------------------------------------------


def test_postgresql(world: World) -> None:
    with postgresql_server() as server:
        server.sql(samples.POSTGRES_ROLES)
        server.sql(samples.POSTGRES, samples.DATABASE)
        server.sql("CREATE DATABASE stock OWNER owner")
        server.sql("CREATE TABLE item AS SELECT generate_series(1, 100)", "stock")
        names = {PLAIN: [samples.DATABASE], AGE: [samples.DATABASE, "stock"], PHRASE: [samples.DATABASE]}
        back_up_databases(world, "postgres", names, USERNAME=server.superuser, HOST=str(server.socket_folder))
        world.assert_tells_nothing(samples.DATABASE, "stock")
        roles = postgresql_fingerprint.server_fingerprint(server)
        fingerprint = partial(postgresql_fingerprint.database_fingerprint, server)
        expected = {name: fingerprint(name) for name in (samples.DATABASE, "stock")}
        server.sql("DROP DATABASE stock")
        made = [samples.DATABASE]
        programs = [server.binaries / name for name in ("psql", "createdb", "pg_restore")]
        for opened_by, databases in names.items():
            for name in made:
                server.sql(f"DROP DATABASE {samples.quoted(name)}")
            for role in roles["roles"]:
                if role != server.superuser:
                    server.sql(f"DROP ROLE {samples.quoted(role)}")
            stranger = world.stranger("db", opened_by, programs=programs, environment=server.environment)
            stranger.new_name = again
            stranger.follow()
            made = [*databases, *map(again, databases)]
            assert_same(postgresql_fingerprint.server_fingerprint(server), roles)
            for name in databases:
                assert_same(fingerprint(name), expected[name])
                # Under another name, what belongs to the database itself is not what pg_restore brings.
                itself = {"database": None, "settings": None}
                assert_same({**fingerprint(again(name)), **itself}, {**expected[name], **itself})


def again(name: str) -> str:
    """A name for what was called so."""
    return f"again_{len(name)}"


def test_mariadb_and_mysql(world: World) -> None:
    with mariadb_server() as server:
        server.sql(f"CREATE DATABASE `{MARIADB_DATABASE}` CHARACTER SET latin2 COLLATE latin2_czech_cs")
        server.sql(samples.MARIADB, MARIADB_DATABASE)
        server.sql("CREATE DATABASE stock CHARACTER SET utf8mb4; CREATE TABLE stock.item SELECT 1 AS a")
        server.sql(MARIADB_USERS)
        names: dict[str, Sequence[str]] = {PLAIN: [MARIADB_DATABASE], AGE: "*", PHRASE: [MARIADB_DATABASE]}
        back_up_databases(world, "mariadb", names, USERNAME="root", HOST=str(server.socket))
        world.assert_tells_nothing("stock")
        users = mariadb_fingerprint.server_fingerprint(server, "root")
        fingerprint = partial(mariadb_fingerprint.database_fingerprint, server)
        expected = {name: fingerprint(name) for name in (MARIADB_DATABASE, "stock")}
        made = list(expected)
        for backup, opened_by in (*(("db", each) for each in names), ("mysql", PLAIN)):
            for name in made:
                server.sql(f"DROP DATABASE `{name}`")
            for user in users["users"]:
                name, host = user["user"], user["host"]
                server.sql(f"DROP USER `{name}`@`{host}`" if host else f"DROP ROLE `{name}`")
            stranger = world.stranger(backup, opened_by)
            (stranger.home / ".my.cnf").write_text(f"[client]\nuser=root\nsocket={server.socket}\n")
            stranger.follow()
            program = "mysql " if backup == "mysql" else "mariadb "
            made = list(expected) if opened_by == AGE else [MARIADB_DATABASE]
            assert sum(command.startswith(program) for command in stranger.printed) == 1 + 2 * len(made)
            for name in made:
                assert_same(fingerprint(name), expected[name])
            assert_same(mariadb_fingerprint.server_fingerprint(server, "root"), users)


def test_sqlite(world: World) -> None:
    files = [world.folder / f"{CANARY}it's a shop.db", world.folder / f"{CANARY}stock.db"]
    for path in files:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(samples.SQLITE)
    paths = {PLAIN: files[:1], AGE: files, PHRASE: files[:1]}
    of_project = {
        project: {"db": {"DB_INFO": {"TYPE": "sqlite", "FILE_PATH": [str(path) for path in paths[opened_by]]}}}
        for project, opened_by in (("plain", PLAIN), ("keys", AGE), ("phrase", PHRASE))
    }
    world.back_up("DB_BACKUP", of_project)
    world.assert_tells_nothing()
    fingerprint = sqlite_fingerprint.database_fingerprint
    for opened_by, originals in paths.items():
        places = {str(path): world.folder / f"{opened_by} in place of {path.name}" for path in originals}
        for path in places.values():
            path.write_bytes(b"an old database")
            path.with_name(f"{path.name}-wal").write_bytes(b"of the old one")
        stranger = world.stranger("db", opened_by, new_name=lambda name, places=places: str(places[name]))
        stranger.follow()
        checks = [said for command, said in stranger.printed.items() if "integrity_check" in command]
        assert checks == ["ok\n"] * len(originals)
        for original, path in places.items():
            assert not path.with_name(f"{path.name}-wal").exists()
            assert_same(fingerprint(path), fingerprint(Path(original)))


def back_up_databases(world: World, engine: str, names: Mapping[str, Sequence[str]], **keys: str) -> None:
    """``db`` of each project; of MariaDB also ``mysql`` of the first."""

    def info(opened_by: str, type_: str) -> dict[str, object]:
        return {"DB_INFO": {"TYPE": type_, "NAME": names[opened_by], **keys}}

    plain = {"db": info(PLAIN, engine)}
    if engine == "mariadb":
        plain["mysql"] = info(PLAIN, "mysql")
    encrypted = {"keys": {"db": info(AGE, engine)}, "phrase": {"db": info(PHRASE, engine)}}
    world.back_up("DB_BACKUP", {"plain": plain, **encrypted})


# --- programs ---------------------------------------------------------------------------------------------------


def test_the_output_of_a_program(world: World) -> None:
    backups = {"program": {"COMMAND": ["echo", f"{CANARY}output"], "FILENAME": f"{CANARY}file"}}
    world.back_up("COMMAND_BACKUP", {"plain": backups, "keys": backups, "phrase": backups})
    world.assert_tells_nothing()
    for opened_by in (PLAIN, AGE, PHRASE):
        stranger = world.stranger("program", opened_by)
        stranger.follow()
        for folder in stranger.unpacked.values():
            assert (folder / f"{CANARY}file").read_text() == f"{CANARY}output\n"
        if opened_by != PLAIN:
            *_, said = stranger.printed.values()
            private = json.loads(said[said.index("{") :])
            assert (private["host"], private["source"]["COMMAND"][0]) == (socket.gethostname(), "echo")


# --- the manifest, and the text ---------------------------------------------------------------------------------


def test_signature_and_private_part_by_the_commands_of_the_page(world: World, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    world.back_up("FILE_BACKUP", {"keys": {"files": {"FILE_PATH": str(tmp_path / "tree")}}})
    stranger = world.stranger("files", AGE)
    for name in ("openssl", "python3", "head"):
        program = shutil.which(name, path="/usr/bin:/bin")
        assert program is not None
        (stranger.home / "bin" / name).symlink_to(program)
    shutil.copy(world.keys[AGE].file, stranger.folder / "KEY_FILE")
    stem = f"keys-files-{stranger.timestamp}"
    private = json.loads(stranger.execute(commands_of_formats("KEY_FILE", stem)))
    assert (private["host"], private["source"]["FILE_PATH"]) == (socket.gethostname(), [str(tmp_path / "tree")])
    commands = commands_of_formats("openssl", stem)
    assert "Signature Verified Successfully" in stranger.execute(commands)
    manifest = stranger.folder / f"{stem}.manifest.json"
    manifest.write_text(manifest.read_text().replace('"status": "good"', '"status": "gone"'))
    with pytest.raises(AssertionError, match="Signature Verification Failure"):
        stranger.execute(commands)


def test_the_text_follows_when_a_backup_becomes_encrypted(world: World, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    holdfast = world.holdfast
    holdfast.configure(tmp_path / "tree")
    holdfast.back_up()
    text = holdfast.storage / BACKUP_ID / "HOW-TO-RESTORE.txt"
    assert "age --decrypt" not in text.read_text()
    holdfast.configure(tmp_path / "tree", ENCRYPT_TO=world.keys[AGE].public)
    holdfast.back_up()
    assert "age --decrypt" in text.read_text()
