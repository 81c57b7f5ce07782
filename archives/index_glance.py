"""The lines of an index at a glance: path, kind, size and time of each member, and no more.

Decoding a line wholly takes ten times as long, and whoever lists a copy of a million members needs four fields of them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import zstandard

from errors import DamagedArchiveError
from model import MemberKind

_TEXT = rb'"[^"\\\n]*(?:\\.[^"\\\n]*)*"'

# A line as ``archives.index.encode_entry`` writes it.
_LINE = re.compile(
    rb'^\{"path":"([^"\\\n]*(?:\\.[^"\\\n]*)*)","kind":"(file|directory|symlink)","size":(\d{1,19}),"mode":"[0-7]+",'
    rb'"uid":\d+,"gid":\d+,"user":' + _TEXT + rb',"group":' + _TEXT + rb',"modified_ns":(-?\d{1,19}),',
    re.MULTILINE,
)
_TRUE_PATH = b'"path_base64"'
_KINDS = {kind.value.encode(): kind for kind in MemberKind}


class Glance(NamedTuple):
    """What is seen of a member. ``size`` is bytes, ``modified_ns`` nanoseconds since 1970, None where nobody knows."""

    path: bytes
    kind: MemberKind
    size: int
    modified_ns: int | None


def glances(text: bytes) -> Iterator[Glance]:
    """The members of some whole lines, in their order. Raises DamagedArchiveError.

    Lines that another program wrote, or with a path that is not UTF-8, are decoded as JSON.
    """
    found = _LINE.findall(text) if _TRUE_PATH not in text else []
    if len(found) == text.count(b"\n"):
        for path, kind, size, modified_ns in found:
            yield Glance(unescaped(path) if b"\\" in path else path, _KINDS[kind], int(size), int(modified_ns))
        return
    for line in text[:-1].split(b"\n"):
        yield glance_at(line)


def glance_at(line: bytes) -> Glance:
    """The same for one line, however it is written. Raises DamagedArchiveError."""
    try:
        fields = json.loads(line)
        raw = fields.get("path_base64")
        path = base64.b64decode(raw) if raw is not None else str(fields["path"]).encode()
        return Glance(path, MemberKind(fields["kind"]), int(fields["size"]), int(fields["modified_ns"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise DamagedArchiveError(f"the index is damaged ({type(error).__name__}: {error})") from None


def unescaped(text: bytes) -> bytes:
    """What stands between the quotes of a JSON string, as UTF-8. Raises DamagedArchiveError."""
    try:
        return str(json.loads(b'"' + text + b'"')).encode()
    except ValueError as error:
        raise DamagedArchiveError(f"the index is damaged ({error})") from None


def packed_text(text: bytes) -> bytes:
    """Lines, packed for :func:`unpacked_text`."""
    return bytes(zstandard.ZstdCompressor(level=1).compress(text))


def unpacked_text(packed: bytes) -> bytes:
    """The inverse of :func:`packed_text`. Raises DamagedArchiveError."""
    try:
        return bytes(zstandard.ZstdDecompressor().decompress(packed))
    except zstandard.ZstdError as error:
        raise DamagedArchiveError(f"packed lines of an index are damaged ({error})") from None
