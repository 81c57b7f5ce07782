"""Reaching SSH servers and signing in: every usual mistake has its message, and no message has a secret."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from errors import SshError, SshUnavailableError
from model import Secret
from ssh.connection import Deadlines, SshServer, connect
from ssh.sign_in import Credentials
from tests.support.rclone_sftp import running_rclone_sftp
from tests.support.sshd import USER, Sshd, free_port, make_key, requires_sshd, running_sshd, sshd

__all__ = ["sshd"]

pytestmark = requires_sshd

REPOSITORY = Path(__file__).parent.parent
PASSPHRASE = "Canary-Passphrase-4711"
IN_A_HURRY = Deadlines(connect=0.5, sign_in=0.5, answer=0.5)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without keys, and no agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


def _sign_in(sshd: Sshd, credentials: Credentials) -> None:
    connect(SshServer("127.0.0.1", credentials, sshd.port, known_hosts_file=sshd.known_hosts)).close()


def _refusal(sshd: Sshd, credentials: Credentials) -> str:
    with pytest.raises(SshError) as refused:
        _sign_in(sshd, credentials)
    assert not isinstance(refused.value, SshUnavailableError)
    assert PASSPHRASE not in str(refused.value)
    return str(refused.value)


def test_a_key_that_the_server_does_not_know(sshd: Sshd, home: Path) -> None:
    message = _refusal(sshd, Credentials(USER, make_key(home / "other")))
    assert f"refused the user '{USER}': it did not accept the key {home}/other" in message
    assert "authorized_keys" in message


def test_a_user_that_the_server_does_not_know(sshd: Sshd) -> None:
    assert "refused the user 'nobody-here'" in _refusal(sshd, Credentials("nobody-here", sshd.user_key))


def test_a_key_file_that_is_not_there_or_cannot_be_read(sshd: Sshd, home: Path) -> None:
    assert f"{home}/absent cannot be read: No such file" in _refusal(sshd, Credentials(USER, home / "absent"))
    assert f"{home} cannot be read: Is a directory" in _refusal(sshd, Credentials(USER, home))


@pytest.mark.parametrize("content", ["", "nonsense\n", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END"])
def test_a_key_file_that_holds_no_key(sshd: Sshd, home: Path, content: str) -> None:
    (home / "key").write_text(content)
    assert f"{home}/key cannot be used. It is no private key" in _refusal(sshd, Credentials(USER, home / "key"))


def test_a_public_key_in_place_of_the_private_one(sshd: Sshd) -> None:
    public = sshd.user_key.with_name("user_key.pub")
    assert "is no private key" in _refusal(sshd, Credentials(USER, public))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_an_encrypted_key(sshd: Sshd, home: Path, kind: str) -> None:
    key = make_key(home / "key", kind, PASSPHRASE)
    with _authorized(sshd, key):
        assert "key is encrypted. Set KEY_PASSPHRASE" in _refusal(sshd, Credentials(USER, key))
        assert "KEY_PASSPHRASE does not open it" in _refusal(sshd, Credentials(USER, key, Secret("wrong")))
        _sign_in(sshd, Credentials(USER, key, Secret(PASSPHRASE)))


@contextmanager
def _authorized(sshd: Sshd, key: Path) -> Iterator[None]:
    file = sshd.folder / "authorized_keys"
    before = file.read_text()
    file.write_text(before + key.with_name(f"{key.name}.pub").read_text())
    try:
        yield
    finally:
        file.write_text(before)


def test_the_keys_of_the_user_are_tried_where_none_is_named(sshd: Sshd, home: Path) -> None:
    assert "nothing to sign in with" in _refusal(sshd, Credentials(USER))
    make_key(home / ".ssh/id_ecdsa", "ecdsa", PASSPHRASE)  # passed over
    make_key(home / ".ssh/id_rsa", "rsa")
    assert f"did not accept the key {home}/.ssh/id_rsa" in _refusal(sshd, Credentials(USER))
    shutil.copy(sshd.user_key, home / ".ssh/id_ed25519")
    _sign_in(sshd, Credentials(USER))


def test_the_keys_of_the_agent_are_tried(sshd: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
    assert "nothing to sign in with" in _refusal(sshd, Credentials(USER))  # the agent is not there
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(home / "agent")], stdout=subprocess.PIPE) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        try:
            for key in (make_key(home / "other"), sshd.user_key):
                subprocess.run(["ssh-add", "-q", key], check=True)
            _sign_in(sshd, Credentials(USER))
            subprocess.run(["ssh-add", "-q", "-d", sshd.user_key], check=True)
            assert "of the agent" in _refusal(sshd, Credentials(USER))
        finally:
            agent.terminate()


def test_a_server_that_allows_few_tries(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("ed25519", "ecdsa", "rsa"):
        make_key(home / f".ssh/id_{kind}", kind)
    with running_sshd(lines=["MaxAuthTries 2"]) as server:
        assert "did not accept the key" in _refusal(server, Credentials(USER))


def test_a_password(tmp_path: Path) -> None:
    with running_rclone_sftp(tmp_path, "somebody", "right-password") as server:

        def sign_in(password: str) -> None:
            credentials = Credentials("somebody", password=Secret(password))
            connect(SshServer("127.0.0.1", credentials, server.port, server.host_key)).close()

        sign_in("right-password")
        with pytest.raises(SshError, match="refused the user 'somebody': it did not accept the password") as refused:
            sign_in(PASSPHRASE)
        assert PASSPHRASE not in str(refused.value)


def test_a_password_where_the_server_takes_keys_only(sshd: Sshd) -> None:
    message = _refusal(sshd, Credentials(USER, password=Secret(PASSPHRASE)))
    assert "did not accept the password (it takes: publickey)" in message


def test_a_name_that_the_dns_does_not_know() -> None:
    with pytest.raises(SshError, match=r"server no-such-host\.invalid is not known to the DNS.*Check it"):
        connect(SshServer("no-such-host.invalid", Credentials(USER)))


def test_a_port_where_nothing_listens() -> None:
    with pytest.raises(SshUnavailableError, match=r"Nothing listens at 127\.0\.0\.1 port"):
        connect(SshServer("127.0.0.1", Credentials(USER), free_port()))


@pytest.mark.parametrize("greeting", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-silent\r\n"])
def test_something_else_that_listens_there(greeting: bytes | None) -> None:
    """One that says nothing, ends the connection, speaks another protocol, and one that stops after its greeting."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def serve() -> None:
            connection, _ = listener.accept()
            if greeting is not None:
                connection.sendall(greeting)
            if greeting == b"":
                connection.close()
            accepted.append(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SshUnavailableError, match=r"127\.0\.0\.1 port \d+ did not (greet us|agree on keys)"):
            connect(SshServer("127.0.0.1", Credentials(USER), listener.getsockname()[1], deadlines=IN_A_HURRY))
        thread.join()
        accepted[0].close()


