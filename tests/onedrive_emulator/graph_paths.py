"""The addresses of Graph that are served, taken apart.

A drive is ``/drives/{id}``, ``/users/{id or principal name}/drive`` or ``/sites/{id}/drive``; below it an item is
``/root``, ``/items/{id}``, or a path after one of these between colons: ``/root:/folder/file:/content``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

_DRIVE = re.compile(
    r"/v1\.0/(?:drives/(?P<drive>[^/:]+)|users/(?P<user>[^/:]+)/drive|sites/(?P<site>.+?):?/drive)(?P<rest>(?:/.*)?)"
)
_ITEM = re.compile(
    r"/(?:root|items/(?P<item>[^/:]+))"
    r"(?::/(?P<path>[^:]*)(?::(?P<action_of_path>/[A-Za-z]+)?)?|(?P<action>/[A-Za-z]+)?)"
)

_ROUTES = {
    ("GET", ""): "graph.item",
    ("DELETE", ""): "graph.delete",
    ("GET", "/children"): "graph.children",
    ("POST", "/children"): "graph.create_folder",
    ("GET", "/content"): "graph.get_content",
    ("PUT", "/content"): "graph.put_content",
    ("POST", "/createUploadSession"): "graph.create_session",
    ("POST", "/permanentDelete"): "graph.permanent_delete",
}


@dataclass(frozen=True)
class GraphAddress:
    """One address. ``path`` is still percent-encoded; None where the item is the root or ``item_id`` itself."""

    route: str
    drive_id: str | None = None
    user: str | None = None
    site: str | None = None
    item_id: str | None = None
    path: str | None = None


def parse(method: str, path: str) -> GraphAddress | None:
    """None for an address that is not served."""
    if path == "/v1.0/me" or path.startswith("/v1.0/me/"):
        return GraphAddress("graph.me")
    drive = _DRIVE.fullmatch(path)
    if drive is None:
        return None
    drive_id, user, site = (None if drive[name] is None else unquote(drive[name]) for name in ("drive", "user", "site"))
    if not drive["rest"]:
        return GraphAddress("graph.drive", drive_id, user, site) if method == "GET" else None
    item = _ITEM.fullmatch(drive["rest"])
    route = _ROUTES.get((method, item["action_of_path"] or item["action"] or "")) if item is not None else None
    if item is None or route is None:
        return None
    return GraphAddress(route, drive_id, user, site, item["item"], item["path"])
