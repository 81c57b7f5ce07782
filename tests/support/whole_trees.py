"""Trees with everything that a file system can hold: generated ones, and what distinguishes two of them."""

# Paths are bytes here, and pathlib knows only text.
# ruff: noqa: PTH101, PTH102, PTH115, PTH211

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from hypothesis import strategies as st

MIB = 1 << 20
IS_ROOT = os.geteuid() == 0

# 1900 and 2200, in nanoseconds; ext4 itself begins in 1901.
_FIRST_NS, _LAST_NS = -2_208_988_800 * 10**9, 7_258_118_400 * 10**9

_SIZES = (0, 1, 2, 4095, 4096, 4097, MIB - 1, MIB, MIB + 1, 3 * MIB + 17, 5 * MIB)
_ODD_NAMES = (
    b"-rf",
    b"--to",
    b"a b",
    b'"quoted"',
    b"'",
    b"new\nline",
    b"tab\t",
    b"\xff\xfe",
    b"caf\xe9",
    "café".encode(),
    "cafe\u0301".encode(),
    b"back\\slash",
    b"C:",
    b"...",
    b" ",
    b"\x01\x7f",
    b"%41",
    b"*",
    b"x" * 255,
)


@dataclass(frozen=True)
class Node:
    """One thing to make. ``parent`` and ``first`` count among the folders and files that were made before."""

    kind: str
    parent: int
    name: bytes
    mode: int
    modified_ns: int
    owner: int
    size: int
    seed: int
    is_sparse: bool
    first: int
    link_target: bytes
    extended_attributes: tuple[tuple[str, bytes], ...]


_names = st.one_of(
    st.sampled_from(_ODD_NAMES),
    st.binary(min_size=1, max_size=20).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"0")),
    st.text("abcäß漢🎉", min_size=1, max_size=8).map(str.encode),
).filter(lambda name: name not in (b".", b".."))

_nodes = st.builds(
    Node,
    kind=st.sampled_from(["folder", "file", "file", "file", "symlink", "hard link"]),
    parent=st.integers(0, 50),
    name=_names,
    mode=st.integers(0, 0o7777) if IS_ROOT else st.integers(0, 0o777).map(lambda mode: mode | 0o700),
    modified_ns=st.integers(_FIRST_NS, _LAST_NS),
    owner=st.sampled_from([0, 1, 12345, 65534]),
    size=st.one_of(st.sampled_from(_SIZES), st.integers(0, 20000)),
    seed=st.integers(0, 1 << 30),
    is_sparse=st.booleans(),
    first=st.integers(0, 50),
    link_target=st.one_of(_names, st.sampled_from([b"/etc/passwd", b"../..", b"no/such/file", b"x" * 4000])),
    extended_attributes=st.lists(
        st.tuples(st.sampled_from(["user.a", "user.b c", "user.\udcff"]), st.binary(max_size=40)), max_size=2
    ).map(tuple),
)

generated_nodes = st.lists(_nodes, max_size=25)
"""What :func:`make_whole_tree` makes."""


def make_whole_tree(nodes: list[Node], root: Path) -> None:
    """Make the folder ``root`` and these nodes in it; one whose name is taken is left out."""
    root.mkdir()
    folders: list[bytes] = [os.fsencode(root)]
    files: list[bytes] = []
    made: list[tuple[bytes, Node]] = []
    for node in nodes:
        path = folders[node.parent % len(folders)] + b"/" + node.name
        if os.path.lexists(path):
            continue
        if node.kind == "folder":
            os.mkdir(path)
            folders.append(path)
        elif node.kind == "symlink":
            os.symlink(node.link_target, path)
        elif node.kind == "hard link" and files:
            os.link(files[node.first % len(files)], path)
            continue
        else:
            _write_file(path, node)
            files.append(path)
        made.append((path, node))
    for path, node in reversed(made):
        _set_attributes(path, node)