_LIST = """
import sys
from model import StorageDefinition, StorageType
from storages.factory import open_storage

host_key, port, key, root = sys.argv[1:]
settings = {"HOST": "127.0.0.1", "PORT": port, "KEY_FILE": key, "HOST_KEY": host_key, "ROOT": root}
print(list(open_storage(StorageDefinition("OFFSITE", StorageType.SFTP, settings)).list("")))
"""


def test_an_empty_environment_is_enough(sshd: Sshd, tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", _LIST, sshd.fingerprint(), str(sshd.port), str(sshd.user_key), str(tmp_path)],
        cwd=REPOSITORY,
        env={},
        capture_output=True,
        text=True,
    )
    assert (answer.stdout, answer.stderr) == ("[]\n", "")


_CONNECT = """
import sys
from errors import SshError
from ssh.connection import SshServer, connect
from ssh.sign_in import Credentials

try:
    connect(SshServer("127.0.0.1", Credentials("somebody"), int(sys.argv[1])))
except SshError as error:
    print(error)
"""


def test_a_refusal_prints_nothing_by_itself() -> None:
    """What the library for SSH logs would be mailed by cron beside our own message."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with subprocess.Popen(
            [sys.executable, "-c", _CONNECT, str(port)],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            listener.accept()[0].close()
            output, errors = process.communicate()
    assert f"What listens at 127.0.0.1 port {port} did not greet us" in output
    assert errors == ""
