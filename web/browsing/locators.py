"""Members in addresses. On Linux a name is bytes, so each name of a path is percent-encoded (RFC 3986) by itself:
``srv/shop/caf%E9.txt``. That text is the value of a parameter, and is encoded in the address as any other. It is
compared with the names in a copy, and never used as a path here.
"""

from __future__ import annotations

import base64
import binascii
import json
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote, unquote_to_bytes

from fastapi import Depends, Query

from operations.browsing.listing import Cursor, Place
from operations.browsing.listing_writer import LARGEST_INTEGER
from web.security.problems import Problem

# A folder without a name is none that a backup writes, but what is there must be seen.
_NO_NAME = "%00"
_LONGEST_CURSOR = 20_000


def locator_of(place: Place) -> str:
    """How a place stands in an address; ``""`` is the top."""
    return "/".join(quote(name, safe="") or _NO_NAME for name in place)


def place_of(text: str) -> Place:
    """The inverse; a slash before or behind does not count."""
    names = [unquote_to_bytes(name.encode("utf-8", "surrogatepass")) for name in text.strip("/").split("/")]
    return tuple(b"" if name == b"\0" else name for name in names) if names != [b""] else ()


_PATH = "As `locator` has it: each name percent-encoded by itself, so it is encoded once more in the address."


def _folder(
    folder: Annotated[
        str | None, Query(description=f"A folder. {_PATH} Nothing: the one that is shown first; empty: the top.")
    ] = None,
) -> Place | None:
    return None if folder is None else place_of(folder)


def _path(path: Annotated[str, Query(description=f"A member. {_PATH}", min_length=1)]) -> Place:
    return place_of(path)


FolderParameter = Annotated[Place | None, Depends(_folder)]
PathParameter = Annotated[Place, Depends(_path)]


def cursor_text(cursor: Cursor | None) -> str | None:
    """What stands in ``next``, and is sent as ``after``."""
    if cursor is None:
        return None
    rank, key, name, number = cursor
    document = json.dumps([rank, key.hex(), name.hex(), number]).encode()
    return base64.urlsafe_b64encode(document).decode().rstrip("=")


def cursor_of(text: str | None) -> Cursor | None:
    """The inverse. Raises Problem."""
    if text is None:
        return None
    try:
        document = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        rank, key, name, number = json.loads(document)
        if len(text) > _LONGEST_CURSOR or not all(isinstance(each, int) for each in (rank, number)):
            raise ValueError(text)
        if max(abs(rank), abs(number)) > LARGEST_INTEGER:
            raise ValueError(text)
        return rank, bytes.fromhex(key), bytes.fromhex(name), number
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "after: is what stood in `next` of the page before.") from None
