"""Encrypted files go both ways between us and two other programs: age (in Go) and pyrage (in Rust)."""

from __future__ import annotations

import os
import pty
import random
import subprocess
from contextlib import suppress
from pathlib import Path

import pyrage  # type: ignore[import-untyped]
import pytest

from archives.age_native import PassphraseIdentity, PassphraseRecipient
from archives.age_payload import CHUNK_SIZE
from archives.age_stream import decrypted, encrypted
from model import Secret
from tests.support.age_keys import KINDS, KeyPair, age, make_key_pair
from tests.support.skips import requires_program

SIZES = (0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE, 20 * CHUNK_SIZE + 7)
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return make_key_pair(request.param, tmp_path_factory.mktemp("keys"))


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@requires_program("age")
@pytest.mark.parametrize("size", SIZES)
def test_age_opens_what_we_encrypt(pair: KeyPair, size: int) -> None:
    made = b"".join(encrypted([content(size)], [pair.recipient]))
    assert age("--decrypt", "--identity", str(pair.file), data=made) == content(size)


@requires_program("age")
@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_age_encrypts(pair: KeyPair, size: int) -> None:
    made = age("--encrypt", "--recipient", pair.public, data=content(size))
    assert b"".join(decrypted([made], pair.identities)) == content(size)


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_and_we_open_what_the_other_encrypts(pair: KeyPair, size: int) -> None:
    if pair.public.startswith("age1"):
        recipient = pyrage.x25519.Recipient.from_str(pair.public)
        identity = pyrage.x25519.Identity.from_str(pair.file.read_text().splitlines()[-1])
    else:
        recipient = pyrage.ssh.Recipient.from_str(pair.public)
        identity = pyrage.ssh.Identity.from_buffer(pair.file.read_bytes())
    ours = b"".join(encrypted([content(size)], [pair.recipient]))
    assert pyrage.decrypt(ours, [identity]) == content(size)
    theirs = pyrage.encrypt(content(size), [recipient])
    assert b"".join(decrypted([theirs], pair.identities)) == content(size)


@requires_program("age")
def test_each_of_several_recipients_opens_the_same_file(tmp_path: Path) -> None:
    pairs = [make_key_pair(kind, tmp_path) for kind in KINDS]
    made = b"".join(encrypted([b"for all"], [pair.recipient for pair in pairs]))
    for pair in pairs:
        assert age("--decrypt", "--identity", str(pair.file), data=made) == b"for all"
        assert b"".join(decrypted([made], pair.identities)) == b"for all"


@requires_program("age-keygen")
def test_identities_are_those_of_age_keygen(tmp_path: Path) -> None:
    ours = make_key_pair("age", tmp_path)
    answer = subprocess.run(["age-keygen", "-y", ours.file], capture_output=True, text=True)
    assert answer.stdout.strip() == ours.public
    theirs = tmp_path / "theirs"
    subprocess.run(["age-keygen", "-o", theirs], capture_output=True, check=True)
    public = theirs.read_text().partition("# public key: ")[2].split()[0]
    assert b"".join(
        decrypted(encrypted([b"x"], [KeyPair(public, theirs).recipient]), KeyPair(public, theirs).identities)
    )


def test_pyrage_opens_what_a_passphrase_encrypts() -> None:
    ours = b"".join(encrypted([b"with a passphrase"], [PassphraseRecipient(Secret(PASSPHRASE), 12)]))
    assert pyrage.passphrase.decrypt(ours, PASSPHRASE) == b"with a passphrase"


@requires_program("age")
def test_age_and_we_share_passphrases(tmp_path: Path) -> None:
    made = tmp_path / "ours.age"
    made.write_bytes(b"".join(encrypted([b"with a passphrase"], [PassphraseRecipient(Secret(PASSPHRASE), 12)])))
    with_passphrase("--decrypt", "--output", str(tmp_path / "plain"), str(made))
    assert (tmp_path / "plain").read_bytes() == b"with a passphrase"
    with_passphrase("--passphrase", "--output", str(tmp_path / "theirs.age"), str(tmp_path / "plain"))
    theirs = (tmp_path / "theirs.age").read_bytes()
    assert b"".join(decrypted([theirs], [PassphraseIdentity(Secret(PASSPHRASE))])) == b"with a passphrase"


def with_passphrase(*arguments: str) -> None:
    """The program age, which asks for passphrases on a terminal only."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvp("age", ["age", *arguments])
    said = b""
    with suppress(OSError):  # with which Linux ends a terminal that nobody holds any more
        while data := os.read(terminal, 1024):
            said += data
            if data.rstrip().endswith(b":"):
                os.write(terminal, PASSPHRASE.encode() + b"\n")
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0, said
    os.close(terminal)
