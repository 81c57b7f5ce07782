"""Looking for a file in all copies: which versions there were, in which copies, and how each is put back."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.copies.finding import Findings, SearchPattern, find_in_copies
from operations.copies.stored_copies import StoredCopy, list_copies
from tests.support.age_keys import make_key_pair
from tests.support.copies import STARTED, backup_of, make_copy, path_of
from tests.support.holdfast import BACKUP_ID, Holdfast

# --- the pattern ---


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("logo", ["logo", "srv/logo.png", "srv/my-logo", "logo/"], ["srv/LOGO", "logo/x", "srv"]),
        ("*.jpg", ["a.jpg", "srv/shop/b.jpg"], ["a.jpeg", "a.jpg/x", "a.JPG"]),
        ("logo.*", ["srv/logo.png"], ["srv/my-logo.png"]),
        ("srv/shop", ["srv/shop", "srv/shop/a"], ["srv/shopping", "x/srv/shop"]),
        ("/srv/shop/", ["srv/shop", "srv/shop/a/b"], ["srv"]),
        ("srv/*/a", ["srv/shop/a", "srv/x/a/b"], ["srv/a", "srv/x/y/a"]),
        ("srv/**/logo.*", ["srv/logo.png", "srv/a/b/logo.svg"], ["logo.png", "srv/xlogo.png"]),
        ("**/logo.png", ["logo.png", "a/b/logo.png"], ["a/xlogo.png"]),
        ("a[1].jpg", ["x/a[1].jpg", "x/a1.jpg"], ["x/a2.jpg"]),
        ("/logo", ["logo", "logo/x"], ["srv/logo"]),
    ],
)
def test_what_a_pattern_stands_for(pattern: str, matching: list[str], others: list[str]) -> None:
    search = SearchPattern(pattern.encode())
    assert [path for path in matching if not search.matches(path.rstrip("/").encode())] == []
    assert [path for path in others if search.matches(path.encode())] == []


def test_case_counts_unless_it_is_said_not_to() -> None:
    for pattern, path in (
        ("LOGO", "srv/logo.png"),
        ("*.JPG", "a/b.jpg"),
        ("SRV/*/Ä", "srv/shop/ä"),
        ("SRV/shop", "srv/shop/x"),
    ):
        assert not SearchPattern(pattern.encode()).matches(path.encode())
        assert SearchPattern(pattern.encode(), ignore_case=True).matches(path.encode())


@given(name=st.binary(min_size=1, max_size=8).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_name_is_found_by_itself_and_by_its_path(name: bytes) -> None:
    for ignore_case in (False, True):
        assert SearchPattern(name, ignore_case=ignore_case).matches(b"srv/" + name)
        assert SearchPattern(b"srv/" + name, ignore_case=ignore_case).matches(b"srv/" + name)


# --- several versions ---


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def copies_of(source: Path, storage: Path, *contents: str | None) -> list[StoredCopy]:
    """A copy each hour, newest first, with ``logo`` of this content, or without it; ``other`` stays as it is."""
    for hours, content in enumerate(contents):
        (source / "logo").unlink(missing_ok=True)
        if content is not None:
            (source / "logo").write_text(content)
            os.utime(source / "logo", (1_700_000_000, 1_700_000_000))
        (source / "other").write_text("other")
        make_copy(storage, source, started=STARTED + timedelta(hours=hours))
    return list(list_copies(backup_of(storage, source)).copies)


def find(copies: list[StoredCopy], pattern: str = "logo") -> Findings:
    return find_in_copies(BACKUP_ID, copies, SearchPattern(pattern.encode()), lambda _: None, lambda _: None)


def spans_of(findings: Findings, name: bytes = b"logo") -> list[tuple[int, str, str, int]]:
    (spans,) = [spans for path, spans in findings.spans.items() if path.endswith(b"/" + name)]
    return [(span.version.size, span.oldest[9:11], span.newest[9:11], span.copies) for span in spans]


def test_versions_that_stay_the_same_are_one(source: Path, tmp_path: Path) -> None:
    copies = copies_of(source, tmp_path / "storage", "a", "a", "bb", None, "bb", "bb", "ccc", None)
    findings = find(copies)
    assert spans_of(findings) == [(3, "09", "09", 1), (2, "07", "08", 2), (2, "05", "05", 1), (1, "03", "04", 2)]
    assert len(findings.searched) == 8
    (spans,) = findings.spans.values()
    assert findings.newer_without(spans[0]) == 1


def test_a_copy_that_cannot_be_searched_is_named_and_makes_no_gap(source: Path, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    copies = copies_of(source, storage, "a", "a", "a")
    for key in (copies[1].keys.index, copies[1].keys.archive):
        path_of(storage, key).write_bytes(b"rotten")
    findings = find(copies)
    assert spans_of(findings) == [(1, "03", "05", 2)]
    (problem,) = findings.problems
    assert problem.startswith(f"{copies[1]} could not be searched: ")


def test_without_its_index_the_archive_itself_is_asked(source: Path, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    copies = copies_of(source, storage, "a")
    path_of(storage, copies[0].keys.index).unlink()
    assert spans_of(find(copies)) == [(1, "03", "03", 1)]


def test_of_one_time_another_target_is_searched_where_the_first_cannot_be(source: Path, tmp_path: Path) -> None:
    (bad,) = copies_of(source, tmp_path / "bad", "a")
    (good,) = copies_of(source, tmp_path / "good", "a")
    for key in (bad.keys.index, bad.keys.archive):
        path_of(tmp_path / "bad", key).unlink()
    findings = find([bad, good])
    assert (spans_of(findings), findings.problems) == ([(1, "03", "03", 1)], [])
    assert len(find([good, good]).searched) == 1


# --- whole processes ---


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holdfast]:
    """Two copies: a file of odd name was changed in between, and another was removed."""
    folder = tmp_path_factory.mktemp("site")
    source = folder / "source"
    source.mkdir()
    site = Holdfast(folder / "machine")
    site.configure(source)
    for content, is_there in (("old", True), ("newer", False)):
        (source / os.fsdecode(b"it's \xe9.txt")).write_text(content)
        (source / "Gone [1].txt").write_text("gone")
        if not is_there:
            (source / "Gone [1].txt").unlink()
        site.back_up()
    yield site


def found(site: Holdfast, *arguments: str, exit_code: int = 0, **options: Any) -> Any:
    answer = site.run("restore.py", "find", *arguments, "--json", **options)
    assert answer.returncode == exit_code, answer.stderr
    return json.loads(answer.stdout)


def test_the_line_that_is_shown_puts_the_version_back(site: Holdfast, tmp_path: Path) -> None:
    """As it stands there, in bash: with the options that found it, whatever the name."""
    (backup,) = found(site, "*.txt")["backups"]
    restored = []
    for number, version in enumerate(version for each in backup["found"] for version in each["versions"]):
        to = tmp_path / str(number)
        line = version["restore"].replace("DIR", shlex.quote(str(to)), 1)
        line = line.replace("restore.py", shlex.join(map(str, site.command("restore.py")[:2])), 1)
        answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=site.environment())
        assert answer.returncode == 0, answer.stderr
        restored += [(os.fsencode(path.name), path.read_text()) for path in to.rglob("*.txt")]
    assert restored == [
        (b"Gone [1].txt", "gone"),
        (b"it's \xe9.txt", "newer"),
        (b"it's \xe9.txt", "old"),
    ]


def test_what_a_person_sees(site: Holdfast) -> None:
    answer = site.run("restore.py", "find", "gone", "-i", BACKUP_ID)
    assert answer.returncode == 0, answer.stderr
    path, sentence, line = answer.stdout.splitlines()
    assert path.endswith("/source/Gone [1].txt")
    assert sentence.startswith("  4 bytes, of 20")
    assert sentence.endswith("; not in the newer copy")
    assert line.startswith(f"    restore.py restore {BACKUP_ID}@")
    nothing = site.run("restore.py", "find", "source/nothing", BACKUP_ID)
    assert nothing.returncode == 0
    assert "Nothing in the 2 copies that were searched is called source/nothing." in nothing.stdout
    assert "'**/source/nothing' looks at every level." in nothing.stdout


def test_from_a_place_the_line_names_it(site: Holdfast, tmp_path: Path) -> None:
    other = Holdfast(tmp_path / "other")
    (backup,) = found(other, "gone", "-i", "--from", str(site.storage))["backups"]
    ((version,),) = [each["versions"] for each in backup["found"]]
    assert f"--from {site.storage} " in version["restore"]
    assert not other.state.exists()


def test_encrypted_copies_need_their_key(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").touch()
    key = make_key_pair("age", tmp_path)
    site = Holdfast(tmp_path / "site")
    site.configure(tmp_path / "source", ENCRYPT_TO=key.public)
    site.back_up()
    locked = found(site, "file", exit_code=1)
    assert "no private key is at hand" in locked["problems"][0]
    (backup,) = found(site, "file", "--identity", str(key.file))["backups"]
    assert f"--identity {key.file}" in backup["found"][-1]["versions"][0]["restore"]
