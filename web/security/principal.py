"""Who asks: what is known of the sender of a request once its session or token was looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from accounts import Role, Session

Via = Literal["session", "token", "none"]


@dataclass(frozen=True, slots=True)
class Principal:
    """``name`` is that of the user, or of the token. ``role`` is None, and ``via`` ``none``, for one who is nobody.

    ``address`` is that of the client, as the server or a trusted proxy saw it. ``session`` is None for a token.
    """

    name: str
    role: Role | None
    via: Via
    address: str
    session: Session | None = field(default=None, repr=False)

    @property
    def csrf_token(self) -> str:
        """What each form and each unsafe request of this session has to carry; ``""`` for a token, which needs none."""
        return self.session.csrf_token if self.session else ""

    @property
    def may_operate(self) -> bool:
        return self.role is Role.OPERATOR
