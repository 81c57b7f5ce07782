"""The words of the accounts as frozen values."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class Role(enum.StrEnum):
    """What somebody may do. An operator may all that a viewer may."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class User:
    """A person with a password. ``last_sign_in`` is None for one who never signed in."""

    name: str
    role: Role
    created: datetime
    last_sign_in: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in, as the role that the user has now. ``digest`` is the SHA-256 (hex) of its secret."""

    digest: str
    user: str
    role: Role
    csrf_token: str
    created: datetime
    last_used: datetime


@dataclass(frozen=True, slots=True)
class Token:
    """What a program signs in with. ``expires`` is None where it never does; ``last_used`` is right to the minute."""

    name: str
    role: Role
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None
