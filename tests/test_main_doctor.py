"""``main.py doctor``: what it tries, what it says, and that it leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import operations.doctor
from errors import StorageError, StorageUnavailableError
from model import StorageDefinition, StorageType, StoredObject, Target
from operations import storage_check
from operations.doctor import examine
from operations.findings import Verdict
from operations.storage_check import check_storage
from schedules.cron_daemon import is_cron_running
from storages.local import LocalStorage
from storages.storage import Storage
from storages.workplace import Workplace
from storages.wrapper import StorageWrapper
from tests.support.age_keys import KeyPair, make_key_pair
from tests.support.crontab import StandInCrontab
from tests.support.holdfast import Holdfast
from tests.support.storage_contract import keys


@pytest.fixture
def holdfast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Holdfast:
    monkeypatch.setenv("PATH", StandInCrontab(tmp_path / "cron").path)
    installation = Holdfast(tmp_path / "holdfast")
    (tmp_path / "tree").mkdir()
    installation.configure(tmp_path / "tree", UPLOAD_TO=[{"STORAGE_NAME": "LOCAL", "PATH": "a/b"}])
    return installation


def findings(holdfast: Holdfast, *arguments: str) -> dict[str, tuple[str, str]]:
    ended = holdfast.run("main.py", "doctor", "--json", *arguments)
    found = json.loads(ended.stdout)["findings"]
    assert ended.returncode == (1 if any(finding["verdict"] == "failed" for finding in found) else 0)
    return {finding["subject"]: (finding["verdict"], finding["text"]) for finding in found}


def test_everything_is_tried_and_nothing_stays(holdfast: Holdfast) -> None:
    found = findings(holdfast)
    assert list(found) == ["schedule", "state folder", "catalog", "shop/files", "LOCAL:a/b"]
    assert found["LOCAL:a/b"][0] == "ok"
    assert "put, stat, ranged get, list and delete worked" in found["LOCAL:a/b"][1]
    assert [path for path in holdfast.storage.rglob("*") if path.is_file()] == []


def test_a_schedule_that_was_not_installed_is_said(holdfast: Holdfast) -> None:
    verdict, text = findings(holdfast)["schedule"]
    assert (verdict, "main.py plan" in text) == ("warning", True)
    assert holdfast.run("main.py").returncode == 0
    verdict, text = findings(holdfast)["schedule"]
    assert (verdict, text) in [
        ("ok", "the crontab has 2 lines of it, and cron runs"),
        ("failed", "No cron daemon runs on this machine, so nothing starts by itself. Start it: `service cron start`."),
    ]


def test_a_storage_that_fails_is_named_with_what_to_do(holdfast: Holdfast, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    broken = {"NAME": "broken", "TYPE": "LOCAL", "ROOT": str(tmp_path / "file")}
    unused = {"NAME": "unused", "TYPE": "LOCAL", "ROOT": str(tmp_path / "unused")}
    backup = {
        "NAME": "files",
        "INTERVALS": "@daily",
        "FILE_PATH": str(tmp_path),
        "UPLOAD_TO": {"STORAGE_NAME": "broken"},
    }
    holdfast.write(
        {"STORAGES": [broken, unused], "PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}]}
    )
    found = findings(holdfast)
    assert found["broken"][0] == "failed"
    assert found["broken"][1].startswith("put: The storage broken cannot use")
    assert found["unused"][0] == "ok"
    assert list(findings(holdfast, "unused")) == ["unused"]
    printed = holdfast.run("main.py", "doctor", "-q")
    assert [line.split()[0:2] for line in printed.stdout.splitlines() if "broken" in line] == [["failed", "broken:"]]
    assert "unused" not in printed.stdout
    unknown = holdfast.run("main.py", "doctor", "nothing")
    assert unknown.returncode == 2
    assert "There is no storage nothing" in unknown.stderr
    assert "LOCAL, broken, unused" in unknown.stderr


def test_a_source_that_is_missing_is_named(holdfast: Holdfast, tmp_path: Path) -> None:
    holdfast.configure(tmp_path / "tree", tmp_path / "absent")
    assert findings(holdfast)["shop/files"] == ("failed", f"There is no {tmp_path / 'absent'}. Correct FILE_PATH.")


def test_a_wrong_configuration_is_exit_2(holdfast: Holdfast) -> None:
    holdfast.write({"PROJECTS": [{"NAEM": "shop"}]})
    ended = holdfast.run("main.py", "doctor")
    assert ended.returncode == 2
    assert "did you mean NAME?" in ended.stderr


# --- each step of the contract ------------------------------------------------------------------------------------


class LyingStorage(StorageWrapper):
    """A local storage that breaks one promise."""

    def __init__(self, root: Path, lie: str) -> None:
        super().__init__(LocalStorage("LIAR", root))
        self._lie = lie

    def stat(self, key: str) -> StoredObject:
        stored = super().stat(key)
        return StoredObject(key, stored.size + 1, stored.modified) if self._lie == "stat" else stored

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        if self._lie == "ranged get":
            offset += 1
        return super().get(key, offset, length)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        if self._lie == "list":
            return iter(())
        return super().list(prefix)

    def delete(self, key: str) -> None:
        if self._lie == "delete":
            self._lie = "none"
        else:
            super().delete(key)


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Storage], storage_check.StorageCheck]:
    def check_it(storage: Storage) -> storage_check.StorageCheck:
        monkeypatch.setattr(storage_check, "open_storage", lambda *_: storage)
        target = Target(StorageDefinition("LIAR", StorageType.LOCAL), "a")
        return check_storage(target, Workplace(tmp_path / "state"))

    return check_it


@pytest.mark.parametrize("lie", ["stat", "ranged get", "list", "delete"])
def test_a_broken_promise_is_found(
    check: Callable[[Storage], storage_check.StorageCheck], tmp_path: Path, lie: str
) -> None:
    storage = LyingStorage(tmp_path / "root", lie)
    found = check(storage)
    assert found.step == lie
    assert isinstance(found.error, StorageError)
    assert found.summary.startswith(f"{lie}: ")
    assert keys(LocalStorage("LIAR", tmp_path / "root")) == []


def test_an_error_while_opening_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Storage:
        raise StorageUnavailableError("Nobody answers.")

    monkeypatch.setattr(storage_check, "open_storage", refuse)
    found = check_storage(Target(StorageDefinition("FAR", StorageType.S3), ""), Workplace())
    assert found.summary == "open: Nobody answers."


# --- cron ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"), [(["bash", "cron"], True), (["crond"], True), (["bash", "cronolog"], False), ([], None)]
)
def test_a_cron_daemon_is_known_by_its_name(tmp_path: Path, names: list[str], expected: bool | None) -> None:
    for number, name in enumerate(names):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(name + "\n")
    assert is_cron_running(tmp_path) is expected


# --- encryption -------------------------------------------------------------------------------------------------


def encrypted(
    holdfast: Holdfast, tmp_path: Path, pair: KeyPair, file: Path | None = None
) -> dict[str, tuple[str, str]]:
    """What is found with a backup that is encrypted to a pair of keys, and with this AGE_IDENTITY_FILE."""
    holdfast.configure(tmp_path / "tree", ENCRYPT_TO=[pair.public])
    configuration = replace(holdfast.configuration(), identity_file=file)
    return {each.subject: (each.verdict.value, each.text) for each in examine(configuration)}


def test_of_encryption_only_what_is_there_is_tried(holdfast: Holdfast, tmp_path: Path) -> None:
    found = encrypted(holdfast, tmp_path, make_key_pair("ssh-ed25519", tmp_path))
    assert found["encryption"] == ("ok", "1 backup to 1 public key")
    assert "AGE_IDENTITY_FILE" not in found
    holdfast.configure(tmp_path / "tree", ENCRYPT_PASSPHRASE="correct horse battery staple")
    texts = {each.subject: each.text for each in examine(holdfast.configuration())}
    assert texts["encryption"] == "1 backup with a passphrase, which this machine has to hold"


def test_a_private_key_on_this_machine_is_looked_at(holdfast: Holdfast, tmp_path: Path) -> None:
    pair, other = make_key_pair("age", tmp_path), make_key_pair("ssh-rsa", tmp_path)

    def found(file: Path) -> tuple[str, str]:
        return encrypted(holdfast, tmp_path, pair, file)["AGE_IDENTITY_FILE"]

    verdict, text = found(pair.file)
    assert (verdict, "Whoever takes this machine can read them all" in text) == ("warning", True)
    verdict, text = found(other.file)
    assert (verdict, "does not open copies of shop/files" in text) == ("failed", True)
    verdict, text = found(tmp_path / "unplugged")
    assert (verdict, "is not there now" in text) == ("warning", True)
    (tmp_path / "none").write_text("no key\n")
    assert found(tmp_path / "none")[0] == "failed"
    pair.file.chmod(0o640)
    verdict, text = found(pair.file)
    assert (verdict, f"chmod 600 {pair.file}" in text) == ("failed", True)


def test_what_a_drill_would_need(holdfast: Holdfast, tmp_path: Path) -> None:
    def backup(name: str, engine: str, **info: object) -> dict[str, object]:
        plan = {"DRILL": {"INTERVALS": "0 6 1 * *"}}
        target = [{"STORAGE_NAME": "LOCAL"}]
        info = {"TYPE": engine, **info}
        return {"NAME": name, "INTERVALS": "@daily", "DB_INFO": info, "VERIFY": plan, "UPLOAD_TO": target}

    backups = [
        backup("orders", "postgres", NAME="shop", HOST="127.0.0.1", PORT=1),
        backup("blog", "mariadb", NAME="blog", HOST="127.0.0.1", PORT=1),
        backup("small", "sqlite", FILE_PATH=str(tmp_path / "none.db")),
    ]
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"DB_BACKUP": backups}]}]})
    found = findings(holdfast)
    for name, server in (("orders", "PostgreSQL "), ("blog", "MariaDB "), ("small", "SQLite ")):
        verdict, text = found[f"drill of shop/{name}"]
        assert verdict == "ok", text
        assert f"can be restored into {server}" in text


def test_a_drill_that_has_no_server(holdfast: Holdfast, monkeypatch: pytest.MonkeyPatch) -> None:
    info = {"NAME": "shop", "HOST": "127.0.0.1", "PORT": 1}
    plan = {"DRILL": {"INTERVALS": "0 6 1 * *"}}
    backup = {"INTERVALS": "@daily", "DB_INFO": info, "VERIFY": plan, "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL"}]}
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"DB_BACKUP": [backup]}]}]})
    monkeypatch.setattr(operations.doctor, "installed_servers", lambda _engine, _folder: [])
    (finding,) = [each for each in examine(holdfast.configuration()) if each.subject.startswith("drill of ")]
    assert finding.verdict is Verdict.FAILED
    assert "Install them (Debian: postgresql, mariadb-server)" in finding.text
