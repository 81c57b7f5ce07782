"""The dashboard with a long history: how soon its pages begin to come to many readers at once, and what it holds."""

from __future__ import annotations

import http.client
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from benchmarks.archives import holdfast
from benchmarks.report import Table
from catalog import open_catalog
from model import Run, RunStatus
from tests.support import big_catalog
from utils import utc_now

BACKUPS = 1_000
RUNS_EACH = 1_000
READERS = 20

ABOUT = """\
Made by `make bench` (`benchmarks/dashboard.py`): the real dashboard as a process, and its readers as another one on the
same machine."""

_SECONDS_A_PAGE = 6.0
_EVENTS = 20
_USER, _PASSWORD = "reader", "a long enough password"
_BACKUP = "project-001/backup-0"


@dataclass(frozen=True, slots=True)
class Serving:
    """A dashboard that answers. ``cookie`` is that of a session."""

    host: str
    port: int
    process: int
    cookie: str


def reading(work: Path) -> list[Table]:
    """The tables of the page: each address with 20 readers, live events, memory."""
    folder = work / "dashboard"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(big_catalog.configuration_text(BACKUPS))
    (folder / ".env").write_text("")
    big_catalog.fill(folder / "state", BACKUPS, RUNS_EACH, utc_now())
    with a_dashboard(folder) as serving:
        started = time.monotonic()
        _wait_until_whole(serving)
        ready = time.monotonic() - started
        alone = {path: _read(serving, path, 1, _SECONDS_A_PAGE / 2) for path in _addresses()}
        crowded = {path: _read(serving, path, READERS, _SECONDS_A_PAGE) for path in _addresses()}
        delays = _event_delays(serving, folder)
        memory = peak_memory(serving.process)
    rows = [
        (
            path,
            f"{statistics.median(alone[path]) * 1000:.0f} ms",
            f"{statistics.median(seconds) * 1000:.0f} ms",
            f"{_percentile(seconds, 0.99) * 1000:.0f} ms",
            f"{len(seconds):,}",
        )
        for path, seconds in crowded.items()
    ]
    all_seconds = [each for seconds in crowded.values() for each in seconds]
    summary = [
        ("first byte with 20 readers, all addresses: median", "< 200 ms", _ms(statistics.median(all_seconds))),
        ("the same: 99th percentile", "< 500 ms", _ms(_percentile(all_seconds, 0.99))),
        ("the slowest address: median", "< 200 ms", _ms(max(statistics.median(each) for each in crowded.values()))),
        ("the slowest address: 99th percentile", "< 500 ms", _ms(max(_percentile(e, 0.99) for e in crowded.values()))),
        (f"from the record of a run to its event, the longest of {_EVENTS}", "< 1 s", _ms(max(delays))),
        ("the most memory that it held", "< 200 MB", f"{memory / 1e6:.0f} MB"),
        ("from its first answer until all of the catalog is known", "", f"{ready:.1f} s"),
    ]
    text = f"{BACKUPS:,} backups with {BACKUPS * RUNS_EACH:,} runs in SQLite; readers and dashboard share the machine."
    return [
        Table("What was to be reached", text, ("aim", "wanted", "measured"), summary),
        Table(
            "Each address",
            "The time from sending the request to the first byte of the answer, over one connection for each reader.",
            ("address", "one reader, median", f"{READERS} readers, median", "99th percentile", "answers"),
            rows,
            [(f"Holdfast {path}", statistics.median(seconds)) for path, seconds in crowded.items()],
        ),
    ]


def _addresses() -> Sequence[str]:
    run = f"{5:08x}{RUNS_EACH - 3:024x}"
    day = f"{utc_now() - timedelta(days=3):%Y-%m-%d}"
    project = _BACKUP.partition("/")[0]
    return (
        "/",
        f"/projects/{project}",
        f"/backups/{_BACKUP}",
        f"/runs/{run}",
        "/runs",
        f"/days/{day}",
        "/storage",
        "/schedule",
        "/config",
        "/api/v1/overview",
        f"/api/v1/backups/{_BACKUP}",
        "/metrics",
    )


