"""The stream of a program in a container: standard output and error in one connection, in frames.

A frame is a header of 8 bytes (1 for output or 2 for errors, three zeros, the length as a big-endian number) and its
bytes. https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from hosts.outcome import OutputTail

_HEADER_BYTES = 8
_OUTPUT, _ERRORS = 1, 2
_READ_BYTES = 1 << 18

# How much waits here for whoever takes the output; then the program waits.
_WAITING_BYTES = 8 << 20


class BrokenStreamError(Exception):
    """The connection broke in the middle of the stream."""


class DockerStream:
    """Takes the frames apart in a thread of its own, so that what a program says on its standard error never waits for
    whoever takes its output."""

    def __init__(self, connection: socket.socket, error_output: OutputTail) -> None:
        self._connection = connection
        self._error_output = error_output
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._is_over = False
        self._is_closed = False
        self._failure: OSError | None = None
        self._pump = threading.Thread(target=self._take_apart, name="what a container says", daemon=True)
        self._pump.start()

    def receive(self, seconds: float) -> bytes:
        """Output, at least one byte; none where it has ended. Raises TimeoutError, BrokenStreamError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._chunks or self._is_over, seconds):
                raise TimeoutError
            if self._chunks:
                chunk = self._chunks.popleft()
                self._waiting -= len(chunk)
                self._changed.notify_all()
                return chunk
            if self._failure:
                raise BrokenStreamError from self._failure
            return b""

    def send(self, data: bytes, when_stuck: Callable[[], None]) -> None:
        """Send all of it. ``when_stuck`` is called where nothing was taken for as long as the socket's time-out."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._connection.send(rest) :]
            except TimeoutError:
                when_stuck()

    def finish_input(self) -> None:
        self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._shut_down()  # wakes the thread up
        self._pump.join()
        self._connection.close()

    def _take_apart(self) -> None:
        try:
            for is_output, data in _frames(self._connection):
                if not is_output:
                    self._error_output.add(data)
                elif not self._put(data):
                    break
        except OSError as error:
            self._failure = error
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        # The program has ended. Docker would not say so to whoever feeds it, who would wait for ever.
        self._shut_down()

    def _shut_down(self) -> None:
        with suppress(OSError):  # the other side was quicker
            self._connection.shutdown(socket.SHUT_RDWR)

    def _put(self, chunk: bytes) -> bool:
        """Whether it is still wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting < _WAITING_BYTES or self._is_closed)
            self._chunks.append(chunk)
            self._waiting += len(chunk)
            self._changed.notify_all()
            return not self._is_closed


def _frames(connection: socket.socket) -> Iterator[tuple[bool, bytes]]:
    """What came, and whether it is output; of one kind, and in one piece, what came at once. Raises OSError."""
    rest = bytearray()
    space = memoryview(bytearray(_READ_BYTES))
    while received := _received(connection, space):
        rest += space[:received]
        output, errors, taken = _taken_apart(rest)
        del rest[:taken]
        if errors:
            yield False, errors
        if output:
            yield True, output
    if rest:
        yield False, bytes(rest)  # what runc says where it cannot start the program is in no frame


def _received(connection: socket.socket, space: memoryview) -> int:
    while True:
        try:
            return connection.recv_into(space)
        except TimeoutError:  # a program may be silent
            continue


def _taken_apart(received: bytearray) -> tuple[bytes, bytes, int]:
    """The output and the errors in whole frames, and how many bytes these took."""
    parts: dict[int, list[memoryview]] = {_OUTPUT: [], _ERRORS: []}
    start = 0
    with memoryview(received) as view:
        while len(received) - start >= _HEADER_BYTES and (kind := received[start]) in parts:
            end = start + _HEADER_BYTES + int.from_bytes(view[start + 4 : start + _HEADER_BYTES], "big")
            if end > len(received):
                break
            parts[kind].append(view[start + _HEADER_BYTES : end])
            start = end
        output, errors = b"".join(parts[_OUTPUT]), b"".join(parts[_ERRORS])
        for part in (*parts[_OUTPUT], *parts[_ERRORS]):
            part.release()
    return output, errors, start
