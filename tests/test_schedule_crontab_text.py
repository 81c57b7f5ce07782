"""The text of a crontab: ours changes, the user's does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import ScheduleError
from schedules.crontab_text import check_limits, header, marker, owners, update

OWNER = Path("/srv/holdfast/config.yaml")
HEADER = b'# Holdfast wrote the lines that end in "# holdfast:/srv/holdfast/config.yaml": edit that file, not them.'
MARKER = b" # holdfast:/srv/holdfast/config.yaml"


def line(backup: str, interval: str = "0 2 * * *", marker: bytes = MARKER) -> bytes:
    return f"{interval} /venv/bin/python /srv/backup.py --scheduled {backup}".encode() + marker


def test_the_first_lines_come_last_below_a_header() -> None:
    assert update(b"MAILTO=me\n", OWNER, [line("a/x"), line("b/x")]) == b"\n".join(
        [b"MAILTO=me", HEADER, line("a/x"), line("b/x"), b""]
    )


def test_into_no_crontab_at_all() -> None:
    assert update(b"", OWNER, [line("a/x")]) == HEADER + b"\n" + line("a/x") + b"\n"


def test_a_missing_last_newline_is_the_only_byte_added() -> None:
    assert update(b"* * * * * job", OWNER, [line("a/x")]) == b"\n".join([b"* * * * * job", HEADER, line("a/x"), b""])


@pytest.mark.parametrize(
    "foreign", [b"", b"\n", b"* * * * * job", b"\r\n\r\n", b"#", b"\xff\xfe\n\n\n", b"\x0b\x0c\x1c\n"]
)
def test_without_lines_of_ours_nothing_is_removed(foreign: bytes) -> None:
    assert update(foreign, OWNER, []) == foreign


@pytest.mark.parametrize(
    "foreign", [b"", b"\n", b"* * * * * job\n", b"\r\n\r\n", b"#\n", b"\xff\xfe\n\n\n", b"\x0b\x0c\x1c\n"]
)
def test_removing_undoes_installing(foreign: bytes) -> None:
    assert update(update(foreign, OWNER, [line("a/x"), line("b/x")]), OWNER, []) == foreign


def test_a_changed_interval_is_changed_in_its_place() -> None:
    before = b"\n".join([line("a/x"), b"# mine", line("b/x"), b"MAILTO=me", line("c/x"), b""])
    assert update(before, OWNER, [line("a/x"), line("b/x", "@daily"), line("c/x")]) == b"\n".join(
        [line("a/x"), b"# mine", line("b/x", "@daily"), b"MAILTO=me", line("c/x"), b""]
    )


def test_new_lines_follow_the_one_before_them_in_the_configuration() -> None:
    before = b"\n".join([HEADER, line("b/x"), b"# mine", line("d/x"), b"# end", b""])
    wanted = [line(name) for name in ("a/x", "b/x", "c/x", "d/x", "e/x", "f/x")]
    assert update(before, OWNER, wanted) == b"\n".join(
        [HEADER, line("a/x"), line("b/x"), line("c/x"), b"# mine", line("d/x"), line("e/x"), line("f/x"), b"# end", b""]
    )


def test_lines_that_the_user_moved_stay_where_they_are() -> None:
    before = b"\n".join([line("b/x"), b"# mine", line("a/x"), b""])
    assert update(before, OWNER, [line("a/x"), line("b/x")]) == before


def test_a_line_that_stands_there_twice_goes_once() -> None:
    before = b"\n".join([line("a/x"), b"# mine", line("a/x"), b""])
    assert update(before, OWNER, [line("a/x")]) == line("a/x") + b"\n# mine\n"


def test_a_line_that_is_wanted_twice_is_there_twice() -> None:
    after = update(b"", OWNER, [line("a/x"), line("a/x")])
    assert after.count(line("a/x")) == 2
    assert update(after, OWNER, [line("a/x"), line("a/x")]) == after


def test_a_header_that_stayed_alone_is_used_again() -> None:
    before = b"\n".join([b"# first", HEADER, b"# last", b""])
    assert update(before, OWNER, [line("a/x")]) == b"\n".join([b"# first", HEADER, line("a/x"), b"# last", b""])


def test_a_header_that_the_user_removed_stays_away() -> None:
    assert update(line("a/x") + b"\n", OWNER, [line("b/x")]) == line("b/x") + b"\n"


def test_a_commented_line_is_the_users() -> None:
    before = b"  # " + line("a/x") + b"\n#" + line("b/x") + b"\n"
    assert update(before, OWNER, []) == before
    assert update(before, OWNER, [line("a/x")]) == before + HEADER + b"\n" + line("a/x") + b"\n"


def test_an_editor_with_crlf_makes_no_line_foreign() -> None:
    before = b"MAILTO=me\r\n" + HEADER + b"\r\n" + line("a/x") + b"\r\n"
    assert update(before, OWNER, [line("a/x")]) == before
    assert update(before, OWNER, []) == b"MAILTO=me\r\n"


@pytest.mark.parametrize(
    "foreign",
    [
        line("a/x", marker=b" # holdfast:/srv/holdfast/config.yaml2"),
        line("a/x", marker=b" # holdfast:/srv/holdfast/config.yam"),
        line("a/x", marker=b" # holdfast:/x/srv/holdfast/config.yaml"),
        line("a/x", marker=b" # holdfast:srv/holdfast/config.yaml"),
        line("a/x", marker=MARKER + b" "),
        line("a/x", marker=MARKER + b" # and more"),
        line("a/x", marker=b" holdfast:/srv/holdfast/config.yaml"),
        line("a/x", marker=b" #holdfast:/srv/holdfast/config.yaml"),
        HEADER + b" ",
        HEADER[2:],
        b"# " + HEADER,
    ],
)
def test_a_line_that_is_nearly_ours_is_not_ours(foreign: bytes) -> None:
    before = foreign + b"\n"
    assert update(before, OWNER, []) == before
    assert OWNER not in owners(before)


def test_two_owners_never_touch_each_other() -> None:
    other = Path("/srv/holdfast/config.yaml.d/config.yaml")
    theirs = [line("a/x", marker=marker(other))]
    both = update(update(b"# mine\n", OWNER, [line("a/x")]), other, theirs)
    assert owners(both) == [OWNER, other]
    assert update(both, OWNER, []) == update(b"# mine\n", other, theirs)
    assert update(both, other, []) == update(b"# mine\n", OWNER, [line("a/x")])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/srv/my backups/config.yaml", rb" # holdfast:/srv/my\%20backups/config.yaml"),
        ("/srv/50%/c#1:2.yaml", rb" # holdfast:/srv/50\%25/c\%231\%3A2.yaml"),
        ("/srv/é/config.yaml", rb" # holdfast:/srv/\%C3\%A9/config.yaml"),
        ("/srv/\udcff/config.yaml", rb" # holdfast:/srv/\%FF/config.yaml"),
        ("/srv/a\nb/config.yaml", rb" # holdfast:/srv/a\%0Ab/config.yaml"),
    ],
)
def test_every_path_makes_a_marker_that_leads_back_to_it(path: str, expected: bytes) -> None:
    assert marker(Path(path)) == expected
    assert owners(b"@daily job" + expected + b"\n") == [Path(path)]
    assert owners(header(Path(path)) + b"\n") == [Path(path)]


def test_a_marker_that_we_would_not_write_has_no_owner() -> None:
    assert owners(rb"@daily job # holdfast:/srv/%7Eme" + b"\n" + rb"@daily job # holdfast:/srv/\%7Eme") == []


def test_the_limit_of_cron_is_said_before_it_refuses() -> None:
    full = b"#\n" * 10_000
    check_limits(b"", full)
    with pytest.raises(ScheduleError, match="10,001 lines, and cron refuses more than 10,000"):
        check_limits(full, full + b"#\n")


def test_a_crontab_that_is_too_long_already_can_be_made_shorter() -> None:
    check_limits(b"#\n" * 10_002, b"#\n" * 10_001)


# --- 1,000 edits, 0 foreign bytes -------------------------------------------------------------------------------

NEARLY_OURS = [
    line("shop/files", marker=b" # holdfast:/srv/holdfast/config.yaml2"),
    line("shop/files", marker=b" # holdfast:/srv/holdfast/config.yam"),
    line("shop/files", marker=b" # holdfast:/old/srv/holdfast/config.yaml"),
    line("shop/files", marker=MARKER + b" "),
    b"#" + line("shop/files"),
    b" \t# " + line("shop/files"),
    b"#" + HEADER,
]
USUAL = [
    b"",
    b"   ",
    b"\t",
    b"# a comment",
    b'MAILTO="a b"',
    b"PATH = /usr/bin:/bin",
    b"  5   0 * * *\t\t$HOME/bin/daily.job   >> out  2>&1 ",
    b"0 22 * * 1-5 mail -s x joe%Joe,%%Where are your kids?%",
    b"@reboot /bin/true",
    b"61 * * * * refused by cron",
    b"caf\xe9 \xff\xfe",
    b"\x0bvertical\x0c\x1c\x85",
]
foreign_texts = st.one_of(
    st.sampled_from(NEARLY_OURS),
    st.sampled_from(USUAL),
    st.binary(max_size=20).map(lambda text: text.replace(b"\n", b"")),
)
foreign_lines = st.builds(bytes.__add__, foreign_texts, st.sampled_from([b"\n", b"\n", b"\r\n"]))
wanted_lines = st.lists(
    st.builds(
        line,
        st.sampled_from(["shop/files", "shop/db", "a/b", "é/x"]),
        st.sampled_from(["0 2 * * *", "@daily", "*/5 1-3 * * 1,2"]),
    ),
    max_size=6,
    unique=True,
)


def is_ours(text: bytes) -> bool:
    text = text.removesuffix(b"\n").removesuffix(b"\r")
    return text == HEADER or (text.endswith(MARKER) and not text.strip(b" \t").startswith(b"#"))


def split(crontab: bytes) -> list[bytes]:
    return [part + b"\n" for part in crontab.split(b"\n")[:-1]] + [part for part in crontab.split(b"\n")[-1:] if part]


def edit_as_a_user_would(draw: st.DataObject, crontab: bytes) -> bytes:
    """Lines of their own anywhere, some lines of ours deleted, commented out or saved with CRLF, the last one cut."""
    lines = split(crontab if crontab.endswith(b"\n") else crontab + b"\n")
    for new in draw.draw(st.lists(foreign_lines, max_size=4)):
        lines.insert(draw.draw(st.integers(0, len(lines))), new)
    for position in range(len(lines)):
        if is_ours(lines[position]):
            what = draw.draw(st.sampled_from(["keep", "keep", "keep", "delete", "comment out", "CRLF"]))
            lines[position] = {
                "keep": lines[position],
                "delete": b"",
                "comment out": b"# " + lines[position],
                "CRLF": lines[position].rstrip(b"\r\n") + b"\r\n",
            }[what]
    edited = b"".join(lines)
    return edited.removesuffix(b"\n") if draw.draw(st.booleans()) else edited


def is_in_order(lines: list[bytes], among: list[bytes]) -> bool:
    remaining = iter(among)
    return all(part in remaining for part in lines)


EDITS_PER_EXAMPLE = 5


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_edit_changes_a_byte_that_is_not_ours(draw: st.DataObject) -> None:
    """300 examples of 5 edits each: 1,500 edits."""
    crontab = b""
    for _ in range(EDITS_PER_EXAMPLE):
        before = edit_as_a_user_would(draw, crontab)
        wanted = draw.draw(wanted_lines)
        crontab = update(before, OWNER, wanted)

        foreign_before = b"".join(part for part in split(before) if not is_ours(part))
        foreign_after = b"".join(part for part in split(crontab) if not is_ours(part))
        assert foreign_after in (foreign_before, foreign_before + b"\n")
        assert foreign_after == foreign_before or not before.endswith(b"\n")
        ours = [part.rstrip(b"\r\n") for part in split(crontab) if is_ours(part) and not part.startswith(b"#")]
        assert sorted(ours) == sorted(wanted)
        assert update(crontab, OWNER, wanted) == crontab
        assert crontab == before or not crontab or crontab.endswith(b"\n")
        kept = [part for part in split(before) if part.endswith(b"\n") and part.rstrip(b"\r\n") in wanted]
        assert is_in_order(kept, split(crontab))
        if not wanted:
            assert not any(is_ours(part) for part in split(crontab))
