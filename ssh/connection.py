"""Connections to SSH servers: reaching them, being sure who they are, signing in, and channels to talk through.

The only place that knows paramiko. Storages and hosts use the same connections.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from errors import SshError, SshUnavailableError
from ssh.host_keys import KNOWN_HOSTS_FILES, HostKey, KnownKeys, known_keys, signatures_of
from ssh.sign_in import Credentials, sign_in
from ssh.transport import ReceivedChunks, transport_class

if TYPE_CHECKING:
    from paramiko import Channel, Transport

# Of what paramiko offers these take the least processor time: 430 MB/s were sent, with aes128-ctr and HMAC-SHA-256 280.
_QUICKEST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")

# How much may be on its way to us in one channel: enough for 100 MB/s over a round trip of 0.08 s.
_RECEIVE_WINDOW = 8 << 20

# And how much is handed on at once.
_LARGEST_PIECE = 1 << 20

# And in one packet: with the usual 32 KiB both sides do more for each byte, and a stream came at half of the speed.
_LARGEST_PACKET = 1 << 17

# Routers forget connections that are silent for some minutes.
_SECONDS_BETWEEN_SIGNS_OF_LIFE = 30


_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long is waited, in seconds: for the connection, for signing in, and for each answer after that.

    A program may be silent for as long as it likes; after ``quiet`` seconds the server is asked whether it is still
    there, and has ``answer`` seconds to say so.
    """

    connect: float = 15.0
    sign_in: float = 30.0
    answer: float = 120.0
    quiet: float = 30.0

    def for_bytes(self, size: int) -> float:
        """For an answer that the server gives when its disk has read or flushed so many bytes, at 10 MB/s or more."""
        return 5 * self.answer + size / 10e6


@dataclass(frozen=True, slots=True)
class SshServer:
    """A server, how we know it, and who we are there. ``host_key`` is a fingerprint or a public key.

    ``jump`` is the server that we reach it through.
    """

    address: str
    credentials: Credentials
    port: int = 22
    host_key: str | None = None
    known_hosts_file: Path | None = None
    deadlines: Deadlines = Deadlines()
    jump: SshServer | None = None

    def __str__(self) -> str:
        return f"{self.address} port {self.port}"

    def known_keys(self) -> KnownKeys:
        """What is known of its keys. Raises SshError."""
        names = [self.known_hosts_file] if self.known_hosts_file else [Path(name) for name in KNOWN_HOSTS_FILES]
        return known_keys(self.address, self.port, self.host_key, [name.expanduser() for name in names])


def connect(server: SshServer) -> SshConnection:
    """A connection to the right server, signed in.

    Raises SshUnavailableError where it cannot be reached now, SshError where it is not known or refuses us.
    """
    # What paramiko logs is raised as well, and Python would print it: what cron mails must mean something.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    with ExitStack() as opened:
        jump = connect(server.jump) if server.jump else None
        if jump:
            opened.callback(jump.close)
        transport = _verified_transport(server, jump)
        opened.callback(transport.close)
        sign_in(transport, str(server), server.credentials)
        transport.set_keepalive(_SECONDS_BETWEEN_SIGNS_OF_LIFE)
        opened.pop_all()
    return SshConnection(server, transport, jump)


