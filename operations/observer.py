"""What a run tells whoever watches it: a bar on a terminal, or nobody."""

from __future__ import annotations

from typing import Protocol

from model import Member, Target


class Observer(Protocol):
    """It is told from several threads."""

    def expect(self, size: int) -> None:
        """The source has about this many bytes."""

    def advance(self, member: Member, size: int) -> None:
        """``size`` more bytes of this member were packed, restored or checked."""

    def upload(self, target: Target, sent: int, size: int) -> None:
        """``sent`` of the ``size`` bytes of an archive that waits on this machine are on their way to the target."""