@contextmanager
def a_dashboard(folder: Path) -> Iterator[Serving]:
    environment = {**os.environ, "STATE_DIR": str(folder / "state")}
    add = [*holdfast("main.py", folder, "user"), "add", _USER, "--role", "operator", "--password-stdin"]
    subprocess.run(add, input=_PASSWORD.encode(), env=environment, check=True, stdout=subprocess.DEVNULL)
    command = [*holdfast("dashboard.py", folder), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None, "the dashboard did not start"
        parts = urlsplit(address.group())
        host, port = parts.hostname or "", parts.port or 0
        yield Serving(host, port, process.pid, _sign_in(host, port))
    finally:
        process.terminate()
        process.wait()


def _sign_in(host: str, port: int) -> str:
    connection = http.client.HTTPConnection(host, port)
    connection.request("GET", "/sign-in")
    page = connection.getresponse()
    html = page.read().decode()
    token = re.search(r'name="csrf_token" value="([^"]*)"', html)
    cookie = (page.getheader("Set-Cookie") or "").partition(";")[0]
    form = {"name": _USER, "password": _PASSWORD, "csrf_token": token.group(1) if token else ""}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    connection.request("POST", "/sign-in", urlencode(form), headers)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 303, f"signing in was answered with {answer.status}"
    return (answer.getheader("Set-Cookie") or "").partition(";")[0]


def _wait_until_whole(serving: Serving) -> None:
    """Until every backup is known with its history."""
    connection = http.client.HTTPConnection(serving.host, serving.port)
    while True:
        connection.request("GET", "/api/v1/overview", headers={"Cookie": serving.cookie})
        answer = connection.getresponse()
        if b'"is_whole":true' in answer.read().replace(b" ", b""):
            return
        time.sleep(0.1)


# --- readers -----------------------------------------------------------------------------------------------------


def _read(serving: Serving, path: str, readers: int, seconds: float) -> list[float]:
    """How long each answer took to begin. The readers are a process of their own, as they are in life."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_readers, args=(serving, path, readers, seconds, sender)
    )
    process.start()
    measured: list[float] = receiver.recv()
    process.join()
    return measured


def _readers(serving: Serving, path: str, readers: int, seconds: float, sender: Any) -> None:
    measured: list[float] = []
    end = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_reader, args=(serving, path, end, measured), daemon=True) for _ in range(readers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sender.send(measured)


def _reader(serving: Serving, path: str, end: float, measured: list[float]) -> None:
    connection = http.client.HTTPConnection(serving.host, serving.port)
    headers: Mapping[str, str] = {"Cookie": serving.cookie}
    while time.monotonic() < end:
        begun = time.monotonic()
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        measured.append(time.monotonic() - begun)
        answer.read()
        assert answer.status == 200, f"{path} was answered with {answer.status}"


# --- live --------------------------------------------------------------------------------------------------------


def _event_delays(serving: Serving, folder: Path) -> list[float]:
    """Seconds from the record of a run in the catalog to the event that tells of it."""
    connection = http.client.HTTPConnection(serving.host, serving.port, timeout=30)
    connection.request("GET", "/api/v1/events", headers={"Cookie": serving.cookie})
    stream = connection.getresponse()
    arrived: dict[int, float] = {}
    awaited = threading.Event()
    count = 0

    def listen() -> None:
        event = b""
        with suppress(OSError, ValueError, AttributeError):  # http.client, once the connection is closed
            while line := stream.readline():
                if line.startswith(b"event:"):
                    event = line.partition(b":")[2].strip()
                elif line.startswith(b"data:") and event == b"backup" and _BACKUP.encode() in line:
                    arrived.setdefault(count, time.monotonic())
                    awaited.set()

    threading.Thread(target=listen, daemon=True).start()
    catalog = open_catalog(folder / "state", None)
    delays = []
    for count in range(1, _EVENTS + 1):
        time.sleep(1.3 + count % 7 * 0.07)
        awaited.clear()
        run = Run(f"event-{count}", _BACKUP, utc_now())
        recorded = time.monotonic()
        catalog.begin_run(replace(run, ended=utc_now(), status=RunStatus.GOOD))
        assert awaited.wait(30), "no event came"
        delays.append(arrived[count] - recorded)
    catalog.close()
    connection.close()
    return delays


def peak_memory(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    for table in reading(Path(sys.argv[1])):
        print("\n".join("  ".join(row) for row in (table.header, *table.rows)))
