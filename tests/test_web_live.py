"""Open pages are told what happens, as it happens, and never hold up anything."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from accounts import Role
from model import ActivityKind, Member, MemberKind
from operations.activities import Publication
from tests.support.dashboard import VIEWER, Client, Dashboard, dashboard, installation, running_dashboard
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.waiting import wait_for
from web import live

__all__ = ["dashboard", "installation"]

Event = tuple[str, dict[str, Any]]


class Stream:
    """The events that a client got until now; over a socket of its own, which can be closed while it is read."""

    def __init__(self, client: Client) -> None:
        address = urlsplit(client.base)
        self._socket = socket.create_connection((address.hostname, address.port))
        request = requests.Request("GET", f"{client.base}/api/v1/events", headers=dict(client.headers))
        headers = client.prepare_request(request).headers
        lines = [f"{name}: {value}" for name, value in {**headers, "Host": address.netloc}.items()]
        self._socket.sendall("\r\n".join(["GET /api/v1/events HTTP/1.1", *lines, "", ""]).encode())
        self.status = ""
        self.lines: list[str] = []
        self.has_ended = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        # Each event is a chunk of its own; the lines with their lengths are as good as empty ones.
        with self._socket.makefile("r", encoding="utf-8", newline="\n") as file, suppress(OSError):
            self.status = file.readline()
            for line in file:
                self.lines.append(line.rstrip())
                if line.strip() == "0":  # the last chunk
                    break
        self.has_ended.set()

    @property
    def events(self) -> list[Event]:
        lines = list(self.lines)
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        return list(zip(names, data, strict=False))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [data for each, data in self.events if each == name]

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@contextmanager
def listening(client: Client) -> Iterator[Stream]:
    stream = Stream(client)
    try:
        wait_for(lambda: stream.of("activity"))
        assert stream.status == "HTTP/1.1 200 OK\r\n"
        assert "content-type: text/event-stream; charset=utf-8" in stream.lines
        yield stream
    finally:
        stream.close()


def ids(data: dict[str, Any]) -> list[str]:
    return [each["id"] for each in data["activities"]]


def test_a_run_is_told_from_its_beginning_to_its_end(dashboard: Dashboard, tmp_path: Path) -> None:
    with (tmp_path / "source" / "large").open("wb") as file:
        for _ in range(200):
            file.write(bytes(1 << 20))
    with listening(dashboard.client(Role.VIEWER)) as stream:
        assert [name for name, _ in stream.events][:2] == ["hello", "activity"]
        assert stream.of("activity")[0] == {"activities": []}
        assert dashboard.client().post(f"/api/v1/backups/{BACKUP_ID}/run").status_code == HTTPStatus.ACCEPTED
        run = wait_for(lambda: next(iter(dashboard.catalog.runs(BACKUP_ID, 1)), None))
        wait_for(lambda: [data for data in stream.of("activity") if ids(data) == [run.id]])
        wait_for(lambda: ids(stream.of("activity")[-1]) == [])
        wait_for(lambda: [data for data in stream.of("backup") if data["levels"] == {BACKUP_ID: "good"}])
        numbers = [int(line.removeprefix("id: ")) for line in stream.lines if line.startswith("id: ")]
        assert numbers == sorted(set(numbers))


def test_progress_is_told_as_it_grows(dashboard: Dashboard) -> None:
    with (
        listening(dashboard.client()) as stream,
        Publication(dashboard.holdfast.state, ActivityKind.DRILL, BACKUP_ID, 100) as publication,
    ):
        for size in (5, 6):
            publication.advance(Member(b"<b>x</b>", MemberKind.FILE, 0o600, 0), size)
            wait_for(lambda: stream.of("activity")[-1]["activities"])
        (activity,) = wait_for(lambda: [each for each in stream.of("activity")[-1]["activities"] if each["size"] == 11])
        assert (activity["kind"], activity["expected_size"], activity["files"]) == ("drill", 100, 2)
        assert activity["path"] == "<b>x</b>"
        assert dashboard.client().get("/api/v1/activities").json()["activities"][0]["id"] == activity["id"]


def test_a_stream_ends_with_its_session(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_IS_WELCOME_EVERY", 0.1)
    leaving, staying = dashboard.client(Role.VIEWER), dashboard.client()
    with listening(leaving) as stream, listening(staying) as other:
        dashboard.accounts.remove_user(VIEWER)
        assert stream.has_ended.wait(60)
        assert not other.has_ended.is_set()


def test_a_stream_ends_with_its_token(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_IS_WELCOME_EVERY", 0.1)
    with listening(dashboard.program()) as stream:
        (token,) = dashboard.accounts.tokens()
        dashboard.accounts.remove_token(token.name)
        assert stream.has_ended.wait(60)


def test_a_quiet_stream_gives_a_sign_of_life(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_IS_WELCOME_EVERY", 0.05)
    monkeypatch.setattr(live, "_HEARTBEAT_EVERY", 0.1)
    with listening(dashboard.client()) as stream:
        wait_for(lambda: ": still here" in stream.lines)


def test_the_server_ends_although_streams_are_open(installation: Holdfast) -> None:
    with running_dashboard(installation) as dashboard:
        stream = Stream(dashboard.client())
        wait_for(lambda: stream.of("activity"))
    assert stream.has_ended.is_set()
    assert stream.lines[-1] == "0", "it was cut off, and did not end"
    stream.close()


def test_no_more_than_some_may_listen_and_who_leaves_makes_room(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_CLIENTS", 2)
    client = dashboard.client()
    with listening(client), listening(client):
        refused = client.get("/api/v1/events")
        assert (refused.status_code, refused.headers["Content-Type"]) == (503, "application/problem+json")
        assert refused.headers["Retry-After"] == "60"
    wait_for(lambda: not dashboard.services.broadcaster.is_full)
    with listening(client):
        pass


def test_a_client_that_does_not_read_holds_up_nobody_and_costs_no_memory(dashboard: Dashboard) -> None:
    """It gets what is newest once it reads again, and not all that was."""
    address = urlsplit(dashboard.base)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect((address.hostname, address.port))
    token = dashboard.token()
    deaf.sendall(
        f"GET /api/v1/events HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    with deaf, listening(dashboard.client()) as stream:
        for number in range(2000):
            levels: dict[str, str | None] = {f"shop/{each}-{number % 3}": "good" for each in range(200)}
            dashboard.services.broadcaster.backups_changed({**levels, "shop/number": str(number)})
        wait_for(lambda: stream.of("backup") and stream.of("backup")[-1]["levels"].get("shop/number") == "1999")
        clients = dashboard.services.broadcaster._clients
        assert len(clients) == 2
        assert max(len(client._levels) for client in clients) <= 601
        assert dashboard.client().get("/api/v1/health").status_code == HTTPStatus.OK
