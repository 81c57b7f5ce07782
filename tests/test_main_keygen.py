"""``main.py keygen``: a key that nobody else can read, that overwrites nothing, and what is said about it."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from archives.age_keys import parse_recipient, read_identity_file
from archives.signature import signing_key, trusted_keys
from tests.support.holdfast import Holdfast
from tests.support.skips import requires_program

PRIVATE = "AGE-SECRET-KEY-1"


@pytest.fixture
def holdfast(tmp_path: Path) -> Holdfast:
    installation = Holdfast(tmp_path / "holdfast")
    (tmp_path / "tree").mkdir()
    installation.configure(tmp_path / "tree")
    return installation


def keygen(holdfast: Holdfast, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    ended = holdfast.run("main.py", "keygen", *arguments, cwd=holdfast.folder)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended


def keygen_json(holdfast: Holdfast, *arguments: str | Path) -> dict[str, Any]:
    return dict(json.loads(keygen(holdfast, "--json", *arguments).stdout))


def test_a_key_that_opens_what_its_public_key_encrypts(holdfast: Holdfast) -> None:
    said = keygen(holdfast)
    path = holdfast.folder / "holdfast-identity.txt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (recipient,) = [line.partition("[")[2][:-1] for line in said.stdout.splitlines() if "ENCRYPT_TO" in line]
    file_key = bytes(range(16))
    (identity,) = read_identity_file(path)
    assert identity.unwrap([parse_recipient(recipient).wrap(file_key)]) == file_key
    assert f'TRUSTED_KEYS: ["{signing_key(holdfast.state).public_key}"]' in said.stdout
    assert (PRIVATE in said.stdout.replace(f"{PRIVATE} is enough", ""), said.stderr) == (False, "")


@requires_program("age-keygen")
def test_the_lines_that_it_prints_are_those_of_a_configuration(holdfast: Holdfast, tmp_path: Path) -> None:
    made = keygen_json(holdfast, "new.txt")
    public = subprocess.run(["age-keygen", "-y", made["file"]], capture_output=True, text=True).stdout.strip()
    assert made == {
        "file": str(holdfast.folder / "new.txt"),
        "recipient": public,
        "signing_key": signing_key(holdfast.state).public_key,
        "remarks": [],
    }
    holdfast.configure(tmp_path / "tree", ENCRYPT_TO=[made["recipient"]])
    document = json.loads(holdfast.config.read_text())
    holdfast.write({**document, "TRUSTED_KEYS": [made["signing_key"]]})
    configuration = holdfast.configuration()
    assert configuration.trusted_keys == (made["signing_key"],)
    encryption = holdfast.the_backup().encryption
    assert encryption is not None
    assert encryption.recipients == (public,)


def test_the_private_key_is_printed_only_where_it_was_asked_for(holdfast: Holdfast) -> None:
    shown = keygen(holdfast, "--show", "a.txt").stdout
    (line,) = [line.strip() for line in shown.splitlines() if line.strip().startswith(PRIVATE)]
    assert line in (holdfast.folder / "a.txt").read_text()
    assert keygen_json(holdfast, "--show", "b.txt")["private_key"] in (holdfast.folder / "b.txt").read_text()
    assert PRIVATE not in keygen(holdfast, "--json", "c.txt").stdout
    assert keygen(holdfast, "--quiet", "d.txt").stdout == ""


def test_no_file_is_overwritten_and_none_is_half_made(holdfast: Holdfast) -> None:
    keygen(holdfast)
    path = holdfast.folder / "holdfast-identity.txt"
    before = path.read_text()
    said = keygen(holdfast, code=2)
    assert "is there already" in said.stderr
    (holdfast.folder / "link").symlink_to("nowhere")
    keygen(holdfast, "link", code=2)
    assert "cannot be made: No such file or directory." in keygen(holdfast, "no/such/folder", code=1).stderr
    assert (path.read_text(), (holdfast.folder / "nowhere").exists()) == (before, False)


@pytest.mark.parametrize("is_valid", [True, False])
def test_no_key_gets_between_the_copies(holdfast: Holdfast, tmp_path: Path, is_valid: bool) -> None:
    if not is_valid:
        holdfast.config.write_text("PROJECTS: [what]\n")
    folder = holdfast.storage / "shop"
    folder.mkdir(parents=True)
    (tmp_path / "way").symlink_to(folder)
    for path in (folder / "key", tmp_path / "way" / "key"):
        assert "where copies are kept" in keygen(holdfast, path, code=2).stderr
    assert list(folder.iterdir()) == []


def test_without_a_valid_configuration_the_key_that_signs_is_left_out(holdfast: Holdfast) -> None:
    holdfast.config.write_text("PROJECTS: [what]\n")
    said = keygen(holdfast, "a.txt")
    assert "ENCRYPT_TO: [age1" in said.stdout
    assert "is not shown, as there is no valid configuration" in said.stdout
    assert keygen_json(holdfast, "b.txt")["signing_key"] is None
    assert not holdfast.state.exists()


def test_a_key_in_a_folder_that_is_backed_up_is_warned_of(holdfast: Holdfast, tmp_path: Path) -> None:
    assert "which shop/files backs up" in keygen(holdfast, tmp_path / "tree" / "key").stderr


def test_the_signing_key_is_replaced_and_the_earlier_one_stays_trusted(holdfast: Holdfast) -> None:
    earlier = signing_key(holdfast.state).public_key
    said = keygen(holdfast, "--replace-signing-key")
    new = signing_key(holdfast.state).public_key
    assert new != earlier
    assert f'TRUSTED_KEYS: ["{new}"]' in said.stdout
    assert str(holdfast.state / "trusted-keys") in said.stdout
    assert trusted_keys(holdfast.state) == {earlier, new}
    assert keygen_json(holdfast, "--replace-signing-key")["signing_key"] == signing_key(holdfast.state).public_key
    assert "neither FILE nor --show" in keygen(holdfast, "--replace-signing-key", "FILE", code=2).stderr
    assert not (holdfast.folder / "holdfast-identity.txt").exists()
