"""Keys that can encrypt nothing, or should not stand there: each with the place and the words of its problem."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

import bech32
from config import load_configuration
from errors import ConfigurationError
from tests.support.age_keys import openssh
from tests.support.configurations import db_backup, errors_of, file_backup, load, write
from utils import redact

AGE = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
OTHER_AGE = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"
SECRET_AGE = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"

WANTED = (
    "ENCRYPT_TO must be a public key of age (`age1…`) or of SSH (`ssh-ed25519 AAAA…` or `ssh-rsa AAAA…`), or `none` "
    "alone."
)
PRIVATE = (
    "ENCRYPT_TO must be a public key, and this is a private one. Take it out of this file and away from this machine; "
    "its public key stands in the line `# public key:` of a file of age-keygen, and in the `.pub` file beside a key of "
    "SSH."
)
PART_IS_WRONG = (
    "ENCRYPT_TO must be a whole public key of SSH, as its `.pub` file has it: of this one a part is wrong or missing."
)
MADE_UP = "ENCRYPT_TO must be a key that somebody has: this one is made up, and anybody could open what it locks."
NO_SIGNER = "TRUSTED_KEYS must be `ed25519:` and 44 characters, as manifests have it"


def ssh_key(kind: str, *parts: bytes) -> str:
    """A line of a ``.pub`` file: each part behind its length (RFC 4251, 5)."""
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in (kind.encode(), *parts))
    return f"{kind} {base64.b64encode(blob).decode()}"


def rsa_key(bits: int, exponent: bytes = b"\x01\x00\x01", last: int = 1) -> str:
    return ssh_key("ssh-rsa", exponent, b"\0\x80" + bytes(bits // 8 - 2) + bytes([last]))


def to(recipient: str) -> str:
    return file_backup(ENCRYPT_TO=recipient)


def trusting(key: str) -> str:
    return f"TRUSTED_KEYS: {key}\n" + file_backup()


BAD_RECIPIENTS: list[tuple[str, str, str]] = [
    ("a word", "everybody", WANTED),
    ("an empty text", '""', "ENCRYPT_TO must not be empty."),
    ("a file of keys", "/etc/age/recipients.txt", WANTED),
    ("a passphrase", "correct horse battery staple", WANTED),
    ("a public key in PEM", '"-----BEGIN PUBLIC KEY----- MCow"', WANTED),
    ("a map", "{KEY: a}", "ENCRYPT_TO must be a value or a list of values, not a map."),
    ("a private key of age", SECRET_AGE, PRIVATE),
    ("a private key of age in lower case", SECRET_AGE.lower(), PRIVATE),
    ("a private key of a plugin", "AGE-PLUGIN-YUBIKEY-1QQPQQQQZQ", PRIVATE),
    (
        "age1 and nothing",
        "age1",
        "ENCRYPT_TO must be a whole public key of age: it is too short.",
    ),
    (
        "a key of age without its last character",
        AGE[:-1],
        "ENCRYPT_TO must be a whole public key of age: a character of it is wrong or missing (its checksum differs).",
    ),
    (
        "a key of age with a slip",
        AGE.replace("zvky", "zvkx"),
        "ENCRYPT_TO must be a whole public key of age: a character of it is wrong or missing (its checksum differs).",
    ),
    (
        "a key of age with a character that no key has",
        AGE.replace("zvky", "zvkb"),
        "ENCRYPT_TO must be a whole public key of age: it has a character that no key has.",
    ),
    (
        "a key of age in two cases",
        AGE.replace("zvky", "ZVKY"),
        "ENCRYPT_TO must be a whole public key of age: it mixes upper and lower case.",
    ),
    (
        "a key of another length",
        bech32.encode("age", b"x" * 31),
        "ENCRYPT_TO must be a whole public key of age: this one is of another length.",
    ),
    (
        "a key for a plugin",
        bech32.encode("age1yubikey", b"x" * 33),
        "ENCRYPT_TO must be an `age1…` of age-keygen: this is for a plugin of age, and plugins are not used.",
    ),
    (
        "a key against quantum computers",
        bech32.encode("age1pq", b"x" * 1216),
        "ENCRYPT_TO must be an `age1…` of age-keygen without `-pq`: keys against quantum computers are not known.",
    ),
    ("a key of age that is made up", bech32.encode("age", bytes(32)), MADE_UP),
    ("a key of SSH alone", "ssh-ed25519", PART_IS_WRONG),
    ("a key of SSH that is cut off", ED25519[:-8], PART_IS_WRONG),
    ("a key of SSH with a slip", ED25519.replace("INdam", "INdan"), PART_IS_WRONG),
    ("a key of SSH under another name", ED25519.replace("ssh-ed25519", "ssh-rsa"), PART_IS_WRONG),
    ("a key of SSH with more behind it", ssh_key("ssh-ed25519", b"x" * 32, b"x"), PART_IS_WRONG),
    ("a key of SSH without padding", rsa_key(2048).rstrip("=") + "A", PART_IS_WRONG),
    ("a key of SSH that is made up", ssh_key("ssh-ed25519", bytes(32)), MADE_UP),
    ("the neutral point", ssh_key("ssh-ed25519", b"\x01" + bytes(31)), MADE_UP),
    (
        "a short RSA key",
        rsa_key(1024),
        "ENCRYPT_TO has an RSA key of 1,024 bits, which is too short to be safe. 2,048 are the least.",
    ),
    ("an RSA key of impossible length", rsa_key(16400), PART_IS_WRONG),
    ("an RSA key with an even exponent", rsa_key(2048, b"\x01\x00\x00"), PART_IS_WRONG),
    ("an RSA key with an enormous exponent", rsa_key(2048, b"\x01\x00\x00\x01"), PART_IS_WRONG),
    ("an RSA key with the exponent 1", rsa_key(2048, b"\x01"), PART_IS_WRONG),
    ("an even RSA key", rsa_key(2048, last=2), PART_IS_WRONG),
    ("an RSA key without modulus", ssh_key("ssh-rsa", b"\x01\x00\x01"), PART_IS_WRONG),
    ("an RSA key with a negative modulus", ssh_key("ssh-rsa", b"\x03", b"\x81" * 256), PART_IS_WRONG),
    *[
        (
            f"a key of SSH of the kind {kind}",
            f"{kind} AAAAE2VjZHNh someone@host",
            "ENCRYPT_TO must be a key that can encrypt, as SSH keys of this kind cannot: of SSH's keys only "
            "ssh-ed25519 and ssh-rsa can.",
        )
        for kind in ("ecdsa-sha2-nistp256", "ssh-dss", "sk-ssh-ed25519@openssh.com")
    ],
]

BAD: list[tuple[str, str, list[str]]] = [
    *[(name, to(written), [f"8:25: {message}"]) for name, written, message in BAD_RECIPIENTS],
    (
        "nobody at all",
        to("[]"),
        ["8:25: ENCRYPT_TO is an empty list. Write who can open the copies, or `none` where everybody can."],
    ),
    (
        "none and somebody",
        to(f"[none, {AGE}]"),
        ["8:26: ENCRYPT_TO has `none`, which is nobody, and others beside it. Remove `none` or the others."],
    ),
    ("a key twice", to(f"[{AGE}, {AGE.upper()}]"), ["8:90: ENCRYPT_TO holds this key twice. Remove one."]),
    (
        "a key of SSH twice, with other comments",
        to(f"[{ED25519} me@here, {ED25519}]"),
        ["8:116: ENCRYPT_TO holds this key twice. Remove one."],
    ),
    ("the second of two", to(f"[{AGE}, {AGE[:-1]}]"), [f"8:90: {BAD_RECIPIENTS[10][2]}"]),
    (
        "a passphrase beside recipients",
        file_backup(ENCRYPT_TO=AGE, ENCRYPT_PASSPHRASE="canary"),
        [
            "9:33: ENCRYPT_PASSPHRASE stands beside ENCRYPT_TO, and age allows no recipient beside a passphrase. Keep "
            "one of the two."
        ],
    ),
    (
        "recipients below a passphrase",
        file_backup(ENCRYPT_PASSPHRASE="canary", ENCRYPT_TO="none"),
        [
            "9:25: ENCRYPT_TO stands beside ENCRYPT_PASSPHRASE, and age allows no recipient beside a passphrase. Keep "
            "one of the two."
        ],
    ),
    (
        "both in DEFAULTS, said once",
        f"DEFAULTS: {{ENCRYPT_TO: {AGE}, ENCRYPT_PASSPHRASE: canary}}\n"
        + file_backup()
        + db_backup().split("BACKUPS:\n")[1],
        [
            "1:108: ENCRYPT_PASSPHRASE stands beside ENCRYPT_TO, and age allows no recipient beside a passphrase. Keep "
            "one of the two."
        ],
    ),
    ("an empty passphrase", file_backup(ENCRYPT_PASSPHRASE='""'), ["8:33: ENCRYPT_PASSPHRASE must not be empty."]),
    (
        "a passphrase of two lines",
        file_backup(ENCRYPT_PASSPHRASE='"a\\nb"'),
        ["8:33: ENCRYPT_PASSPHRASE must be one line without control characters, as the program age asks for one."],
    ),
    (
        "a passphrase in the wrong key",
        file_backup(ENCRYPT_PASSWORD="canary"),
        ["8:13: FILE_BACKUP does not know ENCRYPT_PASSWORD: did you mean ENCRYPT_PASSPHRASE?"],
    ),
    ("a word that is trusted", trusting("me"), [f"1:15: {NO_SIGNER}."]),
    (
        "a trusted key without its kind",
        trusting("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
        [f"1:15: {NO_SIGNER}."],
    ),
    (
        "a trusted key with a slip",
        trusting("ed25519:21qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
        [f"1:15: {NO_SIGNER}: of this one a character is wrong."],
    ),
    (
        "a trusted key with bits that mean nothing",
        trusting("ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp="),
        [f"1:15: {NO_SIGNER}: of this one a character is wrong."],
    ),
    (
        "a trusted key that anybody can sign with",
        trusting(f"ed25519:{base64.b64encode(bytes(32)).decode()}"),
        [f"1:15: {NO_SIGNER}: of this one a character is wrong."],
    ),
    (
        "a trusted key twice",
        trusting(f"[{', '.join(['ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo='] * 2)}]"),
        ["1:70: TRUSTED_KEYS holds this key twice. Remove one."],
    ),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_configuration_is_named_with_its_place(text: str, problems: list[str], tmp_path: Path) -> None:
    assert errors_of(tmp_path, text) == problems


@pytest.mark.parametrize("kind", ["age", "ed25519", "rsa", "a line of it", "trusted"])
def test_a_private_key_is_never_shown_again(kind: str, tmp_path: Path) -> None:
    """Neither by this problem, nor later by what quotes a program or the file."""
    if kind == "age":
        private = bech32.encode("age-secret-key-", bytes(range(32))).upper()
    elif kind == "trusted":
        private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"
    else:
        key = Ed25519PrivateKey.generate() if kind == "ed25519" else generate_private_key(65537, 2048)
        private = openssh(key).decode().removesuffix("\n")
    lines = private.splitlines()
    written = lines[1] if kind == "a line of it" else "|\n" + "\n".join(f"{'':16}{line}" for line in lines)
    text = f"TRUSTED_KEYS: {written}\n" + file_backup() if kind == "trusted" else to(written)
    (problem,) = errors_of(tmp_path, text)
    assert "this is a private one. Take it out of this file" in problem
    secret = (
        [lines[1]] if kind == "a line of it" else [line for line in lines if len(line) >= 20 and "-" * 5 not in line]
    )
    assert not any(line in problem or line in redact(f"error in: {line}") for line in secret or [private])


def test_a_passphrase_is_in_no_message_and_no_representation(tmp_path: Path) -> None:
    (backup,) = load(tmp_path, file_backup(ENCRYPT_PASSPHRASE="canary-7f3a9c")).backups
    assert backup.encryption is not None and backup.encryption.passphrase is not None
    assert "canary" not in repr(backup)
    for message in errors_of(tmp_path, file_backup(ENCRYPT_TO=AGE, ENCRYPT_PASSPHRASE="canary-7f3a9c")):
        assert "canary" not in message


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "must not be empty"),
        ("two\nlines\n", "must be one line without control characters, as the program age asks for one"),
    ],
)
def test_a_file_of_a_passphrase_is_checked_as_the_passphrase_is(content: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(content)
    (tmp_path / "secret").chmod(0o600)
    path = write(tmp_path, file_backup(ENCRYPT_PASSPHRASE_FILE='"${CONFIG_DIR}/secret"'))
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path, {})
    assert str(caught.value) == f"{path}:8:38: ENCRYPT_PASSPHRASE_FILE names a file whose content {problem}."
