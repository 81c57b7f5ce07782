"""What paramiko's connections need so that gigabytes come through them soundly and in little processor time."""

from __future__ import annotations

import threading
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paramiko import Message, Transport


@cache
def transport_class() -> type[Transport]:
    """paramiko's connection, with an end to a deadlock of it.

    Each half of a gigabyte it negotiates new keys, and until that is done nothing else may be sent (RFC 4253, 7.1). Its
    own thread waits for that too where it has to send something, such as the answer to the end of a channel; but that
    thread is the one that negotiates, so after 30 seconds the connection fails. Here such messages are sent afterwards.
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
                super()._send_user_message(message)  # type: ignore[misc]  # its stub has neither

        def _parse_newkeys(self, message: Message) -> None:
            super()._parse_newkeys(message)  # type: ignore[misc]
            postponed, self._postponed = self._postponed, []
            for each in postponed:
                self._send_user_message(each)

    return PostponingTransport


class ReceivedChunks:
    """What has come in a channel: in place of ``paramiko.buffered_pipe.BufferedPipe``, whose methods it has as far as a
    channel calls them. That one copies each byte twice, up to 16 MiB at once, while no other thread can run."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_closed = False

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def feed(self, data: bytes) -> None:
        with self._changed:
            self._chunks.append(data)
            self._changed.notify_all()

    def read(self, length: int, timeout: float | None = None) -> bytes:
        """Up to ``length`` bytes, at least one; none where it is closed and empty. Raises PipeTimeout."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._chunks or self._is_closed, timeout):
                from paramiko.buffered_pipe import PipeTimeout

                raise PipeTimeout
            pieces = []
            while self._chunks and length:
                piece = self._chunks.popleft()
                if len(piece) > length:
                    self._chunks.appendleft(piece[length:])
                    piece = piece[:length]
                pieces.append(piece)
                length -= len(piece)
        return b"".join(pieces)

    def read_ready(self) -> bool:
        return bool(self._chunks)

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
