"""PATHs that stand for several: what each character means, and that no pattern costs more than it should."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.copies.path_patterns import PathPattern, is_pattern


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        (b"srv/*.log", [b"srv/a.log", b"srv/.log"], [b"srv/a/b.log", b"a.log", b"srv/a.logs", b"srv"]),
        (b"*", [b"srv"], [b"srv/a"]),
        (b"srv/**/*.log", [b"srv/a.log", b"srv/a/b/c.log"], [b"log", b"srv/a.log/b", b"x/srv/a.log"]),
        (b"**/a", [b"a", b"b/a", b"b/c/a"], [b"a/b", b"ba", b"b/ba"]),
        (b"srv/**", [b"srv/a", b"srv/a/b"], [b"srv", b"srvx/a"]),
        (b"**", [b"a", b"a/b/c"], []),
        (b"a/**/**/b", [b"a/b", b"a/x/b", b"a/x/y/b"], [b"a/bx"]),
        (b"a**b", [b"ab", b"axxb"], [b"a/b", b"ax/xb"]),
        (b"s?v/x", [b"srv/x", "sрv/x".encode(), b"s\xffv/x"], [b"s/v/x", b"sv/x", b"srrv/x"]),
        (b"[ab]/[!c-e]", [b"a/f", b"b/a", b"a/\n"], [b"c/f", b"a/d", b"a//", b"ab/f"]),
        ("[äö]".encode(), ["ä".encode()], [b"\xc3", b"\xa4"]),
        (b"\xff*", [b"\xff", b"\xff\xfe"], ["ÿ".encode()]),
        (b"a[b", [b"a[b"], [b"ab"]),
        (b"a[*", [b"a[", b"a[x"], [b"a"]),
        (b"a.b*", [b"a.b"], [b"axb"]),
        (b"/a*/", [b"a", b"ab"], [b"a/b"]),
        (b"line\nbreak*", [b"line\nbreak", b"line\nbreak\n"], [b"line"]),
        (b"[z-a]*", [], [b"z", b"-"]),
    ],
)
def test_what_the_characters_mean(pattern: bytes, matching: list[bytes], others: list[bytes]) -> None:
    compiled = PathPattern(pattern)
    assert [path for path in matching if not compiled.matches(path)] == []
    assert [path for path in others if compiled.matches(path)] == []


@pytest.mark.parametrize(
    ("path", "expected"), [(b"a*", True), (b"a?", True), (b"[", True), (b"a]", False), (b"a\\!{}", False)]
)
def test_which_paths_are_patterns(path: bytes, expected: bool) -> None:
    assert is_pattern(path) is expected


parts = st.binary(min_size=1, max_size=4).map(lambda part: part.translate(bytes(range(256)), b"/\0") or b"x")
paths = st.lists(parts | st.sampled_from([b"a", b"b", b"ab"]), min_size=1, max_size=5).map(b"/".join)
pattern_parts = st.sampled_from([b"**", b"*", b"a", b"b", b"?", b"a*", b"*b", b"[ab]", b"[!a]"])
patterns = st.lists(pattern_parts, min_size=1, max_size=5).map(b"/".join)


@given(path=paths)
def test_a_path_whose_special_characters_are_in_brackets_stands_for_itself(path: bytes) -> None:
    escaped = re.sub(rb"([*?\[])", rb"[\1]", path)
    pattern = PathPattern(escaped)
    assert pattern.matches(path)
    assert not pattern.matches(path + b"x")
    assert not pattern.matches(b"x" + path)


def by_hand(pattern: list[str], path: list[str]) -> bool:
    """The definition, written down as it is said: slow, and without any of the shortcuts."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(path)
        return any(by_hand(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and by_hand(pattern[1:], path[1:])


@given(pattern=patterns, path=st.lists(st.sampled_from(["a", "b", "ab", "ä"]), min_size=1, max_size=6))
def test_the_levels_are_matched_as_they_are_defined(pattern: bytes, path: list[str]) -> None:
    expected = by_hand(pattern.decode().split("/"), path)
    assert PathPattern(pattern).matches("/".join(path).encode()) is expected
    above = [path[:length] for length in range(1, len(path) + 1)]
    covered = any(by_hand(pattern.decode().split("/"), each) for each in above)
    assert PathPattern(pattern).covers("/".join(path).encode()) is covered


def test_no_pattern_takes_for_ever() -> None:
    """Each of these takes a naive matcher longer than the test may last."""
    assert not PathPattern(b"*a" * 100 + b"b").matches(b"a" * 4000)
    assert not PathPattern(b"**/a/" * 50 + b"b").matches(b"a/" * 2000 + b"a")
