"""Content behind short-lived addresses, with ranges (RFC 9110 section 14)."""

from __future__ import annotations

import re

from .emulation import Emulation
from .errors import GraphError
from .http_messages import Answer, Request
from .services import Handler

_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")


class Download:
    """The service on the fourth port."""

    def app_of(self, request: Request, emulation: Emulation) -> str:
        return ""

    def resolve(self, request: Request, emulation: Emulation) -> tuple[str, frozenset[str], Handler] | None:
        if request.method != "GET" or not request.path.endswith("/download.aspx"):
            return None
        return "download.content", frozenset(), lambda: _content(request, emulation)


def _content(request: Request, emulation: Emulation) -> Answer:
    if request.authorization is not None:
        emulation.journal.violation(request, "sends Authorization to a download address")
        raise GraphError(401, "unauthenticated", "A download address takes no Authorization.")
    query = request.query
    download = emulation.downloads.get(query.get("tempauth", ""))
    if download is None or download.item_id != query.get("UniqueId"):
        raise GraphError(401, "unauthenticated", "The download address is not valid.")
    if emulation.clock.seconds() >= download.expires_at:
        raise GraphError(401, "unauthenticated", "The download address has expired.")
    with emulation.lock:
        item = download.drive.items.get(download.item_id)
        content = item.content if item is not None else None
    if content is None:
        raise GraphError(404, "itemNotFound", "The item is gone.")
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    wanted = _wanted(str(request.headers.get("Range", "")), content.size)
    if wanted is None:
        return Answer(200, headers, content.read(0, content.size), content.size)
    first, last = wanted
    headers["Content-Range"] = f"bytes {first}-{last}/{content.size}"
    return Answer(206, headers, content.read(first, last - first + 1), last - first + 1)


def _wanted(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte; None for everything. Raises GraphError where no byte of the range exists."""
    match = _RANGE.fullmatch(header)
    if match is None or (not match["first"] and not match["last"]):
        return None
    if match["first"]:
        first = int(match["first"])
        last = min(int(match["last"] or size - 1), size - 1)
        is_satisfiable = first < size
    else:
        first, last = max(size - int(match["last"]), 0), size - 1
        is_satisfiable = size > 0 and int(match["last"]) > 0
    if match["first"] and match["last"] and int(match["last"]) < first:
        return None
    if not is_satisfiable:
        raise GraphError(
            416, "invalidRange", "The range is not satisfiable.", headers={"Content-Range": f"bytes */{size}"}
        )
    return first, last
