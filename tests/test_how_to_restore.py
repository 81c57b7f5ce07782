"""HOW-TO-RESTORE.txt: what it tells to whom, and that the text beside the copies is the one of today.

``test_escape_hatch.py`` executes what it says.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from errors import StorageError, StorageUnavailableError
from model import (
    Backup,
    CommandSource,
    Compression,
    CompressionMethod,
    DatabaseSource,
    Encryption,
    FileSource,
    Secret,
    Source,
    SshHost,
    StorageDefinition,
    StorageType,
    StoredObject,
    Target,
)
from operations.copies.how_to_restore import how_to_restore
from operations.running.targets import put_how_to_restore
from storages.local import LocalStorage
from storages.wrapper import StorageWrapper
from tests.support.escape_hatch import commands_of

CANARY = "canary"
SOURCES: dict[str, Source] = {
    "files": FileSource((f"/srv/{CANARY}",)),
    "PostgreSQL": DatabaseSource("postgres", (CANARY,), username=CANARY, host=CANARY),
    "MariaDB": DatabaseSource("mariadb", (CANARY, f"{CANARY}2")),
    "MySQL": DatabaseSource("mysql", (CANARY,)),
    "SQLite": DatabaseSource("sqlite", (f"/srv/{CANARY}.db",)),
    "command": CommandSource((CANARY, "--all"), f"{CANARY}.ldif", {CANARY: CANARY}),
}
ENCRYPTIONS = {
    "none": None,
    "keys": Encryption(("age1first", f"ssh-ed25519 AAAAsecond root@{CANARY}", f"ssh-rsa AAAAthird {CANARY}")),
    "passphrase": Encryption(passphrase=Secret(f"{CANARY} battery staple")),
}


def text_of(
    source: Source, encryption: Encryption | None, method: CompressionMethod = CompressionMethod.DEFLATE
) -> str:
    target = Target(StorageDefinition(CANARY, StorageType.LOCAL, {"ROOT": f"/{CANARY}"}), CANARY)
    backup = Backup(
        *("shop/main", "shop", "main", source, ("@daily",), (target,)),
        ssh=SshHost(CANARY, CANARY),
        compression=Compression(method),
        encryption=encryption,
    )
    return how_to_restore(backup).decode()


@pytest.mark.parametrize("encryption", ["keys", "passphrase"])
@pytest.mark.parametrize("kind", SOURCES)
def test_that_of_an_encrypted_backup_tells_nothing_that_its_manifests_keep_secret(kind: str, encryption: str) -> None:
    text = text_of(SOURCES[kind], ENCRYPTIONS[encryption])
    assert CANARY not in text
    assert ("age1first" in text, "ssh-ed25519 AAAAsecond\n" in text) == ((encryption == "keys"),) * 2
    assert ("--identity KEY_FILE" in text) == (encryption == "keys")


@pytest.mark.parametrize("method", CompressionMethod)
@pytest.mark.parametrize("encryption", ENCRYPTIONS)
@pytest.mark.parametrize("kind", SOURCES)
def test_its_commands_are_commands_of_a_shell(kind: str, encryption: str, method: CompressionMethod) -> None:
    text = text_of(SOURCES[kind], ENCRYPTIONS[encryption], method)
    commands = [command.replace("<time>", "20261120T030000Z") for command in commands_of(text)]
    assert ("age --decrypt" in "\n".join(commands)) == (encryption != "none")
    checked = subprocess.run(["sh", "-n"], input="\n".join(commands), text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith(" " * 7)] == []
    assert "{" not in text


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("PostgreSQL", "databases/canary.dump"),
        ("MySQL", "databases/canary.sql"),
        ("SQLite", "databases/srv/canary.db"),
        ("command", "canary.ldif"),
    ],
)
def test_what_everybody_may_know_is_named(kind: str, file: str) -> None:
    text = text_of(SOURCES[kind], None)
    assert f"restored/{file}" in text
    assert "FILE" not in text.replace("DATABASE_FILE", "")


def test_of_several_databases_one_is_to_be_chosen() -> None:
    assert "restored/databases/FILE" in text_of(SOURCES["MariaDB"], None)
    assert "restored/databases/FILE" in text_of(DatabaseSource("postgres", ("*",)), None)


def test_odd_names_are_quoted() -> None:
    text = text_of(DatabaseSource("sqlite", ("/srv/it's $HOME.db",)), None)
    assert """'restored/databases/srv/it'"'"'s $HOME.db'""" in text


# --- on a target ------------------------------------------------------------------------------------------------


class Counted(StorageWrapper):
    """Tells which methods changed something, and refuses those that ``refused`` names."""

    def __init__(self, root: Path, *refused: str) -> None:
        super().__init__(LocalStorage("LOCAL", root))
        self.refused = refused
        self.calls: list[str] = []

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._refuse("get")
        yield from super().get(key, offset, length)

    def delete(self, key: str) -> None:
        self.calls.append("delete")
        self._refuse("delete")
        super().delete(key)

    def _refuse(self, method: str) -> None:
        if method in self.refused:
            raise StorageError("AccessDenied")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return tmp_path / "shop" / "main" / "HOW-TO-RESTORE.txt"


def test_the_text_on_a_target_is_replaced_where_it_differs(tmp_path: Path, text: Path) -> None:
    storage = Counted(tmp_path)
    put_how_to_restore(storage, "shop/main/", b"first")
    before = text.stat()
    put_how_to_restore(storage, "shop/main/", b"first")
    assert (text.read_bytes(), text.stat(), storage.calls) == (b"first", before, [])
    put_how_to_restore(storage, "shop/main/", b"second")
    assert (text.read_bytes(), storage.calls) == (b"second", ["delete"])


@pytest.mark.parametrize("refused", ["delete", "get"])
def test_a_target_that_refuses_keeps_the_earlier_text(tmp_path: Path, text: Path, refused: str) -> None:
    put_how_to_restore(Counted(tmp_path), "shop/main/", b"first")
    put_how_to_restore(Counted(tmp_path, refused), "shop/main/", b"second")
    assert text.read_bytes() == b"first"


def test_a_target_that_does_not_answer_is_not_asked_once_more(tmp_path: Path) -> None:
    class Silent(Counted):
        def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
            raise AssertionError("it was asked once more")

        def _refuse(self, method: str) -> None:
            raise StorageUnavailableError("no answer")

    with pytest.raises(StorageUnavailableError, match="no answer"):
        put_how_to_restore(Silent(tmp_path), "shop/main/", b"first")


def test_a_target_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("a file where a folder must be")
    with pytest.raises(StorageError, match="shop"):
        put_how_to_restore(Counted(tmp_path), "shop/main/", b"first")
