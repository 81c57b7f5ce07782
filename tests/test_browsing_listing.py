"""The listing of a copy: every member is found in its folder, once, in its order; the first page tells the same."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archives.entry import Entry
from archives.index import IndexWriter
from errors import DamagedArchiveError, UsageError
from model import Member, MemberKind
from operations.browsing.building import FIRST, FIRST_COUNT, INDEX, WHOLE, build
from operations.browsing.listing import Cursor, Item, Listing, NothingThereError, Place
from operations.browsing.natural_order import natural_key
from operations.copies.finding import SearchPattern
from tests.support.copies import change_lines

NAMES = st.one_of(
    st.sampled_from(
        [b"a", b"A", b"img2", b"img10", b"img010", b"..", b".", b"", b"caf\xe9", "é".encode(), b"\n", b'"']
    ),
    st.binary(min_size=1, max_size=3).filter(lambda name: b"/" not in name),
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
MEMBER = st.tuples(PATHS, st.sampled_from(MemberKind), st.integers(0, 1000))
MEMBERS = st.lists(MEMBER, min_size=1, max_size=30)


def entries_of(members: Sequence[tuple[bytes, MemberKind, int]]) -> list[Entry]:
    made, offset = [], 0
    for path, kind, size in members:
        member = Member(path, kind, 0o644, modified_ns=1_700_000_000_000_000_000, size=size)
        made.append(Entry(member, 0, size, size, 0, offset, 30 + len(path)))
        offset += made[-1].header_size + size
    return made


def index_of(folder: Path, entries: Sequence[Entry]) -> bytes:
    writer = IndexWriter(folder)
    for entry in entries:
        writer.add(entry)
    data = b"".join(writer.chunks())
    writer.close()
    return data


def listings(folder: Path, index: bytes) -> tuple[Listing | None, Listing]:
    """The first one, where there is one, and the whole one."""
    (folder / INDEX).write_bytes(index)
    build(folder, from_zip=False)
    return Listing(folder / FIRST) if (folder / FIRST).exists() else None, Listing(folder / WHOLE)


def whole(folder: Path, *members: tuple[bytes, MemberKind, int]) -> Listing:
    return listings(folder, index_of(folder, entries_of(members)))[1]


def all_children(listing: Listing, folder: Place, at_once: int) -> list[Item]:
    found: list[Item] = []
    after: Cursor | None = None
    while True:
        page = listing.children(folder, after, at_once)
        assert len(page.items) <= at_once
        found += page.items
        if page.next is None:
            return found
        after = page.next


def everything(listing: Listing, at_once: int, folder: Place = ()) -> list[Item]:
    found = []
    for item in all_children(listing, folder, at_once):
        found.append(item)
        if item.kind is MemberKind.DIRECTORY:
            found += everything(listing, at_once, item.place)
    return found


@settings(max_examples=60)
@given(MEMBERS, st.integers(1, 5))
def test_every_member_is_listed_once_in_its_folder(members: list[tuple[bytes, MemberKind, int]], at_once: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        listing = whole(Path(folder), *members)
        found = everything(listing, at_once)
    files = Counter(path for path, kind, _ in members if kind is not MemberKind.DIRECTORY)
    assert Counter(item.path for item in found if item.kind is not MemberKind.DIRECTORY) == files
    folders = [item for item in found if item.kind is MemberKind.DIRECTORY]
    assert len({item.place for item in folders}) == len(folders)
    wanted = {path for path, kind, _ in members if kind is MemberKind.DIRECTORY and path}
    assert wanted <= {item.path for item in folders}
    for item in folders:
        depth = len(item.place)
        below = [each for each in found if len(each.place) > depth and each.place[:depth] == item.place]
        sizes = [each.size or 0 for each in below if each.kind is not MemberKind.DIRECTORY]
        assert (item.files, item.size) == (len(sizes), sum(sizes))


@settings(max_examples=60)
@given(st.lists(MEMBER, min_size=1, max_size=30, unique_by=lambda member: member[0]))
def test_the_first_listing_has_what_the_whole_one_has(members: list[tuple[bytes, MemberKind, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, complete = listings(Path(folder), index_of(Path(folder), entries_of(members)))
        if first is None:
            return
        assert (first.start, first.is_complete, complete.is_complete) == (complete.start, False, True)

        def seen(listing: Listing) -> list[tuple[bytes, MemberKind, int | None]]:
            page = listing.children(listing.start, None, FIRST_COUNT)
            return [(i.name, i.kind, None if i.kind is MemberKind.DIRECTORY else i.size) for i in page.items]

        assert sorted(seen(first)) == sorted(seen(complete))


@settings(max_examples=60)
@given(MEMBERS, st.binary(min_size=1, max_size=2).filter(lambda text: text.strip(b"/")), st.integers(1, 3))
def test_a_search_finds_what_its_pattern_matches(
    members: list[tuple[bytes, MemberKind, int]], text: bytes, at_once: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        listing = whole(Path(folder), *members)
        found: list[Item] = []
        position: int | None = 0
        while position is not None:
            page = listing.search(text, position, at_once, seconds=10)
            found, position = [*found, *page.items], page.next
        pattern = SearchPattern(text, ignore_case=True)
        wanted = [item.place for item in everything(listing, 100) if pattern.matches(item.path)]
        assert Counter(item.place for item in found) == Counter(wanted)


@pytest.mark.parametrize("text", ["STRASSE", "straß", "*.JPG", "img[12]*", "srv/**/x*", "100%", "a_b", "é", "É"])
def test_searches_do_not_mind_the_case(tmp_path: Path, text: str) -> None:
    names = (
        "Straße.txt",
        "a.jpg",
        "IMG1.png",
        "img3.png",
        "srv/a/b/X.txt",
        "100%.txt",
        "1000.txt",
        "a_b",
        "axb",
        "École",
    )
    listing = whole(tmp_path, *((name.encode(), MemberKind.FILE, 1) for name in names))
    pattern = SearchPattern(text.encode(), ignore_case=True)
    wanted = [name for name in names if pattern.matches(name.encode())]
    assert wanted
    found = listing.search(text.encode(), 0, 100, seconds=10).items
    assert sorted(item.path.decode() for item in found) == sorted(wanted)


def test_a_search_that_has_no_time_goes_on_where_it_was(tmp_path: Path) -> None:
    listing = whole(tmp_path, *((b"%d" % number, MemberKind.FILE, 1) for number in range(20_100)))
    page = listing.search(b"20099", 0, 10, seconds=0)
    assert (page.items, page.searched, page.next) == ((), 20_000, 20_000)
    page = listing.search(b"20099", 20_000, 10, seconds=0)
    assert ([item.path for item in page.items], page.next) == ([b"20099"], None)


def test_folders_come_first_and_numbers_count() -> None:
    names = [b"img10", b"img2", b"IMG3", b"img02a", b"a", b"B", b"\xff"]
    assert sorted(names, key=natural_key) == [b"a", b"B", b"img2", b"img02a", b"IMG3", b"img10", b"\xff"]


def test_a_first_page_of_very_many_is_in_order_and_goes_on_in_the_whole_listing(tmp_path: Path) -> None:
    numbers = [(number * 7919) % 3001 for number in range(3001)]
    members = [(b"srv/f%d" % number, MemberKind.FILE, number) for number in numbers]
    members += [(b"srv/d%d/x" % number, MemberKind.FILE, 1) for number in range(50)]
    first, complete = listings(tmp_path, index_of(tmp_path, entries_of(members)))
    assert first is not None
    page = first.children(first.start, None, FIRST_COUNT)
    names = [item.name for item in page.items]
    assert names == [b"d%d" % number for number in range(50)] + [b"f%d" % number for number in range(FIRST_COUNT - 50)]
    assert page.next is not None
    assert complete.children(complete.start, page.next, 2).items[0].name == b"f%d" % (FIRST_COUNT - 50)


def test_the_first_folder_is_the_one_that_all_lies_in(tmp_path: Path) -> None:
    directory, file = MemberKind.DIRECTORY, MemberKind.FILE
    cases = (
        (b"srv/shop", [(b"srv/shop", directory, 0), (b"srv/shop/a", file, 1), (b"srv/shop/b/c", file, 1)]),
        (b"", [(b"etc/nginx/a", file, 1), (b"srv/shop", directory, 0)]),
        (b"srv", [(b"srv/shop", directory, 0), (b"srv/web/a", file, 1), (b"srv/web/b", file, 1)]),
        (b"", [(b"databases.json", file, 1)]),
    )
    for number, (start, members) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        first, complete = listings(folder, index_of(folder, entries_of(members)))
        assert first is not None
        assert (b"/".join(first.start), b"/".join(complete.start)) == (start, start)


def test_an_index_of_another_writer_is_listed_the_same(tmp_path: Path) -> None:
    members = [(b"srv/caf\xe9", MemberKind.FILE, 3), (b"srv/d/\xc3\xa9", MemberKind.FILE, 4)]
    index = index_of(tmp_path, entries_of(members))
    (tmp_path / "ours").mkdir()
    (tmp_path / "other").mkdir()
    _, ours = listings(tmp_path / "ours", index)
    # json.dumps puts spaces between the keys.
    _, other = listings(tmp_path / "other", change_lines(index, lambda lines: None))
    assert everything(ours, 10) == everything(other, 10)


def test_a_damaged_index_is_told(tmp_path: Path) -> None:
    index = index_of(tmp_path, entries_of([(b"a", MemberKind.FILE, 1)]))
    with pytest.raises(DamagedArchiveError):
        listings(tmp_path, index[:-10])


def test_all_of_a_member_is_known(tmp_path: Path) -> None:
    entries = entries_of([(b"d", MemberKind.DIRECTORY, 0), (b"d/f", MemberKind.FILE, 3), (b"e/g", MemberKind.FILE, 1)])
    entries[1].member.user, entries[1].note = "anna", "it grew"
    _, listing = listings(tmp_path, index_of(tmp_path, entries))
    assert listing.entry((b"d", b"f")).member.user == "anna"
    assert listing.described((b"d", b"f"))[1].note == "it grew"  # type: ignore[union-attr]
    assert listing.described((b"e",))[1] is None
    assert [entry.member.path for entry in listing.entries_below((b"d",))] == [b"d", b"d/f"]
    assert [entry.member.path for entry in listing.entries_below(())] == [b"d", b"d/f", b"e/g"]
    assert listing.totals(()) == (2, 4)
    with pytest.raises(UsageError):
        listing.entry((b"d",))
    for place in ((), (b"x",), (b"d", b"f", b"x"), (b"d", b".."), (b"d", b"")):
        with pytest.raises(NothingThereError):
            listing.described(place)
    with pytest.raises(NothingThereError):
        listing.children((b"d", b"f"), None, 10)
