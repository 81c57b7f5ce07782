"""Telling how a run goes, from its beginning to its end, however that comes."""

from __future__ import annotations

from types import TracebackType

from errors import AlreadyRunningError, HoldfastError, InterruptedRun
from model import Backup, Run
from operations.telling.pinger import Pinger
from operations.telling.teller import Teller


class Telling:
    """A context manager around one ``run_backup``. :attr:`observer` is one of the run, and :attr:`run` is set to what
    it returns. Whatever ends the block goes on; a run that found another one under way is told to nobody."""

    def __init__(self, teller: Teller, backup: Backup) -> None:
        self.run: Run | None = None
        self.observer = Pinger(backup.ping, teller.configuration.state_directory, teller.log)
        self._teller = teller
        self._backup = backup

    def __enter__(self) -> Telling:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, AlreadyRunningError):
            return
        if isinstance(error, InterruptedRun | KeyboardInterrupt):
            self._teller.run_ended(self._backup, is_sent=False)
            self.observer.interrupted()
        elif isinstance(error, HoldfastError):
            self.observer.failed(str(error))
            self._teller.run_not_recorded(self._backup, str(error))
        elif error is not None:
            self.observer.failed(f"{type(error).__name__}: {error}")
            self._teller.run_ended(self._backup)
        elif self.run is not None:
            self.observer.ended(self.run)
            self._teller.run_ended(self._backup)
