"""Keys as the configuration reads them: what it takes, the encryption can use, and what nobody can use it refuses."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bech32
from archives.age_keys import parse_recipient
from archives.signature import parse_public_key
from config.public_keys import check_recipient, check_signer
from errors import DamagedArchiveError, EncryptionKeyError
from model import Encryption, Secret
from tests.support.age_keys import KINDS, make_key_pair
from tests.support.configurations import db_backup, file_backup, load

FILE_KEY = bytes(16)
_FIELD = (1 << 255) - 19

# Samples of keys whose owner nobody is: the specification's, and RFC 8032, 7.1, test 1.
AGE = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
SIGNER = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def is_usable(recipient: str) -> bool:
    """Whether the encryption itself takes it."""
    try:
        parse_recipient(recipient).wrap(FILE_KEY)
    except (EncryptionKeyError, DamagedArchiveError, ValueError, UnsupportedAlgorithm):
        return False
    return True


def is_taken(recipient: str) -> bool:
    try:
        check_recipient(recipient)
    except ValueError:
        return False
    return True


def ed25519(key: bytes) -> str:
    parts = (b"ssh-ed25519", key)
    return "ssh-ed25519 " + base64.b64encode(b"".join(len(p).to_bytes(4, "big") + p for p in parts)).decode()


@pytest.mark.parametrize("kind", KINDS)
def test_keys_that_people_have_are_taken(kind: str, tmp_path: Path) -> None:
    for _ in range(3 if kind == "ssh-rsa" else 20):
        public = make_key_pair(kind, tmp_path).public
        assert check_recipient(public) == public
        (tmp_path / f"identity-{kind}").unlink()


@pytest.mark.parametrize("kind", [["ed25519"], ["rsa", "-b", "2048"]])
def test_keys_of_ssh_keygen_are_taken_as_their_file_has_them(kind: list[str], tmp_path: Path) -> None:
    file = tmp_path / "id"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", "Jürgen's key", "-f", file], check=True, env=os.environ
    )
    public = file.with_suffix(".pub").read_text()
    assert check_recipient(public) == public.strip()
    assert is_usable(check_recipient(public))


@given(st.binary(min_size=32, max_size=32))
@example(bytes(32))
@example((1).to_bytes(32, "little"))
@example((_FIELD - 1).to_bytes(32, "little"))
@example(_FIELD.to_bytes(32, "little"))
@example((_FIELD + 1).to_bytes(32, "little"))
@example(((1 << 255) + _FIELD - 1).to_bytes(32, "little"))
@example((325606250916557431795983626356110631294008115727848805560023387167927233504).to_bytes(32, "little"))
@example((39382357235489614581723060781553021112529911719440698176882885853963445705823).to_bytes(32, "little"))
@settings(max_examples=200)
def test_any_key_of_age_is_taken_where_it_can_encrypt(key: bytes) -> None:
    text = bech32.encode("age", key)
    assert is_taken(text) == is_usable(text)


@given(st.binary(min_size=32, max_size=32))
@example(bytes(32))
@example((1).to_bytes(32, "little"))
@example((_FIELD - 1).to_bytes(32, "little"))
# The points of order 8 (https://eprint.iacr.org/2020/823, table 3).
@example(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
@example(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
@settings(max_examples=200)
def test_what_is_taken_of_ssh_can_encrypt(key: bytes) -> None:
    if is_taken(ed25519(key)):
        assert is_usable(ed25519(key))


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=100)
def test_every_key_that_somebody_has_is_taken(seed: bytes) -> None:
    raw = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    assert check_recipient(ed25519(raw)) == ed25519(raw)
    signer = f"ed25519:{base64.b64encode(raw).decode()}"
    assert check_signer(signer) == parse_public_key(signer) == signer


@given(st.integers(0, len(AGE) - 1), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l1bioQ -"))
@settings(max_examples=300)
def test_any_slip_in_a_key_of_age_is_found(place: int, character: str) -> None:
    slip = AGE[:place] + character + AGE[place + 1 :]
    assert is_taken(slip) == (slip.strip() == AGE)


@given(st.text() | st.binary().map(lambda data: f"ssh-rsa {base64.b64encode(data).decode()}"))
@settings(max_examples=300)
def test_any_text_is_a_key_that_can_encrypt_or_an_error_that_does_not_show_it(text: str) -> None:
    try:
        assert check_recipient(text) == "none" or is_usable(check_recipient(text))
    except ValueError as error:
        assert len(text.strip()) < 12 or text not in str(error)


# --- in a configuration -------------------------------------------------------------------------------------------


def encryption(folder: Path, text: str, **variables: str) -> list[Encryption | None]:
    return [backup.encryption for backup in load(folder, text, variables).backups]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (AGE, (AGE,)),
        (AGE.upper(), (AGE,)),
        (f"[{AGE}, {ED25519} me@here]", (AGE, f"{ED25519} me@here")),
        (f"'  {ED25519}   me   here '", (f"{ED25519} me here",)),
        ('"${KEY}"', (AGE,)),
    ],
)
def test_recipients(written: str, meant: tuple[str, ...], tmp_path: Path) -> None:
    assert encryption(tmp_path, file_backup(ENCRYPT_TO=written), KEY=AGE) == [Encryption(meant)]


@pytest.mark.parametrize("written", ["none", "NONE", "[none]", ""])
def test_nobody_is_no_encryption(written: str, tmp_path: Path) -> None:
    assert encryption(tmp_path, file_backup(ENCRYPT_TO=written)) == [None]


def test_a_passphrase_is_written_out_or_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    (tmp_path / "secret").chmod(0o600)
    for key, written, meant in (
        ("ENCRYPT_PASSPHRASE", "0123", "0123"),
        ("ENCRYPT_PASSPHRASE", '"${PASS}"', "from a variable"),
        ("ENCRYPT_PASSPHRASE_FILE", '"${CONFIG_DIR}/secret"', "from a file"),
    ):
        found = encryption(tmp_path, file_backup(**{key: written}), PASS="from a variable")
        assert found == [Encryption(passphrase=Secret(meant))]


@pytest.mark.parametrize(
    ("defaults", "own", "meant"),
    [
        (f"ENCRYPT_TO: {AGE}", {}, Encryption((AGE,))),
        ("ENCRYPT_PASSPHRASE: canary", {}, Encryption(passphrase=Secret("canary"))),
        (f"ENCRYPT_TO: {AGE}", {"ENCRYPT_TO": "none"}, None),
        ("ENCRYPT_PASSPHRASE: canary", {"ENCRYPT_TO": "none"}, None),
        (f"ENCRYPT_TO: {AGE}", {"ENCRYPT_TO": ED25519}, Encryption((ED25519,))),
        ("ENCRYPT_PASSPHRASE: canary", {"ENCRYPT_TO": AGE}, Encryption((AGE,))),
        (f"ENCRYPT_TO: {AGE}", {"ENCRYPT_PASSPHRASE": "canary"}, Encryption(passphrase=Secret("canary"))),
        (f"ENCRYPT_TO: {AGE}", {"ENCRYPT_TO": ""}, Encryption((AGE,))),
        ("ENCRYPT_TO: none", {"ENCRYPT_TO": AGE}, Encryption((AGE,))),
    ],
)
def test_a_key_in_a_backup_takes_the_place_of_both_of_defaults(
    defaults: str, own: dict[str, str], meant: Encryption | None, tmp_path: Path
) -> None:
    text = f"DEFAULTS: {{{defaults}}}\n" + file_backup(**own) + db_backup(**own).split("BACKUPS:\n")[1]
    assert encryption(tmp_path, text) == [meant, meant]


def test_trusted_keys(tmp_path: Path) -> None:
    assert load(tmp_path, file_backup()).trusted_keys == ()
    other = "ed25519:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="
    assert load(tmp_path, f"TRUSTED_KEYS: [{SIGNER}, {other}]\n" + file_backup()).trusted_keys == (SIGNER, other)
    assert load(tmp_path, f"TRUSTED_KEYS: {SIGNER}\n" + file_backup()).trusted_keys == (SIGNER,)


def test_the_identity_file_may_be_absent_and_is_absolute(tmp_path: Path) -> None:
    assert load(tmp_path, file_backup()).identity_file is None
    configuration = load(tmp_path, file_backup(), env="AGE_IDENTITY_FILE=~/key.txt\n")
    assert configuration.identity_file == Path("/home/somebody/key.txt")
    assert configuration.warnings == ()