def _write_file(path: bytes, node: Node) -> None:
    generator = random.Random(node.seed)
    with open(path, "wb") as file:
        if node.is_sparse:
            for offset in range(0, node.size, 64 << 10):
                if generator.random() < 0.2:
                    file.seek(offset)
                    file.write(generator.randbytes(min(generator.choice((1, 4096, 64 << 10)), node.size - offset)))
            file.truncate(node.size)
        elif generator.random() < 0.5:
            file.write(generator.randbytes(node.size))
        else:
            file.write((generator.randbytes(50) * (node.size // 50 + 1))[: node.size])


def _set_attributes(path: bytes, node: Node) -> None:
    if IS_ROOT:
        os.chown(path, node.owner, node.owner, follow_symlinks=False)
    if node.kind != "symlink":
        for name, value in node.extended_attributes:
            with suppress(OSError):  # a file system without them
                os.setxattr(path, name, value)
        os.chmod(path, node.mode)
    os.utime(path, ns=(node.modified_ns, node.modified_ns), follow_symlinks=False)


@dataclass(frozen=True)
class Described:
    """All of one path that a restore must bring back. ``same_as`` is the first path with its inode."""

    kind: int
    mode: int
    owner: tuple[int, int]
    modified_ns: int
    size: int
    content: str
    same_as: bytes
    extended_attributes: tuple[tuple[str, bytes], ...]
    data_extents: tuple[tuple[int, int], ...]


def describe_tree(root: Path) -> dict[bytes, Described]:
    """Every path at and below ``root``, which itself is ``b""``."""
    base = os.fsencode(root)
    first_names: dict[tuple[int, int], bytes] = {}
    described = {}
    for path in sorted(_paths(base)):
        status = os.lstat(path)
        name = path[len(base) + 1 :]
        same_as = name if stat.S_ISDIR(status.st_mode) else first_names.setdefault((status.st_dev, status.st_ino), name)
        described[name] = _described(path, status, same_as)
    return described


def differences(expected: dict[bytes, Described], found: dict[bytes, Described]) -> list[str]:
    """What distinguishes two trees, for people; empty where nothing does."""
    texts = [f"{path!r} is missing" for path in expected.keys() - found.keys()]
    texts += [f"{path!r} is too many" for path in found.keys() - expected.keys()]
    for path in expected.keys() & found.keys():
        for field in fields(Described):
            before, after = getattr(expected[path], field.name), getattr(found[path], field.name)
            if before != after:
                texts.append(f"{path!r}: {field.name} was {before!r} and is {after!r}")
    return sorted(texts)


def restored(to: Path, source: Path) -> Path:
    """Where a restore into ``to`` puts what lay at ``source``."""
    return to / source.relative_to("/")


def _paths(base: bytes) -> Iterator[bytes]:
    yield base
    for folder, folders, files in os.walk(base):
        for name in folders + files:
            yield folder + b"/" + name


def _described(path: bytes, status: os.stat_result, same_as: bytes) -> Described:
    content = ""
    extents: tuple[tuple[int, int], ...] = ()
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
            extents = data_extents(file.fileno(), status.st_size)
    elif stat.S_ISLNK(status.st_mode):
        content = repr(os.readlink(path))
    return Described(
        stat.S_IFMT(status.st_mode),
        stat.S_IMODE(status.st_mode),
        (status.st_uid, status.st_gid),
        status.st_mtime_ns,
        status.st_size if stat.S_ISREG(status.st_mode) else 0,
        content,
        same_as,
        tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in sorted(_attribute_names(path))),
        extents,
    )


def _attribute_names(path: bytes) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError:
        return []


def data_extents(descriptor: int, size: int) -> tuple[tuple[int, int], ...]:
    """The ``(offset, length)`` that hold data, from SEEK_DATA and SEEK_HOLE."""
    extents: list[tuple[int, int]] = []
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # ENXIO: no more data
            break
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        extents.append((start, position - start))
    return tuple(extents)
