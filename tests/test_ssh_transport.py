"""What is ours of an SSH connection's inside: new keys in the middle of a stream, and the bytes that have come."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest

from ssh.connection import SshServer, connect
from ssh.sign_in import Credentials
from ssh.transport import ReceivedChunks
from tests.support.sshd import USER, Sshd, requires_sshd, sshd

__all__ = ["sshd"]

MIB = 1 << 20


@requires_sshd
def test_a_program_may_end_while_new_keys_are_negotiated(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    server = SshServer("127.0.0.1", Credentials(USER, sshd.user_key), sshd.port, known_hosts_file=sshd.known_hosts)
    with closing(connect(server)) as connection:
        transport: Any = connection._transport
        met: list[object] = []
        send = transport._send_user_message

        def watched_send(message: object) -> None:
            if threading.get_ident() == transport.ident and not transport.clear_to_send.is_set():
                met.append(message)
            send(message)

        monkeypatch.setattr(transport, "_send_user_message", watched_send)
        monkeypatch.setattr(transport.packetizer, "REKEY_BYTES", MIB)
        for _ in range(200):  # in each, what is left and the end come after the request for new keys, or after them
            with connection.start(f"head -c {MIB + 1} /dev/zero") as channel:
                size = 0
                while chunk := channel.receive():
                    size += len(chunk)
                assert (size, channel.exit_status()) == (MIB + 1, 0)
            if met:
                break
        assert met
        with connection.start("echo still there") as channel:
            assert channel.receive() == b"still there\n"


def test_chunks_come_in_their_order_and_at_most_as_much_as_is_asked_for() -> None:
    chunks = ReceivedChunks()
    for data in (b"ab", b"cdef", b"g"):
        chunks.feed(data)
    assert [chunks.read(3), chunks.read(3), chunks.read(1)] == [b"ab", b"cde", b"f"]
    chunks.feed(b"")  # which is no end
    chunks.feed(b"h")
    assert chunks.read_ready()
    assert chunks.read(10) == b"gh"
    assert not chunks.read_ready()
    chunks.feed(b"i")
    chunks.close()
    chunks.close()
    assert [chunks.read(10), chunks.read(10), chunks.read(10)] == [b"i", b"", b""]


def test_a_reader_waits_for_chunks_and_no_longer_than_it_wants_to() -> None:
    from paramiko.buffered_pipe import PipeTimeout

    chunks = ReceivedChunks()
    with pytest.raises(PipeTimeout):
        chunks.read(1, 0.01)
    feeder = threading.Timer(0.05, chunks.feed, (b"late",))
    feeder.start()
    assert chunks.read(10, 30) == b"late"
    feeder.join()