class SshConnection:
    """A signed-in connection. Methods raise SshUnavailableError where it broke, SshError where the server says no."""

    def __init__(self, server: SshServer, transport: Transport, jump: SshConnection | None = None) -> None:
        self.deadlines = server.deadlines
        self._server = server
        self._transport = transport
        self._jump = jump
        self._one_question_at_a_time = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it is not known to be broken."""
        return self._transport.is_active()

    def open_subsystem(self, name: str) -> SshChannel:
        """A channel to a subsystem of the server, such as ``sftp``."""
        channel = self._open_channel()
        with self._answered(channel, f"has no subsystem {name}, or does not let this user use it"):
            channel.invoke_subsystem(name)
        return SshChannel(self, self._server, channel)

    def start(self, command: str) -> SshChannel:
        """A channel to a command that the user's shell on the server runs. No terminal is made for it."""
        channel = self._open_channel()
        with self._answered(channel, "does not let this user run commands"):
            channel.exec_command(command)
        return SshChannel(self, self._server, channel)

    def open_way(self, address: str, port: int) -> Channel:
        """A connection from the server on to another one (RFC 4254, 7.2)."""
        import paramiko

        try:
            return self._transport.open_channel(
                "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=self._server.deadlines.connect
            )
        except paramiko.ChannelException as error:
            raise SshUnavailableError(
                f"The SSH server {self._server}, through which {address} port {port} is to be reached, makes no "
                f"connection to it: {error.text}. Check the address, and that it allows this (AllowTcpForwarding)."
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _broken(self._server) from error

    def check_alive(self) -> None:
        """Raise SshUnavailableError unless the server answers: a stalled one looks like one that has nothing to say."""
        with self._one_question_at_a_time, self._closed_after_deadline():
            self._transport.global_request("keepalive@openssh.com")
        if not self.is_open:
            raise SshUnavailableError(
                f"The SSH server {self._server} ended the connection, or did not answer for "
                f"{self.deadlines.answer:g} s."
            )

    def close(self) -> None:
        self._transport.close()

    def abandon(self) -> None:
        """Have it end by itself. For finalizers, which may run anywhere: ``close`` waits for a thread there."""
        with suppress(OSError):
            self._transport.sock.shutdown(socket.SHUT_RDWR)
        if self._jump:
            self._jump.abandon()

    def _open_channel(self) -> Channel:
        import paramiko

        deadline = self._server.deadlines.answer
        try:
            channel = self._transport.open_session(_RECEIVE_WINDOW, _LARGEST_PACKET, timeout=deadline)
        except paramiko.ChannelException as error:
            raise SshError(f"The SSH server {self._server} opens no further channel: {error.text}.") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _broken(self._server) from error
        channel.in_buffer = ReceivedChunks()  # type: ignore[assignment]
        channel.settimeout(deadline)
        return channel

    @contextmanager
    def _answered(self, channel: Channel, refusal: str) -> Iterator[None]:
        """Around a request of a channel, for whose answer paramiko would wait for ever."""
        import paramiko

        try:
            with self._closed_after_deadline():
                yield
        except (paramiko.SSHException, OSError, EOFError) as error:
            channel.close()
            if self.is_open:
                raise SshError(f"The SSH server {self._server} {refusal}.") from error
            raise _broken(self._server) from error

    @contextmanager
    def _closed_after_deadline(self) -> Iterator[None]:
        """Around what waits for an answer: it fails when the connection is closed."""
        timer = threading.Timer(self._server.deadlines.answer, self._transport.close)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class SshChannel:
    """Bytes to and from a program on the server. Methods raise SshUnavailableError where the connection broke."""

    def __init__(self, connection: SshConnection, server: SshServer, channel: Channel) -> None:
        self._connection = connection
        self._server = server
        self._channel = channel
        # paramiko cuts what is sent at this length, by copying all the rest.
        self._piece = channel.out_max_packet_size - 64

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, head: bytes, body: bytes = b"") -> None:
        """Send all of it; ``body`` is not copied as a whole."""
        first = self._piece - len(head)
        self._send(head + body[:first])
        for start in range(first, len(body), self._piece):
            self._send(body[start : start + self._piece])

    def finish_input(self) -> None:
        """Tell the program that nothing more comes."""
        with self._translated():
            self._channel.shutdown_write()

    def receive(self, deadline: float | None = None) -> bytes:
        """The bytes that came, at least one; none where the program has ended its output.

        ``deadline`` is in seconds, in place of the server's for answers.
        """
        with self._translated(deadline):
            self._channel.settimeout(deadline or self._server.deadlines.answer)
            return self._channel.recv(_LARGEST_PIECE)

    def receive_patiently(self) -> bytes:
        """As :meth:`receive`, however long the program is silent, as long as the server shows that it is there."""
        with self._translated():
            return self._patiently(lambda: self._channel.recv(_LARGEST_PIECE))

    def receive_errors(self) -> bytes:
        """The same for its standard error. Somebody has to ask for it, or the program waits for ever.

        Most programs are silent there, so only whoever asks for the output asks whether the server lives.
        """
        with self._translated():
            while True:
                with suppress(TimeoutError):
                    return self._channel.recv_stderr(_LARGEST_PACKET)

    def send_patiently(self, data: bytes) -> None:
        """Send all of it, however long the program does not take it, as long as the server shows that it is there.

        Raises SshUnavailableError where the program has closed its input, too: ``exit_status`` knows which it was.
        """
        rest = memoryview(data)
        with self._translated():
            while rest:
                piece = bytes(rest[: self._piece])
                sent = self._patiently(lambda: self._channel.send(piece))  # noqa: B023 - it is called at once
                if sent == 0:
                    raise _broken(self._server)
                rest = rest[sent:]

    @property
    def has_received(self) -> bool:
        """Whether ``receive`` would answer at once."""
        return self._channel.recv_ready()

    @property
    def is_at_end(self) -> bool:
        """Whether the program said that it has no more output; a connection that broke says nothing."""
        return bool(self._channel.eof_received)

    def ended(self) -> SshUnavailableError:
        """The error where the program ended before its time."""
        return _broken(self._server)

    def exit_status(self) -> int | None:
        """How the program ended; None where the server does not say so in time, or there was a signal."""
        if not self._channel.status_event.wait(self._server.deadlines.answer):
            return None
        status = self._channel.recv_exit_status()
        return None if status < 0 else status

    def close(self) -> None:
        with suppress(SshUnavailableError), self._translated():
            self._channel.close()

    def _patiently(self, act: Callable[[], _Answer]) -> _Answer:
        while True:
            # The thread that sends and the one that receives set the same.
            self._channel.settimeout(self._server.deadlines.quiet)
            try:
                return act()
            except TimeoutError:
                self._connection.check_alive()

    def _send(self, piece: bytes) -> None:
        with self._translated():
            while piece:
                sent = self._channel.send(piece)
                if sent == 0:
                    raise _broken(self._server)
                piece = piece[sent:]

    @contextmanager
    def _translated(self, deadline: float | None = None) -> Iterator[None]:
        import paramiko

        try:
            yield
        except TimeoutError as error:
            seconds = deadline or self._server.deadlines.answer
            raise SshUnavailableError(f"The SSH server {self._server} did not answer for {seconds:g} s.") from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _broken(self._server) from error


