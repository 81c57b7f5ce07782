"""Passwords as argon2id hashes (RFC 9106), in the text form of the reference implementation."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from errors import UsageError
from model import Secret

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST_PASSWORD = 12
"""In characters. NIST SP 800-63B asks for 8 at least and 15 where nothing else is asked for; no rules on kinds."""

_LONGEST_PASSWORD = 1024


def check_new_password(text: str, name: str) -> None:
    """Refuse a password that is guessed first. Raises UsageError, which never quotes it.

    It is no Secret yet: of a refused one such as "short" the message about it would be redacted.
    """
    if len(text) < SHORTEST_PASSWORD:
        raise UsageError(
            f"The password is too short: it needs at least {SHORTEST_PASSWORD} characters. Four or five words that "
            "have nothing to do with each other are easy to remember and hard to guess."
        )
    if len(text) > _LONGEST_PASSWORD:
        raise UsageError(f"The password is too long: it may have at most {_LONGEST_PASSWORD:,} characters.")
    if len(set(text)) < 4 or name.casefold() * 2 in text.casefold() or text.casefold() == name.casefold():
        raise UsageError("The password is too easy to guess: it is a few characters, or the name, again and again.")


def hash_password(password: Secret) -> str:
    """Takes about 0.1 s of processor time and 64 MiB for as long, on purpose."""
    return _hasher().hash(password.reveal())


def is_password(text: str, password_hash: str | None) -> bool:
    """Whether the hash is of this password. Of None it is not, which takes as long to say."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        if len(text) > _LONGEST_PASSWORD:
            text = ""  # none is so long, and hashing it would take its time
        return _hasher().verify(password_hash or _hash_of_nobody(), text) and password_hash is not None
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(password_hash: str) -> bool:
    """Whether it was made with other parameters than those of today."""
    return _hasher().check_needs_rehash(password_hash)


@cache
def _hasher() -> PasswordHasher:
    """RFC 9106, 4: the second recommended option, for where memory is short: 64 MiB, 3 passes, 4 lanes."""
    from argon2 import PasswordHasher
    from argon2.profiles import RFC_9106_LOW_MEMORY

    return PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)


@cache
def _hash_of_nobody() -> str:
    import secrets

    return _hasher().hash(secrets.token_urlsafe())
