"""One copy to all of a backup's targets: streamed where the storage allows it, through the spool where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from archives.manifest import Manifest
from errors import HoldfastError, IntegrityError, InterruptedRun
from model import StoredObject
from operations.copies.layout import CopyKeys
from operations.running.delivery import Delivered, Put, deliver, side_by_side
from operations.running.spooled_copy import SpooledCopy
from operations.running.targets import OnUpload, TargetCopy, require_one
from storages.workplace import Workplace


class Distribution:
    """A context manager. What was not finished when it is left is removed from every target and from the spool.

    Only an interruption (a signal) while a whole copy is uploaded from the spool leaves it there for the next run.
    """

    def __init__(
        self, copies: Sequence[TargetCopy], spooled: SpooledCopy, workplace: Workplace, on_upload: OnUpload
    ) -> None:
        self._streaming = [copy for copy in copies if not copy.takes_from_spool]
        self._waiting = [copy for copy in copies if copy.takes_from_spool]
        self._spooled = spooled
        self._workplace = workplace
        self._on_upload = on_upload

    def send(self, chunks: Iterable[bytes], key_of: Callable[[CopyKeys], str]) -> Delivered:
        """Read ``chunks`` once, and give them to every target that has not failed yet, or to the spool for it.

        Raises HoldfastError with every target's error where none is left.
        """
        streaming = [copy for copy in self._streaming if copy.error is None]
        waiting = [copy for copy in self._waiting if copy.error is None]
        puts: list[Put] = [partial(copy.storage.put, key_of(copy.keys)) for copy in streaming]
        if waiting:
            puts.append(partial(self._spooled.put, key_of(self._spooled.keys)))
        delivered = deliver(chunks, puts, self._workplace.cancelled)
        for copy, result in zip(streaming, delivered.results, strict=False):
            copy.error = _error(copy, delivered, result)
        for copy in waiting:
            copy.error = _error(copy, delivered, delivered.results[-1])
        require_one([*self._streaming, *self._waiting])
        return delivered

    def finish(self, manifest: Manifest, how_to_restore: bytes) -> None:
        """Write the manifests, and upload what waits in the spool.

        Raises HoldfastError with every target's error where none is left.
        """
        # One after the other, in this thread: a signal then ends it before the next manifest is written, not after.
        for copy in self._streaming:
            if copy.error is None:
                try:
                    copy.finish(manifest.encode(), how_to_restore)
                except HoldfastError as error:
                    copy.error = error
        if any(copy.error is None for copy in self._waiting):
            self._complete_spooled(manifest)
            upload_from_spool(self._waiting, self._spooled, how_to_restore, self._workplace, self._on_upload)
        require_one([*self._streaming, *self._waiting])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        is_interrupted = isinstance(error, InterruptedRun | KeyboardInterrupt)
        is_kept = is_interrupted and self._spooled.manifest is not None
        for copy in self._waiting:
            copy.is_kept_waiting = is_kept and copy.error is None
        for copy in (*self._streaming, *self._waiting):
            copy.discard_unfinished()
        if not is_kept:
            self._spooled.remove()

    def _complete_spooled(self, manifest: Manifest) -> None:
        try:
            self._spooled.complete(manifest)
        except HoldfastError as error:
            for copy in self._waiting:
                copy.error = copy.error or error


def on_all(copies: Iterable[TargetCopy], action: Callable[[TargetCopy], None], workplace: Workplace) -> None:
    """Do it on each target that has not failed, all at once: a far one costs round trips. Failures are kept there."""
    working = [copy for copy in copies if copy.error is None]
    results = side_by_side([partial(action, copy) for copy in working], workplace.cancelled)
    for copy, result in zip(working, results, strict=True):
        copy.error = result if isinstance(result, HoldfastError) else None


def upload_from_spool(
    copies: Iterable[TargetCopy],
    spooled: SpooledCopy,
    how_to_restore: bytes,
    workplace: Workplace,
    on_upload: OnUpload,
) -> None:
    """Bring a whole copy from the spool to each target that has not failed."""
    on_all(copies, lambda copy: copy.receive(spooled, how_to_restore, on_upload), workplace)


def _error(copy: TargetCopy, delivered: Delivered, result: StoredObject | HoldfastError) -> HoldfastError | None:
    if isinstance(result, HoldfastError):
        return result
    if result.size != delivered.size or result.sha256 not in (None, delivered.sha256):
        return IntegrityError(f"{copy.target} holds something else than what was sent as {result.key}.")
    return None