def _broken(server: SshServer) -> SshUnavailableError:
    return SshUnavailableError(f"The connection to the SSH server {server} broke.")


def _verified_transport(server: SshServer, jump: SshConnection | None) -> Transport:
    """A connection to a server that showed the known key."""
    known = server.known_keys()
    types: Sequence[str] = known.key_types()
    shown: list[HostKey] = []
    while types:
        transport = _negotiated_transport(server, jump, types, bool(shown))
        if transport is None:
            break
        try:
            key = _host_key(server, transport)
            if known.accept(key):
                return transport
        except BaseException:
            transport.close()
            raise
        transport.close()
        shown.append(key)
        # A fingerprint does not say of which type the key is: the server may have it beside the one that it showed.
        types = [key_type for key_type in types if known.pin is not None and key_type != key.type]
    raise known.refusal(shown)


def _negotiated_transport(
    server: SshServer, jump: SshConnection | None, key_types: Sequence[str], is_another_try: bool
) -> Transport | None:
    """An encrypted connection to whoever is there; None where another try finds no key of these types."""
    import paramiko
    from paramiko.ssh_exception import IncompatiblePeer

    way = jump.open_way(server.address, server.port) if jump else _socket(server)
    transport = transport_class()(way, default_window_size=_RECEIVE_WINDOW)
    transport.banner_timeout = server.deadlines.connect
    transport.handshake_timeout = server.deadlines.connect
    transport.auth_timeout = server.deadlines.sign_in
    options = transport.get_security_options()
    options.key_types = signatures_of(key_types)
    options.ciphers = (*_QUICKEST_CIPHERS, *(name for name in options.ciphers if name not in _QUICKEST_CIPHERS))
    try:
        transport.start_client(timeout=server.deadlines.connect)
    except IncompatiblePeer as error:
        transport.close()
        if is_another_try:
            return None
        raise SshError(f"The SSH server {server} has no way of encryption in common with us: {error}.") from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        raise SshUnavailableError(
            f"What listens at {server} did not greet us as an SSH server within {server.deadlines.connect:g} s. "
            "Check its address and port; a busy server may answer later."
        ) from error
    except BaseException:
        transport.close()
        raise
    return transport


def _host_key(server: SshServer, transport: Transport) -> HostKey:
    import paramiko

    try:
        key = transport.get_remote_server_key()
    except paramiko.SSHException as error:
        raise SshUnavailableError(
            f"The SSH server {server} did not agree on keys within {server.deadlines.connect:g} s."
        ) from error
    return HostKey(key.get_name(), key.asbytes())


def _socket(server: SshServer) -> socket.socket:
    try:
        opened = socket.create_connection((server.address, server.port), server.deadlines.connect)
    except socket.gaierror as error:
        unknown = f"The name of the SSH server {server.address} is not known to the DNS ({error.strerror}). Check it."
        if error.errno == socket.EAI_AGAIN:
            raise SshUnavailableError(unknown) from error
        raise SshError(unknown) from error
    except ConnectionRefusedError as error:
        raise SshUnavailableError(
            f"Nothing listens at {server}: the connection was refused. Check its address and port, and that it runs."
        ) from error
    except OSError as error:
        reason = error.strerror or f"no answer within {server.deadlines.connect:g} s"
        raise SshUnavailableError(
            f"The SSH server {server} cannot be reached: {reason}. Check its address, its port, and firewalls between."
        ) from error
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Without these a connection whose other end is gone looks alive for hours: tcp(7).
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SECONDS_BETWEEN_SIGNS_OF_LIFE)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _SECONDS_BETWEEN_SIGNS_OF_LIFE)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(server.deadlines.answer * 1000))
    return opened
