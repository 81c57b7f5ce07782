"""Real processes of our programs that begin with everything imported.

Starting Python and importing SQLAlchemy, the configuration and the operations takes 0.4 s of a processor, and most
tests of whole programs start several. So each test process has one *parent* that has imported them once; a program is a
fork of it. It is a process of its own in all that tests look at: its id, its environment, folder and descriptors, its
signals, its exit status. That a program starts from nothing is proven by the tests of ``main.py``, of cron, of
``--help`` and more, which do not come here, and by all of them with ``HOLDFAST_COLD=1``.

:class:`Process` is a ``subprocess.Popen``. What cannot be had of a fork is started from nothing: other programs, and
environments that the interpreter reads before its first line.
"""

from __future__ import annotations

import array
import atexit
import errno
import gc
import importlib
import inspect
import io
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ("main.py", "backup.py", "restore.py")
PLANNED = ROOT / "tests" / "support" / "planned.py"
IMPATIENT = ROOT / "tests" / "support" / "impatient.py"
IS_COLD = bool(os.environ.get("HOLDFAST_COLD"))

_READ_AT_START = ("PYTHON", "LC_", "LD_", "LANG", "TZ")
_ENVIRONMENT = dict(os.environ)

_LENGTH = struct.Struct("<I")
_STARTED = struct.Struct("<i")

# Not needed by these programs, or the libraries of vendors, which only some tests need.
_NOT_IMPORTED = ("web", "dashboard", "benchmarks", "tests", "accounts")


# --- the side of the tests --------------------------------------------------------------------------------------


class Process(subprocess.Popen[Any]):
    """Started from the parent where that is possible, and from nothing elsewhere."""

    _status: int | None = None

    def _execute_child(self, *arguments: Any) -> None:  # the one method in which subprocess makes a process
        base: Any = super()._execute_child  # type: ignore[misc]
        asked = inspect.signature(base).bind(*arguments).arguments
        command = [os.fsdecode(each) for each in asked["args"]] if isinstance(asked["args"], list) else []
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        streams = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if stream == -1 else stream for number, stream in enumerate(streams)]
        if IS_COLD or not _is_possible(command, environment, streams, asked):
            base(*arguments)
            return
        request = {
            "command": command,
            "environment": environment,
            "folder": os.fsdecode(asked["cwd"] or Path.cwd()),
            "umask": asked["umask"],
        }
        self.pid, self._status = _parent().start(request, streams)
        self._child_created = True
        for stream, others in (("p2cread", "p2cwrite"), ("c2pwrite", "c2pread"), ("errwrite", "errread")):
            if asked[stream] != -1 and asked[others] != -1:
                os.close(asked[stream])
        devnull = getattr(self, "_devnull", None)
        if devnull is not None:
            os.close(devnull)

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._status is None:
            answer: tuple[int, int] = super()._try_wait(wait_flags)  # type: ignore[misc]
            return answer
        os.set_blocking(self._status, not wait_flags & os.WNOHANG)
        try:
            data = os.read(self._status, _STARTED.size)
        except BlockingIOError:
            return 0, 0
        os.close(self._status)
        return self.pid, _STARTED.unpack(data)[0] if data else signal.SIGKILL

    def _internal_poll(self, *arguments: Any, **options: Any) -> int | None:
        if self._status is None:
            found: int | None = super()._internal_poll(*arguments, **options)  # type: ignore[misc]
            return found
        lock: threading.Lock = self._waitpid_lock  # type: ignore[attr-defined]
        if self.returncode is None and lock.acquire(False):
            try:
                if self.returncode is None and (ended := self._try_wait(os.WNOHANG))[0]:
                    self._handle_exitstatus(ended[1])  # type: ignore[attr-defined]
            finally:
                lock.release()
        return self.returncode


def run(command: Sequence[str | bytes | Path], **options: Any) -> subprocess.CompletedProcess[Any]:
    """``subprocess.run``, with a :class:`Process`."""
    timeout, check, given = (options.pop(name, None) for name in ("timeout", "check", "input"))
    if options.pop("capture_output", False):
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if given is not None:
        options["stdin"] = subprocess.PIPE
    with Process(list(command), **options) as process:
        try:
            output, errors = process.communicate(given, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, output, errors)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def _is_possible(
    command: Sequence[str], environment: Mapping[str, str], streams: Sequence[int], asked: Mapping[str, Any]
) -> bool:
    """Whether nothing is asked for that only a new interpreter can give."""
    if len(command) < 2 or command[0] != sys.executable:
        return False
    script = Path(command[1])
    if script == PLANNED:
        if len(command) < 4 or _needs_all_of_python(json.loads(command[2])):
            return False
        script = Path(command[3])
    elif script == IMPATIENT and len(command) > 2:
        script = Path(command[2])
    plain: dict[str, object] = {
        "executable": None,
        "preexec_fn": None,
        "shell": False,
        "pass_fds": (),
        "gid": None,
        "gids": None,
    }
    plain |= {"uid": None, "start_new_session": False, "process_group": -1, "startupinfo": None}
    return (
        script.name in PROGRAMS
        and script.parent == ROOT
        and all(asked.get(name, value) in (value, []) for name, value in plain.items())
        and not any(os.isatty(stream) for stream in streams)
        and _read_at_start(environment) == _read_at_start(_ENVIRONMENT)
    )


