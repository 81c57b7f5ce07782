"""Sizes, durations and counts as people read them, and secrets that are taken out of texts."""

from __future__ import annotations

import pytest

from model import Secret
from utils import first_statement, format_count, format_duration, format_size, printable, redact


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (12_345, "12.3 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (4_560_000_000, "4.56 GB"),
        (2.5e18, "2500 PB"),
    ],
)
def test_sizes_have_three_digits_and_decimal_units(size: float, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.3, "12 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_name_their_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_one_is_singular() -> None:
    assert [format_count(number, "file") for number in (0, 1, 2, 31_000)] == [
        "0 files",
        "1 file",
        "2 files",
        "31,000 files",
    ]


def test_a_name_cannot_move_the_cursor_or_break_a_line() -> None:
    assert printable(b"a\n\x1b[31m\xff\xc3\xa9") == "a\\n\\x1b[31m\\xffé"


def test_secrets_are_taken_out_and_what_only_looks_like_a_short_one_is_not() -> None:
    Secret("a long secret")
    Secret("1234")
    Secret(":")
    text = "a long secret, xa long secretx, 1234, 12345: 01234"
    assert redact(text) == "****, x****x, ****, 12345: 01234"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("", ""),
        ("The disk is full.", "The disk is full."),
        ("The disk is full.\nMake room.", "The disk is full."),
        ("These cannot be read:\n  /srv/shop: No such file", "These cannot be read: /srv/shop: No such file"),
        ("These cannot be read:\n  /a\n  /b\nCorrect them.", "These cannot be read: /a …"),
    ],
)
def test_the_first_statement_of_a_message_says_what_it_leads_over_to(message: str, said: str) -> None:
    assert first_statement(message) == said
