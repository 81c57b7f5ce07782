"""One stream of bytes to several targets at once: read once, the slowest sets the pace, a failing one drops out."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from errors import HoldfastError
from model import StoredObject

_Result = TypeVar("_Result")

# Chunks are up to 1 MiB, so this is what a target may lag behind the others, in MiB.
_QUEUE_LENGTH = 8

# How often a full queue, or a thread that is waited for, is looked at for being dead.
_PATIENCE_SECONDS = 0.2

Put = Callable[[Iterable[bytes]], StoredObject]
"""Stores what it is given under a key of one target; see ``storages.storage.Storage.put``."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was sent, and what became of it on each target, in the order of the targets."""

    size: int
    sha256: str
    results: tuple[StoredObject | HoldfastError, ...]


class _AbortedError(Exception):
    """Raised in a target's stream when the archive will never be whole, so that ``put`` leaves nothing behind."""


def deliver(chunks: Iterable[bytes], puts: Iterable[Put], cancelled: threading.Event | None = None) -> Delivered:
    """Send the same chunks to every target.

    What ``chunks`` raises (or a signal) aborts every target and is raised here; ``cancelled`` is set then, which ends
    their waits. A target that fails is dropped; where all have failed, reading stops early.
    """
    senders = [_Sender(put) for put in puts]
    digest = hashlib.sha256()
    size = 0
    with _working(senders, cancelled):
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            takers = [sender for sender in senders if sender.send(chunk)]
            if not takers:
                break
    return Delivered(size, digest.hexdigest(), tuple(sender.result for sender in senders))


def side_by_side(
    actions: Iterable[Callable[[], _Result]], cancelled: threading.Event
) -> tuple[_Result | HoldfastError, ...]:
    """What each action, in a thread of its own, returned or raised. ``cancelled`` as for :func:`deliver`."""
    senders = [_Sender(_without_chunks(action)) for action in actions]
    with _working(senders, cancelled):
        pass
    return tuple(sender.result for sender in senders)


def _without_chunks(action: Callable[[], _Result]) -> Callable[[Iterable[bytes]], _Result]:
    return lambda _: action()


@contextmanager
def _working(senders: Sequence[_Sender[_Result]], cancelled: threading.Event | None) -> Iterator[None]:
    """Their threads run within the block, and have ended behind it."""
    try:
        for sender in senders:
            sender.start()
        yield
        for sender in senders:
            sender.end()
        for sender in senders:
            sender.join()
    except BaseException:
        # Whoever catches this removes what was stored, so nothing may be on its way any more.
        if cancelled is not None:
            cancelled.set()
        for sender in senders:
            sender.abort()
        for sender in senders:
            sender.join()
        raise


class _Sender(Generic[_Result]):
    """One target's thread and its bounded queue."""

    def __init__(self, put: Callable[[Iterable[bytes]], _Result]) -> None:
        self._put = put
        self._queue: queue.Queue[bytes | _AbortedError | None] = queue.Queue(_QUEUE_LENGTH)
        self._result: _Result | HoldfastError = HoldfastError("The target was not finished.")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deliver", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def result(self) -> _Result | HoldfastError:
        """What ``put`` returned or raised, once the thread has ended."""
        return self._result

    def send(self, chunk: bytes) -> bool:
        """Hand on one chunk, waiting for room; False where the target has failed and takes no more."""
        return self._offer(chunk)

    def end(self) -> None:
        self._offer(None)

    def abort(self) -> None:
        self._offer(_AbortedError())

    def join(self) -> None:
        # Once Thread.join() was interrupted, it takes the thread for dead: https://github.com/python/cpython/issues/90882
        # The thread of a sender whose start() was interrupted may never have begun.
        while not self._ended.wait(_PATIENCE_SECONDS) and self._thread.is_alive():
            pass

    def _offer(self, item: bytes | _AbortedError | None) -> bool:
        while not self._ended.is_set():
            try:
                self._queue.put(item, timeout=_PATIENCE_SECONDS)
            except queue.Full:
                continue
            return True
        return False

    def _run(self) -> None:
        try:
            self._result = self._put(self._chunks())
        except HoldfastError as error:
            self._result = error
        except _AbortedError:
            self._result = HoldfastError("The run was aborted.")
        except Exception as error:  # a bug in an adapter must not be taken for a copy
            self._result = HoldfastError(f"The storage failed in an unforeseen way ({type(error).__name__}: {error}).")
        finally:
            self._ended.set()

    def _chunks(self) -> Iterator[bytes]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, _AbortedError):
                raise item
            yield item
