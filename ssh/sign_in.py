"""Proving to an SSH server who we are: with a key file, the agent's or the user's own keys, or a password."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from errors import SshError, SshUnavailableError
from model import Secret

if TYPE_CHECKING:
    from paramiko import PKey, Transport

_OWN_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user signs in with.

    With a ``key_file`` only that key is tried, and then the password where there is one; with a password alone only
    that. With neither: the keys of the agent that SSH_AUTH_SOCK names, and the user's own keys.
    """

    username: str
    key_file: Path | None = None
    key_passphrase: Secret | None = None
    password: Secret | None = None

    def candidates(self) -> Iterator[tuple[str, PKey]]:
        """The keys to try, each with what messages call it. Raises SshError where the key file cannot be used."""
        if self.key_file is not None:
            yield str(self.key_file), _key_of(self.key_file, self.key_passphrase)
        elif self.password is None:
            yield from _keys_of_agent()
            yield from self._own_keys()

    def _own_keys(self) -> Iterator[tuple[str, PKey]]:
        for name in _OWN_KEYS:
            path = Path(name).expanduser()
            if path.exists():
                try:
                    yield str(path), _key_of(path, self.key_passphrase)
                except SshError:
                    # Not named by anybody, so one that is encrypted or cannot be read is passed over, as ssh does.
                    continue


def sign_in(transport: Transport, server: str, credentials: Credentials) -> None:
    """Sign in. Raises SshError with what was tried, SshUnavailableError where the connection broke meanwhile."""
    attempt = _Attempt(transport, server, credentials)
    for name, key in credentials.candidates():
        if attempt.with_key(name, key):
            return
    if credentials.password is not None and attempt.with_password(credentials.password):
        return
    raise attempt.refusal()


class _Attempt:
    def __init__(self, transport: Transport, server: str, credentials: Credentials) -> None:
        self._transport = transport
        self._server = server
        self._credentials = credentials
        self._tried: list[str] = []
        self._methods: list[str] = []

    def with_key(self, name: str, key: PKey) -> bool:
        self._tried.append(f"the key {name}")
        return self._succeeds(lambda: self._transport.auth_publickey(self._credentials.username, key))

    def with_password(self, password: Secret) -> bool:
        self._tried.append("the password")
        return self._succeeds(lambda: self._transport.auth_password(self._credentials.username, password.reveal()))

    def refusal(self) -> SshError:
        user = f"The SSH server {self._server} refused the user {self._credentials.username!r}"
        methods = f" (it takes: {', '.join(self._methods)})" if self._methods else ""
        if not self._tried:
            return SshError(
                f"There is nothing to sign in with at the SSH server {self._server}: no KEY_FILE, no PASSWORD, no "
                f"agent with a key, and no usable {', '.join(_OWN_KEYS)}. Set KEY_FILE (ssh-keygen -t ed25519 makes "
                "a key)."
            )
        return SshError(
            f"{user}: it did not accept {', nor '.join(self._tried)}{methods}. Check USERNAME and PASSWORD, or add the "
            "public half of the key to ~/.ssh/authorized_keys of that user on the server (ssh-copy-id does it)."
        )

    def _succeeds(self, method: Callable[[], Sequence[str]]) -> bool:
        """Whether the server is content; it may want another method after this one."""
        import paramiko

        try:
            self._methods = list(method())
            return not self._methods
        except paramiko.BadAuthenticationType as error:
            self._methods = list(error.allowed_types)
        except paramiko.AuthenticationException as error:
            # A server ends the connection after some refusals (MaxAuthTries); at the first one it is the network.
            if not self._transport.is_active():
                if len(self._tried) > 1:
                    raise self.refusal() from error
                raise self._cut() from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            if self._transport.is_active() and "timeout" not in str(error).lower():
                return False  # this key cannot sign: an agent may have keys that are locked, or of a foreign type
            raise self._cut() from error
        return False

    def _cut(self) -> SshUnavailableError:
        return SshUnavailableError(
            f"The connection to the SSH server {self._server} ended while signing in as {self._credentials.username!r}."
        )


def _keys_of_agent() -> Iterator[tuple[str, PKey]]:
    if "SSH_AUTH_SOCK" not in os.environ:
        return
    import paramiko

    try:
        keys = paramiko.Agent().get_keys()
    except (paramiko.SSHException, OSError):  # an agent that is gone is no agent
        return
    for key in keys:
        yield f"{key.fingerprint} of the agent", key


def _key_of(path: Path, passphrase: Secret | None) -> PKey:
    """The key in a file, with the certificate beside it where there is one. Raises SshError."""
    import paramiko

    password = passphrase.reveal() if passphrase else None
    for key_class in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            key = key_class.from_private_key_file(str(path), password)
            certificate = path.with_name(path.name + "-cert.pub")
            if certificate.exists():
                key.load_certificate(str(certificate))
        except OSError as error:
            raise SshError(
                f"The key file {path} cannot be read: {error.strerror}. Check KEY_FILE, and that the user who runs "
                "Holdfast may read it."
            ) from error
        except paramiko.PasswordRequiredException as error:
            raise SshError(
                f"The key file {path} is encrypted. Set KEY_PASSPHRASE, or use a key without a passphrase "
                f"(ssh-keygen -p -f {shlex.quote(str(path))} takes it off)."
            ) from error
        except (paramiko.SSHException, ValueError, IndexError):  # not of this type
            continue
        return key
    reason = "KEY_PASSPHRASE does not open it, or it" if passphrase else "It"
    raise SshError(
        f"The key file {path} cannot be used. {reason} is no private key of type ed25519, ecdsa or rsa "
        "(ssh-keygen -t ed25519 makes one)."
    )
