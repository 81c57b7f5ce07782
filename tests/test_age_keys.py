"""Recipients and identities as people write them; what is none is told in a sentence that names it, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hypothesis import given
from hypothesis import strategies as st

import bech32
from archives.age_keys import new_identity, parse_identities, parse_recipient, read_identity_file
from archives.age_native import X25519Identity
from archives.age_ssh import SshEd25519Identity, SshRsaIdentity
from archives.age_stream import decrypted, encrypted
from errors import EncryptionKeyError
from model import Secret
from tests.support.age_keys import NOW, make_key_pair, openssh
from utils import redact

# The sample of the specification, section "The X25519 recipient type".
SECRET_KEY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
PUBLIC_KEY = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def test_the_sample_of_the_specification() -> None:
    (identity,) = parse_identities(SECRET_KEY.encode(), "sample")
    assert isinstance(identity, X25519Identity)
    assert identity.recipient == parse_recipient(PUBLIC_KEY)
    assert bech32.decode(SECRET_KEY) == ("age-secret-key-", b"B" * 32)


@given(st.binary(max_size=80), st.sampled_from(["age", "age-secret-key-", "a1b"]))
def test_bech32_comes_back(data: bytes, prefix: str) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == bech32.decode(text.upper()) == (prefix, data)


@given(st.binary(min_size=32, max_size=32), st.data())
def test_a_mistyped_character_is_found(secret: bytes, data: st.DataObject) -> None:
    text = bech32.encode("age", secret)
    at = data.draw(st.integers(4, len(text) - 1))
    other = data.draw(st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l").filter(lambda letter: letter != text[at]))
    with pytest.raises(EncryptionKeyError, match="checksum"):
        parse_recipient(text[:at] + other + text[at + 1 :])


def test_a_new_identity_opens_what_its_recipient_gets() -> None:
    made, other = new_identity(NOW), new_identity(NOW)
    created, public, private = made.text.reveal().splitlines()
    assert created == "# created: 2026-11-20T03:00:00+00:00"
    assert public == f"# public key: {made.recipient}"
    assert private.startswith("AGE-SECRET-KEY-1") and private not in other.text.reveal()
    identities = parse_identities(made.text.reveal().encode(), "new")
    assert b"".join(decrypted(encrypted([b"x"], [parse_recipient(made.recipient)]), identities)) == b"x"
    assert private not in redact(f"it said {private}")


def test_a_file_may_hold_several_identities_and_comments() -> None:
    first, second = new_identity(NOW), new_identity(NOW)
    text = f"\n# mine\r\n{first.text.reveal()}\n\n  {second.text.reveal().splitlines()[-1]}  \r\n"
    identities = parse_identities(text.encode(), "keys")
    assert len(identities) == 2
    for made in (first, second):
        assert b"".join(decrypted(encrypted([b"x"], [parse_recipient(made.recipient)]), identities)) == b"x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be used"),
        ("age1", "too short"),
        ("Age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj", "upper and lower"),
        (PUBLIC_KEY[:-1], "checksum"),
        (PUBLIC_KEY.replace("z", "b", 1), "no key has"),
        (bech32.encode("age1tag", b"x" * 33), "does not know"),
        (bech32.encode("age", b"x" * 31), "does not know"),
        ("ssh-ed25519 AAAA", "cannot be used"),
        ("ssh-dss AAAAB3NzaC1kc3M=", "cannot be used"),
        ("a passphrase in the wrong place", "'a passphrase in …' cannot be used.*must be a public key"),
    ],
)
def test_what_is_no_recipient(text: str, says: str) -> None:
    with pytest.raises(EncryptionKeyError, match=says):
        parse_recipient(text)


def test_a_private_key_among_the_recipients_is_told_and_not_shown() -> None:
    with pytest.raises(EncryptionKeyError, match="private key") as caught:
        parse_recipient(SECRET_KEY)
    assert SECRET_KEY not in str(caught.value)


def test_ssh_keys_that_cannot_encrypt() -> None:
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    curve = generate_ec_key(SECP256R1()).public_key().public_bytes(encoding, form).decode()
    with pytest.raises(EncryptionKeyError, match="only ssh-ed25519 and ssh-rsa"):
        parse_recipient(curve)
    short = generate_private_key(65537, 1024).public_key().public_bytes(encoding, form).decode()
    with pytest.raises(EncryptionKeyError, match="1024 bits is too short"):
        parse_recipient(short)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "keys.txt holds no private key"),
        (b"# public key: age1...\n", "holds no private key"),
        (b"\n\nAGE-SECRET-KEY-1AAAA\n", "keys.txt is wrong in line 3"),
        (SECRET_KEY.lower().encode(), "line 1: it is a key of a kind"),
        (PUBLIC_KEY.encode(), "line 1: it is a public key"),
        (b"AGE-PLUGIN-YUBIKEY-1QQQQ", "plugin"),
        (b"\xff\xfe\x00", "is no text"),
        (b"age-encryption.org/v1\n-> scrypt", "itself encrypted"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----", "itself encrypted"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "keys.txt cannot be read"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n", "keys.txt cannot be read"),
    ],
)
def test_what_is_no_identity_file(data: bytes, says: str) -> None:
    with pytest.raises(EncryptionKeyError, match=says) as caught:
        parse_identities(data, "keys.txt")
    assert "SECRET-KEY-1AAAA" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncryptionKeyError, match="missing cannot be read: No such file"):
        read_identity_file(tmp_path / "missing")
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    with pytest.raises(EncryptionKeyError, match="more than 1 MiB"):
        read_identity_file(tmp_path / "large")


def test_ssh_keys_with_and_without_a_passphrase() -> None:
    key = Ed25519PrivateKey.generate()
    protected = openssh(key, b"secret words")
    (identity,) = parse_identities(protected, "id_ed25519", Secret("secret words"))
    (same,) = parse_identities(openssh(key), "id_ed25519", Secret("not needed"))
    assert isinstance(identity, SshEd25519Identity) and isinstance(same, SshEd25519Identity)
    assert identity.recipient == same.recipient
    with pytest.raises(EncryptionKeyError, match="id_ed25519 has a passphrase, and none was given"):
        parse_identities(protected, "id_ed25519")
    with pytest.raises(EncryptionKeyError, match="its passphrase is another one"):
        parse_identities(protected, "id_ed25519", Secret("another one"))


def test_rsa_keys_in_the_older_form() -> None:
    key = generate_private_key(65537, 2048)
    for form in (serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8):
        data = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        (identity,) = parse_identities(data, "id_rsa")
        assert isinstance(identity, SshRsaIdentity)
        assert b"".join(decrypted(encrypted([b"x"], [identity.recipient]), [identity])) == b"x"


def test_a_key_on_a_curve_cannot_decrypt() -> None:
    data = generate_ec_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(EncryptionKeyError, match="only those of the kinds ed25519 and rsa"):
        parse_identities(data, "id_ecdsa")


def test_both_files_of_a_pair_belong_together(tmp_path: Path) -> None:
    pair = make_key_pair("ssh-ed25519", tmp_path)
    (identity,) = pair.identities
    assert isinstance(identity, SshEd25519Identity)
    assert identity.recipient == pair.recipient
