"""NOTIFY and PING: who is told, by the nearest of backup, project and DEFAULTS; and what of a URL is secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from model import Channel, Event, Ping, Secret
from model.telling import USUAL_EVENTS
from tests.support.configurations import errors_of, file_backup, load
from utils import redact

URL = "ntfys://a-topic"


def channels(folder: Path, text: str) -> tuple[Channel, ...]:
    (backup,) = load(folder, text).backups
    return tuple(Channel(each.url, each.events, each.summary) for each in backup.channels)


def ping(folder: Path, text: str) -> Ping | None:
    (backup,) = load(folder, text).backups
    return backup.ping


def channel(*events: Event, url: str = URL, summary: str | None = None) -> Channel:
    return Channel(Secret(url), frozenset(events) or USUAL_EVENTS, summary)


def in_project(text: str, key: str) -> str:
    return text.replace("NAME: shop\n", f"NAME: shop\n    {key}\n", 1)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ()),
        ("[]", ()),
        (f"{{URL: '{URL}'}}", (channel(),)),
        (f"[{{URL: '{URL}'}}, {{URL: 'json://a'}}]", (channel(), channel(url="json://a"))),
        (f"[URL: '{URL}', EVENTS: success]", (channel(Event.SUCCESS),)),
        (
            f"[{{URL: '{URL}', EVENTS: [Failure, DRILL_FAILED], SUMMARY: Daily}}]",
            (channel(Event.FAILURE, Event.DRILL_FAILED, summary="0 7 * * *"),),
        ),
        (f"{{URL: '{URL}', SUMMARY: weekly}}", (channel(summary="0 7 * * 1"),)),
        (f"{{URL: '{URL}', SUMMARY: '30  6 * * 1-5'}}", (channel(summary="30 6 * * 1-5"),)),
        (f"{{URL: '{URL}', EVENTS: [], SUMMARY: daily}}", (Channel(Secret(URL), frozenset(), "0 7 * * *"),)),
    ],
)
def test_channels(written: str, meant: tuple[Channel, ...], tmp_path: Path) -> None:
    assert channels(tmp_path, file_backup(NOTIFY=written)) == meant


def test_what_is_not_asked_for_is_told_but_for_success() -> None:
    assert {*USUAL_EVENTS, Event.SUCCESS} == set(Event)
    assert Event.SUCCESS not in USUAL_EVENTS


@pytest.mark.parametrize(
    ("defaults", "project", "own", "meant"),
    [
        ("d", None, None, "d"),
        ("d", "p", None, "p"),
        ("d", "p", "o", "o"),
        (None, "p", "o", "o"),
        ("d", None, "o", "o"),
        ("d", "", None, None),
        ("d", "p", "", None),
    ],
)
def test_the_nearest_says_it_and_takes_the_place_of_all_others(
    defaults: str | None, project: str | None, own: str | None, meant: str | None, tmp_path: Path
) -> None:
    def written(name: str) -> str:
        return f"[{{URL: 'json://{name}'}}]" if name else "[]"

    text = file_backup(**{} if own is None else {"NOTIFY": written(own)})
    if project is not None:
        text = in_project(text, f"NOTIFY: {written(project)}")
    if defaults is not None:
        text = f"DEFAULTS: {{NOTIFY: {written(defaults)}}}\n{text}"
    assert channels(tmp_path, text) == ((channel(url=f"json://{meant}"),) if meant else ())


def test_a_ping_holds_the_id_and_comes_from_the_nearest_too(tmp_path: Path) -> None:
    text = file_backup(NAME="Up loads")
    text = f"DEFAULTS: {{PING: {{URL: 'https://hc.example/k/{{backup}}?create=1', LOG: yes}}}}\n{text}"
    assert ping(tmp_path, text) == Ping(Secret("https://hc.example/k/shop-up-loads?create=1"), has_log=True)
    of_project = in_project(text, "PING: {URL: 'https://hc.example/p'}")
    assert ping(tmp_path, of_project) == Ping(Secret("https://hc.example/p"), has_log=False)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{URL: nonsense}", "URL must be a URL of Apprise"),
        ("{URL: 'mailtos://a b'}", "URL must be a URL of Apprise"),
        ("{EVENTS: [failure]}", "URL is missing."),
        (f"{{URL: '{URL}', EVENTS: [failed]}}", "EVENTS must be failure, partial, late, recovered, drill_failed or"),
        (f"{{URL: '{URL}', SUMMARY: hourly}}", "SUMMARY can be daily, weekly, or a cron expression, and must have"),
        (f"[{{URL: '{URL}'}}, {{URL: '{URL}'}}]", "NOTIFY has this URL already, in line "),
        ("yes", "NOTIFY must hold maps"),
    ],
)
def test_what_is_wrong_is_said(written: str, message: str, tmp_path: Path) -> None:
    (problem,) = errors_of(tmp_path, file_backup(NOTIFY=written))
    assert message in problem


def test_a_ping_that_several_backups_share_is_warned_of(tmp_path: Path) -> None:
    text = "DEFAULTS: {PING: {URL: 'https://hc.example/one'}}\n" + file_backup()
    assert load(tmp_path, text).warnings == ()
    text += file_backup(NAME="b").removeprefix("PROJECTS:\n").replace("NAME: shop", "NAME: blog", 1)
    (warning,) = load(tmp_path, text).warnings
    assert "and of others ping one address" in warning.message


@pytest.mark.parametrize(
    ("url", "secrets", "others"),
    [
        (
            "mailtos://me:pass%40word1@mail.example.org:465?to=you@example.net&from=me@example.org",
            ["pass%40word1", "pass@word1"],
            ["mail.example.org", "example.net"],
        ),
        (
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops",
            ["A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"],
            ["ops"],
        ),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", ["123456789", "12315544"], []),
        ("ntfys://tk_a8b7c6d5e4f3@ntfy.example.org/backups", ["tk_a8b7c6d5e4f3"], ["ntfy.example.org", "backups"]),
        ("json://[::1", [], []),
    ],
)
def test_parts_of_a_url_are_secret_and_names_of_hosts_are_not(
    url: str, secrets: list[str], others: list[str], tmp_path: Path
) -> None:
    load(tmp_path, file_backup(NOTIFY=f"{{URL: '{url}'}}"))
    for part in (*secrets, url):
        assert part not in redact(f"It said: {part} is wrong.")
    for part in others:
        assert part in redact(f"It said: {part} is wrong.")
