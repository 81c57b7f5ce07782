"""Which key an SSH server must show: one that was pinned, or one that stands in a ``known_hosts`` file.

The format is that of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": names with ``*``, ``?`` and ``!``, ``[host]:port``, hashed
names, ``@revoked``. Lines of ``@cert-authority`` are passed over: certificates of hosts are not asked for.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from errors import SshError

KNOWN_HOSTS_FILES = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")

# A key of the type ssh-rsa signs in two ways that are still safe: RFC 8332.
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def signatures_of(key_types: Sequence[str]) -> tuple[str, ...]:
    """The algorithms by which keys of these types prove themselves, as SSH negotiates them."""
    return tuple(name for key_type in key_types for name in _SIGNATURES.get(key_type, (key_type,)))


@dataclass(frozen=True, slots=True)
class HostKey:
    """A server's public key. ``blob`` is its binary form (RFC 4253, 6.6); ``where`` says who knows it."""

    type: str
    blob: bytes
    where: str = ""

    @property
    def fingerprint(self) -> str:
        """``SHA256:…``, as ``ssh-keygen -lf`` shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.type} {self.fingerprint}"


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What is known of one server's keys. ``pin`` is a fingerprint, which names no type."""

    address: str
    port: int
    files: tuple[Path, ...] = ()
    pin: str | None = None
    keys: tuple[HostKey, ...] = ()
    revoked: tuple[HostKey, ...] = ()

    def key_types(self) -> tuple[str, ...]:
        """The types to ask for, the known ones first: a server with several keys shows the first that it has."""
        known = {key.type for key in self.keys}
        return tuple(sorted(KEY_TYPES, key=lambda key_type: key_type not in known))

    def accept(self, key: HostKey) -> bool:
        """Whether this is the known key. Raises SshError for a revoked one."""
        for revoked in self.revoked:
            if revoked.blob == key.blob:
                raise SshError(
                    f"The SSH server {self.address} port {self.port} shows the key {key}, which {revoked.where} marks "
                    "as revoked. Nothing was sent to it. Do not go on before its administrator has told you why."
                )
        if self.pin is not None:
            return self.pin == key.fingerprint
        return any(known.blob == key.blob for known in self.keys)

    def refusal(self, shown: Sequence[HostKey]) -> SshError:
        """What to say of a server that showed these keys, none of which is the known one."""
        key = shown[-1]
        server = f"The SSH server {self.address} port {self.port}"
        if self.pin is not None or self.keys:
            known = f"{self.pin} (HOST_KEY)" if self.pin else ", ".join(f"{key} ({key.where})" for key in self.keys)
            return SshError(
                f"{server} shows another key than the one that is known: it shows {', '.join(map(str, shown))}, known "
                f"is {known}. Either the server was set up anew, or somebody stands between it and you. Nothing was "
                "sent to it. Ask its administrator for the fingerprint; where it is the one of the new key, "
                f"{self._replacement(key)}."
            )
        return SshError(
            f"{server} shows the key {key}, which is not known here. Nothing was sent to it. Compare this fingerprint "
            "with the one on the server itself (ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub); where they agree, "
            f"run {self._scan(key)}, or set HOST_KEY: {key.fingerprint}."
        )

    def _replacement(self, key: HostKey) -> str:
        if self.pin or not self.files:
            return f"set HOST_KEY: {key.fingerprint}"
        name = shlex.quote(_name(self.address, self.port))
        file = shlex.quote(str(self.files[0]))
        return f"run ssh-keygen -R {name} -f {file}, then {self._scan(key)}"

    def _scan(self, key: HostKey) -> str:
        kind = key.type.removeprefix("ssh-").partition("-")[0]
        file = self.files[0] if self.files else Path(KNOWN_HOSTS_FILES[0]).expanduser()
        return f"ssh-keyscan -t {kind} -p {self.port} {shlex.quote(self.address)} >> {shlex.quote(str(file))}"


def known_keys(address: str, port: int, pinned: str | None, files: Sequence[Path]) -> KnownKeys:
    """What is known of a server: the pinned key alone where there is one, else what these files hold.

    Raises SshError where the pin is none, or a file is there and cannot be read.
    """
    if pinned is not None:
        if pinned.startswith("SHA256:"):
            return KnownKeys(address, port, pin=pinned.rstrip("="))
        return KnownKeys(address, port, keys=(_pinned_key(pinned),))
    found = [(marker, key) for file in files for marker, key in _keys_in(file, _name(address, port))]
    return KnownKeys(
        address,
        port,
        tuple(files),
        keys=tuple(key for marker, key in found if not marker),
        revoked=tuple(key for marker, key in found if marker == "@revoked"),
    )


def _pinned_key(text: str) -> HostKey:
    fields = text.split()
    for key_type, data in pairwise(fields):
        if key_type in KEY_TYPES and (blob := _blob(key_type, data)):
            return HostKey(key_type, blob, "HOST_KEY")
    raise SshError(
        "HOST_KEY is neither a fingerprint nor a public key. Write SHA256:… as ssh-keygen -lf shows it, or a line such "
        "as 'ssh-ed25519 AAAA…' as ssh-keyscan prints it."
    )


def _name(address: str, port: int) -> str:
    """How known_hosts names a server."""
    return address.lower() if port == 22 else f"[{address.lower()}]:{port}"


def _keys_in(file: Path, name: str) -> Iterator[tuple[str, HostKey]]:
    """The keys of one server in a file, each with its marker or ``""``."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    except OSError as error:
        raise SshError(
            f"The file of known SSH servers {file} cannot be read: {error.strerror}. Let the user who runs "
            "Holdfast read it, or name another one in KNOWN_HOSTS_FILE."
        ) from error
    for number, line in enumerate(lines, 1):
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#") or marker == "@cert-authority":
            continue
        names, key_type, data = fields[:3]
        if _matches(names, name) and (blob := _blob(key_type, data)):
            yield marker, HostKey(key_type, blob, f"{file} line {number}")


def _blob(key_type: str, data: str) -> bytes | None:
    """The key in its binary form, which begins with its type; None where the text is no such key."""
    try:
        blob = base64.b64decode(data, validate=True)
    except binascii.Error:
        return None
    kind = key_type.encode()
    return blob if blob.startswith(len(kind).to_bytes(4, "big") + kind) else None


def _matches(patterns: str, name: str) -> bool:
    matched = False
    for pattern in patterns.split(","):
        if pattern.startswith("|1|"):
            matched = matched or _is_hash_of(pattern, name)
        elif pattern.startswith("!"):
            if _fits(pattern[1:], name):
                return False
        else:
            matched = matched or _fits(pattern, name)
    return matched


def _fits(pattern: str, name: str) -> bool:
    """``*`` and ``?`` are wildcards, and brackets are none, as they stand around addresses."""
    return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))


def _is_hash_of(hashed: str, name: str) -> bool:
    """``|1|salt|hash``: HMAC-SHA1 of the name, as ssh-keygen -H writes it."""
    try:
        salt, expected = (base64.b64decode(part, validate=True) for part in hashed[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), expected)
