"""Servers are who they were: pinned keys, known_hosts as OpenSSH writes it, and the way out that each refusal names."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import SshError, SshUnavailableError
from ssh.connection import SshServer, connect
from ssh.host_keys import HostKey, known_keys
from ssh.sign_in import Credentials
from tests.support.sshd import USER, Sshd, fingerprint, make_key, public_key, requires_sshd, running_sshd

pytestmark = requires_sshd


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with running_sshd(key_types=("ed25519", "ecdsa", "rsa"), lines=["LogLevel VERBOSE"]) as server:
        yield server


@pytest.fixture
def known_hosts(tmp_path: Path) -> Path:
    return tmp_path / "folder with blank" / "known_hosts"


def _server(sshd: Sshd, known_hosts: Path | None = None, host_key: str | None = None) -> SshServer:
    credentials = Credentials(USER, sshd.user_key)
    return SshServer("127.0.0.1", credentials, sshd.port, host_key, known_hosts)


def _is_accepted(server: SshServer) -> bool:
    connection = connect(server)
    try:
        return connection.is_open
    finally:
        connection.close()


def _run(command: str) -> None:
    """As a person would who copies it from a message."""
    subprocess.run(["sh", "-ec", command], check=True, capture_output=True)


def test_an_unknown_server_is_refused_and_the_command_that_is_named_accepts_it(sshd: Sshd, known_hosts: Path) -> None:
    log = sshd.folder / "log"
    before = log.stat().st_size
    with pytest.raises(SshError, match=r"not known here\. Nothing was sent to it") as refused:
        connect(_server(sshd, known_hosts))
    assert not isinstance(refused.value, SshUnavailableError)
    assert f"ssh-ed25519 {sshd.fingerprint()}" in str(refused.value)
    assert f"HOST_KEY: {sshd.fingerprint()}." in str(refused.value)
    assert "user" not in log.read_bytes()[before:].decode().replace("[preauth]", "")
    known_hosts.parent.mkdir()
    command = re.search(r"run (ssh-keyscan .*?), or", str(refused.value))
    assert command is not None
    _run(command[1])
    assert _is_accepted(_server(sshd, known_hosts))


def test_a_changed_key_is_refused_with_both_fingerprints_and_the_commands_that_replace_it(
    sshd: Sshd, tmp_path: Path
) -> None:
    known_hosts = tmp_path / "known_hosts"
    old = make_key(tmp_path / "old")
    known_hosts.write_text(f"# comment\n[127.0.0.1]:{sshd.port} {public_key(old)}\n")
    with pytest.raises(SshError, match="shows another key than the one that is known") as refused:
        connect(_server(sshd, known_hosts))
    assert sshd.fingerprint() in str(refused.value)
    assert f"{fingerprint(old)} ({known_hosts} line 2)" in str(refused.value)
    commands = re.search(r"run (ssh-keygen .*?), then (ssh-keyscan .*)\.", str(refused.value))
    assert commands is not None
    _run(commands[1])
    _run(commands[2])
    assert _is_accepted(_server(sshd, known_hosts))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_server_with_several_keys_shows_the_one_that_is_known(sshd: Sshd, tmp_path: Path, number: int) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {public_key(sshd.host_keys[number])} a comment\n")
    assert _is_accepted(_server(sshd, known_hosts))
    assert _is_accepted(_server(sshd, host_key=sshd.fingerprint(number)))
    assert _is_accepted(_server(sshd, host_key=public_key(sshd.host_keys[number])))


def test_a_pinned_key_is_the_only_one_that_is_accepted(sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    for pin in (fingerprint(other), public_key(other)):
        with pytest.raises(SshError, match="shows another key") as refused:
            connect(_server(sshd, sshd.known_hosts, pin))
        assert fingerprint(other) in str(refused.value)
        assert f"set HOST_KEY: {sshd.fingerprint()}" in str(refused.value) or pin == fingerprint(other)
    assert sshd.fingerprint(2) in str(_refusal(sshd, fingerprint(other)))  # all that it has were looked at


def _refusal(sshd: Sshd, pin: str) -> SshError:
    with pytest.raises(SshError) as refused:
        connect(_server(sshd, host_key=pin))
    return refused.value


@pytest.mark.parametrize(
    "pin", ["", "MD5:12:34", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 not/base64!", "x y z"]
)
def test_a_pin_that_is_none_is_named(sshd: Sshd, pin: str) -> None:
    with pytest.raises(SshError, match="HOST_KEY is neither"):
        connect(_server(sshd, host_key=pin))


def test_a_hashed_file_is_read(sshd: Sshd, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(sshd.known_hosts.read_text())
    _run(f"ssh-keygen -H -f {known_hosts}")
    assert "127.0.0.1" not in known_hosts.read_text()
    assert _is_accepted(_server(sshd, known_hosts))


def test_a_revoked_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    line = f"[127.0.0.1]:{sshd.port} {public_key(sshd.host_keys[0])}\n"
    known_hosts.write_text(f"{line}@revoked {line}")
    with pytest.raises(SshError, match="line 2 marks as revoked"):
        connect(_server(sshd, known_hosts))


def test_a_file_that_cannot_be_read_is_named(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(SshError, match=f"{tmp_path} cannot be read: Is a directory.*KNOWN_HOSTS_FILE"):
        connect(_server(sshd, tmp_path))


NAMES = [
    "backup.example.com",
    "BACKUP.example.com",
    "*.example.com",
    "b?ckup.*",
    "!backup.example.com,*",
    "other,backup.example.com",
    "*,!other",
    "[backup.example.com]:22",
    "[backup.example.com]:2222",
    "*:2222",
    "192.0.2.1",
    "|1|not/base64|x",
    "|1|",
]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("port", [22, 2222])
def test_names_are_matched_as_openssh_matches_them(tmp_path: Path, names: str, port: int) -> None:
    key = make_key(tmp_path / "key")
    file = tmp_path / "known_hosts"
    file.write_text(f"garbage\n\n{names} {public_key(key)}\n{names} ssh-ed25519 AAAA\n@cert-authority {names} x y\n")
    name = "backup.example.com" if port == 22 else f"[backup.example.com]:{port}"
    openssh = subprocess.run(["ssh-keygen", "-F", name, "-f", file], capture_output=True, text=True).stdout
    found = known_keys("backup.example.com", port, None, [tmp_path / "absent", file])
    assert [known.fingerprint for known in found.keys] == ([fingerprint(key)] if public_key(key) in openssh else [])


def test_a_fingerprint_is_that_of_openssh(tmp_path: Path) -> None:
    for kind in ("ed25519", "ecdsa", "rsa"):
        key = make_key(tmp_path / kind, kind)
        key_type, data = public_key(key).split()
        assert HostKey(key_type, base64.b64decode(data)).fingerprint == fingerprint(key)
