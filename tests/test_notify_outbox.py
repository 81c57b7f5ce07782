"""Messages that wait: none is lost, none is sent twice, and none delays another; against a real mail server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from errors import NotificationError
from model import Secret
from notifications.channels import send, why_invalid
from notifications.delivery import deliver
from notifications.message import Level, Message
from notifications.outbox import MOST_MESSAGES, Outbox, Waiting, fingerprint
from tests.support.mail_server import MailServer, StallingServer, body_of
from tests.support.web_receiver import WebReceiver

NOW = datetime(2026, 11, 20, 3, tzinfo=UTC)


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


def message(number: int, url: str = "", *, level: Level = Level.FAILURE) -> Waiting:
    text = Message(f"Title {number}", f"Body {number}: Grüße, $x & <b>\n  indented\n", level)
    return Waiting(f"key {number}", fingerprint(Secret(url)), "shop/files", 0, text, NOW)


def stored(outbox: Outbox, url: str, count: int) -> list[Waiting]:
    return [outbox.put(message(number, url)) for number in range(count)]


def test_what_is_stored_comes_back_whole_and_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    first = outbox.put(message(1))
    assert outbox.put(message(1)) == first
    outbox.update(first.tried(NOW, "why"))
    (read,) = outbox.all()
    assert read == first.tried(NOW, "why")
    assert (read.path, read.is_due(NOW), read.is_due(NOW + timedelta(minutes=5))) == (first.path, False, True)
    assert read.is_due(NOW - timedelta(days=30)), "the clock was set back"
    (tmp_path / "outbox" / "20261120T030000Z-0.json").write_text("{")
    assert outbox.all() == [read]


def test_waits_grow_to_an_hour(tmp_path: Path) -> None:
    waiting, waits = message(1), []
    for _ in range(6):
        waiting = waiting.tried(NOW, "")
        assert waiting.next_try is not None
        waits.append((waiting.next_try - NOW).total_seconds() / 60)
    assert waits == [5, 10, 20, 40, 60, 60]


def test_messages_are_sent_in_their_order_and_are_gone_then(tmp_path: Path, mail: MailServer) -> None:
    outbox, url = Outbox(tmp_path), mail.url()
    delivery = deliver(outbox, stored(outbox, url, 3), lambda _: Secret(url), NOW)
    assert [each.message.title for each in delivery.taken] == mail.subjects == ["Title 0", "Title 1", "Title 2"]
    assert mail.bodies[0].replace("\r\n", "\n").strip() == "Body 0: Grüße, $x & <b>\n  indented"
    assert outbox.all() == []


def test_many_messages_for_one_address_are_one_and_nothing_of_them_is_missing(tmp_path: Path, mail: MailServer) -> None:
    outbox, url = Outbox(tmp_path), mail.url()
    deliver(outbox, stored(outbox, url, 40), lambda _: Secret(url), NOW)
    assert mail.subjects == ["Holdfast: 40 messages at once"]
    assert all(f"Body {number}: " in mail.bodies[0] for number in range(40))
    assert outbox.all() == []


def test_of_far_too_many_all_titles_are_told(tmp_path: Path, mail: MailServer) -> None:
    outbox, url = Outbox(tmp_path), mail.url()
    many = [
        outbox.put(Waiting(f"{n}", fingerprint(Secret(url)), "", 0, Message(f"Title {n}.", "x" * 2000), NOW))
        for n in range(30)
    ]
    deliver(outbox, many, lambda _: Secret(url), NOW)
    assert all(f"- Title {number}." in mail.bodies[0] for number in range(30))
    assert len(mail.bodies[0]) < 40_000
    assert "of these messages are here by their title only." in mail.bodies[0]


def test_an_address_that_does_not_answer_delays_no_other_and_keeps_its_messages(
    tmp_path: Path, mail: MailServer
) -> None:
    outbox = Outbox(tmp_path)
    with StallingServer() as silent:
        urls = {fingerprint(Secret(url)): Secret(url) for url in (mail.url(), silent.url)}
        waiting = [outbox.put(message(1, silent.url)), outbox.put(message(2, mail.url()))]
        delivery = deliver(outbox, waiting, lambda each: urls[each.channel], NOW, seconds=1.5)
        assert mail.subjects == ["Title 2"]
        assert [each.message.title for each in delivery.refused] == ["Title 1"]
        assert [each.message.title for each in outbox.all()] == ["Title 1"]


def test_a_message_is_sent_by_one_process_only(tmp_path: Path, mail: MailServer) -> None:
    outbox, url = Outbox(tmp_path), mail.url()
    waiting = stored(outbox, url, 1)
    with outbox.taken(waiting[0]) as is_ours:
        assert is_ours
        assert deliver(outbox, waiting, lambda _: Secret(url), NOW).taken == []
    deliver(outbox, waiting, lambda _: Secret(url), NOW)
    assert deliver(outbox, waiting, lambda _: Secret(url), NOW).taken == [], "what is gone was sent by somebody"
    assert mail.subjects == ["Title 0"]


def test_what_could_not_be_stored_is_sent_all_the_same(tmp_path: Path, mail: MailServer) -> None:
    url = mail.url()
    deliver(Outbox(tmp_path), [message(1, url)], lambda _: Secret(url), NOW)
    assert mail.subjects == ["Title 1"]


def test_there_are_never_more_than_so_many(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    outbox.put(message(0))
    (first,) = outbox.all()
    assert first.path is not None
    for number in range(MOST_MESSAGES + 4):
        text = first.path.read_text()
        first.path.with_name(f"20261121T{number:06d}Z-{number:016x}.json").write_text(text)
    over = outbox.overfull()
    assert len(over) == 5
    assert over[0].path == first.path


# --- Apprise ------------------------------------------------------------------------------------------------------


def test_what_a_server_answers_is_the_reason(mail: MailServer) -> None:
    mail.refusal = "451 Come back later"
    with pytest.raises(NotificationError, match=r"451.*Come back later"):
        send(Secret(mail.url()), message(1).message)
    mail.stop()
    with pytest.raises(NotificationError, match="Connection refused"):
        send(Secret(mail.url()), message(1).message)


def test_a_web_address_gets_the_message_as_json() -> None:
    with WebReceiver() as receiver:
        send(Secret(f"json://127.0.0.1:{receiver.port}/hook"), message(1).message)
        (request,) = receiver.requests
        assert (request.path, request.json["title"], request.json["type"]) == ("/hook", "Title 1", "failure")
        assert request.json["message"].strip() == "Body 1: Grüße, $x & <b>\n  indented"
        receiver.status = 403
        with pytest.raises(NotificationError, match="403"):
            send(Secret(f"json://127.0.0.1:{receiver.port}/hook"), message(1).message)


def test_ntfy_gets_it_as_it_documents() -> None:
    with WebReceiver() as receiver:
        send(Secret(f"ntfy://127.0.0.1:{receiver.port}/backups"), message(1).message)
        (request,) = receiver.requests
        assert (request.json["topic"], request.json["title"]) == ("backups", "Title 1")


@pytest.mark.parametrize(
    "url",
    [
        "mailtos://me:secret@mail.example.org?from=me@example.org&to=you@example.net",
        "mailtos://me:app-password@gmail.com",
        "ntfys://ntfy.sh/a-topic",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops",
        "tgram://123456789:abcdefg_hijklmnopqrstuvwxyz1234567/12315544/",
        "jsons://example.org/hook",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    ],
)
def test_the_addresses_of_the_documentation_are_known(url: str) -> None:
    assert why_invalid(Secret(url)) is None


@pytest.mark.parametrize("url", ["smtp://mail.example.org", "https://example.org/hook", "slack://x", "mailto://"])
def test_what_is_no_address_is_said(url: str) -> None:
    problem = why_invalid(Secret(url))
    assert problem is not None and "docs/notifications.md" in problem


def test_a_long_text_is_cut_and_not_refused() -> None:
    with WebReceiver() as receiver:
        send(Secret(f"json://127.0.0.1:{receiver.port}/"), Message("Title", "line\n" * 20_000))
        assert 1_000 < len(receiver.requests[0].json["message"]) < 40_000


def test_mail_has_plain_text(mail: MailServer) -> None:
    send(Secret(mail.url()), message(1).message)
    assert mail.messages[0].get_content_type() == "text/plain"
    assert "Body 1" in body_of(mail.messages[0])
