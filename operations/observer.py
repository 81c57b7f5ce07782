"""What a run tells whoever watches it: a bar on a terminal, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from model import Member, Run, Target


class Observer(Protocol):
    """It is told from several threads."""

    def begin(self, run: Run) -> None:
        """This run begins; each try of one that is tried again is a run of its own."""

    def wait(self, until: datetime) -> None:
        """Nothing is done before this time, when the next try begins."""

    def expect(self, size: int) -> None:
        """The source has about this many bytes."""

    def advance(self, member: Member, size: int) -> None:
        """``size`` more bytes of this member were packed, restored or checked."""

    def upload(self, target: Target, sent: int, size: int) -> None:
        """``sent`` of the ``size`` bytes of an archive that waits on this machine are on their way to the target."""


class Observers:
    """Tells several observers what it is told."""

    def __init__(self, *observers: Observer) -> None:
        self._observers: Sequence[Observer] = observers

    def begin(self, run: Run) -> None:
        for observer in self._observers:
            observer.begin(run)

    def wait(self, until: datetime) -> None:
        for observer in self._observers:
            observer.wait(until)

    def expect(self, size: int) -> None:
        for observer in self._observers:
            observer.expect(size)

    def advance(self, member: Member, size: int) -> None:
        for observer in self._observers:
            observer.advance(member, size)

    def upload(self, target: Target, sent: int, size: int) -> None:
        for observer in self._observers:
            observer.upload(target, sent, size)
