"""What paramiko's connections need so that gigabytes come through them soundly and in little processor time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paramiko import Message, Transport


@cache
def transport_class() -> type[Transport]:
    """paramiko's connection, with an end to a deadlock of it, and to what a signal leaves of it.

    Each half of a gigabyte it negotiates new keys, and until that is done nothing else may be sent (RFC 4253, 7.1). Its
    own thread waits for that too where it has to send something, such as the answer to the end of a channel; but that
    thread is the one that negotiates, so after 30 seconds the connection fails. Here such messages are sent afterwards.

    A signal may raise anywhere, and so in the middle of a packet: the server would take whatever comes next for the
    rest of it, and end the connection. Here it counts as ended at once, so that nobody begins anything with it.
    """
    import paramiko

    class PostponingTransport(paramiko.Transport):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            self._postponed: list[Message] = []
            super().__init__(*arguments, **options)

        def _send_user_message(self, message: Message) -> None:
            if threading.current_thread() is self and not self.clear_to_send.is_set():
                self._postponed.append(message)
            else:
                with self._given_up_when_interrupted():
                    super()._send_user_message(message)  # type: ignore[misc]  # its stub has neither

        def _parse_newkeys(self, message: Message) -> None:
            super()._parse_newkeys(message)  # type: ignore[misc]
            postponed, self._postponed = self._postponed, []
            for each in postponed:
                self._send_user_message(each)

        @contextmanager
        def _given_up_when_interrupted(self) -> Iterator[None]:
            try:
                yield
            except Exception:
                raise
            except BaseException:
                self.active = False
                self.packetizer.close()
                raise

    return PostponingTransport


class ReceivedChunks:
    """What has come in a channel: in place of ``paramiko.buffered_pipe.BufferedPipe``, whose methods it has as far as a
    channel calls them. That one copies each byte twice, up to the whole window at once, while no other thread can run.
    One thread may feed, and one may read."""

    def __init__(self) -> None:
        self._chunks: SimpleQueue[bytes] = SimpleQueue()  # an empty one is the end
        self._next = b""
        self._has_ended = False

    def __len__(self) -> int:
        """How many chunks wait."""
        return self._chunks.qsize() + bool(self._next)

    def feed(self, data: bytes) -> None:
        if data:
            self._chunks.put(data)

    def close(self) -> None:
        self._chunks.put(b"")

    def read_ready(self) -> bool:
        return len(self) > 0

    def read(self, length: int, timeout: float | None = None) -> bytes:
        """Up to ``length`` bytes, at least one; none where it is closed and empty. Raises PipeTimeout."""
        from paramiko.buffered_pipe import PipeTimeout

        try:
            chunk = self._next or self._taken(timeout)
        except Empty:
            raise PipeTimeout from None
        self._next = chunk[length:]
        pieces = [chunk[:length]]
        with suppress(Empty):
            while not self._next and (length := length - len(pieces[-1])) > 0 and (chunk := self._taken(0)):
                if len(chunk) > length:
                    self._next = chunk
                else:
                    pieces.append(chunk)
        return b"".join(pieces)

    def _taken(self, timeout: float | None) -> bytes:
        if self._has_ended:
            return b""
        chunk = self._chunks.get(timeout=timeout)
        self._has_ended = not chunk
        return chunk