def _needs_all_of_python(plan: Mapping[str, Any]) -> bool:
    """A clock is planned before the first import of ours; one that stops is waited for, which only a parent can."""
    return "clock" in plan or any(event.get("signal") == signal.SIGSTOP for event in plan["events"])


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """What an interpreter, or a library as it is imported, looks at."""
    return {
        name: value for name, value in environment.items() if name.startswith(("PYTHON", "LC_", "LD_", "LANG", "TZ"))
    }


class _Parent:
    """The client of the parent of this test process. Safe in several threads."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._lock = threading.Lock()
        self._socket = ours
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        atexit.register(self.close)

    def start(self, request: Mapping[str, Any], streams: Sequence[int]) -> tuple[int, int]:
        """The id of a new process, and a pipe that will have its wait status (a C int) when it has ended."""
        reading, writing = os.pipe()
        message = json.dumps(request).encode()
        with self._lock:
            rights = array.array("i", [*streams, writing])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            self._socket.sendmsg([_LENGTH.pack(len(message))], ancillary)
            self._socket.sendall(message)
            os.close(writing)
            (process,) = _STARTED.unpack(_received(self._socket, _STARTED.size))
        return process, reading

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


_parents: dict[int, _Parent] = {}
_parents_lock = threading.Lock()


def _parent() -> _Parent:
    """That of this process: a fork of a test process has none yet."""
    with _parents_lock:
        if os.getpid() not in _parents:
            _parents[os.getpid()] = _Parent()
        return _parents[os.getpid()]


# --- the side of the parent -------------------------------------------------------------------------------------


def serve(connection: socket.socket) -> None:
    """Start what is asked for and tell how each ended, until nobody can ask any more."""
    waiting = selectors.DefaultSelector()
    waiting.register(connection, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            if key.fileobj is not connection:
                _tell_end(waiting, key)
            elif not _start(connection, waiting):
                return


def _start(connection: socket.socket, waiting: selectors.BaseSelector) -> bool:
    head, ancillary, _, _ = connection.recvmsg(_LENGTH.size, socket.CMSG_SPACE(4 * 4))
    if not head:
        return False
    descriptors = array.array("i")
    for _, _, data in ancillary:
        descriptors.frombytes(data)
    *streams, status = descriptors
    request = json.loads(_received(connection, _LENGTH.unpack(head)[0]))
    process = os.fork()
    if process == 0:
        for key in waiting.get_map().values():
            os.close(key.fd)
            if key.data:
                os.close(key.data[1])
        os.close(status)
        _become(request, streams)
    for stream in streams:
        os.close(stream)
    watched = os.pidfd_open(process)
    waiting.register(watched, selectors.EVENT_READ, (process, status))
    connection.sendall(_STARTED.pack(process))
    return True


def _tell_end(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    process, status = key.data
    _, ended = os.waitpid(process, 0)
    waiting.unregister(key.fileobj)
    os.close(key.fd)
    try:
        os.write(status, _STARTED.pack(ended))
    except OSError as error:
        if error.errno != errno.EPIPE:  # the test did not wait for it
            raise
    os.close(status)


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> NoReturn:
    """This process is the program from now on."""
    exit_code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in streams:
            if stream > 2:
                os.close(stream)
        _open_standard_streams()
        os.chdir(request["folder"])
        if request["umask"] >= 0:
            os.umask(request["umask"])
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        sys.orig_argv = list(request["command"])
        sys.argv = sys.orig_argv[1:]
        exit_code = _run(sys.argv[0])
    except SystemExit as ending:
        exit_code = ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        _end(exit_code)


def _open_standard_streams() -> None:
    """Anew: what the parent's know of their descriptors (whether one can seek) is not so of these."""
    stdin, stdout, stderr = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), stdin.encoding, stdin.errors)
    sys.stdout = _written_to(1, stdout, is_by_line=False)
    sys.stderr = _written_to(2, stderr, is_by_line=True)


def _written_to(descriptor: int, before: Any, *, is_by_line: bool) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, "w", closefd=False)
    is_at_once = before.write_through
    binary: Any = raw if is_at_once else io.BufferedWriter(raw)
    return io.TextIOWrapper(binary, before.encoding, before.errors, line_buffering=is_by_line, write_through=is_at_once)


def _run(script: str) -> int:
    if Path(script) in (PLANNED, IMPATIENT):
        runpy.run_path(script, run_name="__main__")
        return 0
    module = importlib.import_module(Path(script).stem)
    sys.modules["__main__"] = module
    exit_code: int = module.main()
    return exit_code


def _end(exit_code: int) -> NoReturn:
    """As an interpreter ends: threads first, then what was registered, then what is buffered."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except BaseException:
        exit_code = exit_code or 120  # as Python says it, where standard output cannot be flushed
    finally:
        os._exit(exit_code & 0xFF)


def _received(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        chunk = connection.recv(length - len(data))
        if not chunk:
            raise EOFError("the other side has ended")
        data += chunk
    return data


def _import_everything() -> None:
    sys.path[0] = str(ROOT)
    from tests.support.product_code import product_files

    for path in product_files():
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith(_NOT_IMPORTED) and "migrations" not in name:
            importlib.import_module(name)
    for name in ("sqlalchemy.dialects.sqlite", "tests.support.planned", "yaml.cyaml", "zstandard", "isal.isal_zlib"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # forks share the memory of what is never looked at again


if __name__ == "__main__":
    _import_everything()
    serve(socket.socket(fileno=int(sys.argv[1])))
