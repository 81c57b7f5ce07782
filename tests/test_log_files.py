"""Files that are appended to from several processes: no line is lost, none is torn, and they stay small."""

from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operations.log_files import append_rotating, rotate_if_full

PROCESSES = 4
LINES = 250


def append_many(path: Path, name: int) -> None:
    for number in range(LINES):
        append_rotating(path, f"{name} {number}\n", max_bytes=400, keep=1000)


def files(path: Path) -> list[Path]:
    """Oldest first, and the one that has the name now last."""
    rotated = sorted(path.parent.glob(f"{path.name}.*"), key=lambda found: -int(found.suffix[1:]))
    return [*rotated, path]


def test_four_processes_lose_no_line_and_tear_none(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=append_many, args=(path, name)) for name in range(PROCESSES)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    found = [file.read_text() for file in files(path)]
    assert all(len(text) <= 400 for text in found)
    lines = "".join(found).splitlines()
    for name in range(PROCESSES):  # each in the order in which it wrote them
        assert [line for line in lines if line.startswith(f"{name} ")] == [f"{name} {n}" for n in range(LINES)]
    assert len(lines) == PROCESSES * LINES


@given(st.lists(st.text("ab\n", min_size=1, max_size=12), max_size=30), st.integers(1, 20), st.integers(0, 3))
@settings(max_examples=50)
def test_what_is_kept_is_the_newest_and_never_more_than_that(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], max_bytes: int, keep: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "a.log"
    for text in texts:
        append_rotating(path, text, max_bytes=max_bytes, keep=keep)
    found = [file.read_text() for file in files(path) if file.exists()]
    assert "".join(texts).endswith("".join(found))
    assert len(found) <= keep + 1
    longest = max(map(len, texts), default=0)
    assert all(len(text) <= max(max_bytes, longest) for text in found)
    assert not texts or found[-1].endswith(texts[-1])


def test_it_and_its_folder_are_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "logs" / "audit.log"
    append_rotating(path, "é 日本\udcff\n")
    assert path.read_text("utf-8") == "é 日本\\udcff\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_one_that_a_program_writes_is_renamed_when_it_is_full_and_the_program_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "missed.log"
    rotate_if_full(path)
    assert not path.exists()
    with path.open("ab", buffering=0) as output:
        output.write(b"x" * 99)
        rotate_if_full(path, max_bytes=100)
        output.write(b"y")
        rotate_if_full(path, max_bytes=100)
        output.write(b"z")
    assert not path.exists()
    assert (tmp_path / "missed.log.1").read_bytes() == b"x" * 99 + b"yz"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(OSError, match="logs"):
        append_rotating(tmp_path / "logs" / "a.log", "line\n")
