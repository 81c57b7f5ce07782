"""Microsoft Graph: drives, items, folders, small uploads and the creation of upload sessions."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import quote

from . import graph_paths
from .emulation import Download, Emulation, Page
from .errors import GraphError
from .faults import received_blocks
from .graph_paths import GraphAddress
from .http_messages import Answer, Request, json_answer
from .items import Drive, Item
from .names import check_name, decoded_path
from .services import Handler

BEHAVIOUR = "@microsoft.graph.conflictBehavior"
BEHAVIOURS = ("fail", "replace", "rename")

_READ = {"Files.Read.All", "Files.ReadWrite.All", "Sites.Read.All", "Sites.ReadWrite.All"}
_WRITE = {"Files.ReadWrite.All", "Sites.ReadWrite.All"}
_READING_ROUTES = {"graph.drive", "graph.item", "graph.children", "graph.get_content"}
_QUERY = {
    "graph.drive": {"$select"},
    "graph.item": {"$select"},
    "graph.children": {"$select", "$top", "$skiptoken"},
    "graph.put_content": {BEHAVIOUR},
}
_UPLOAD_ITEM_KEYS = {BEHAVIOUR, "name", "fileSystemInfo", "fileSize"}
_TIMES = {"createdDateTime", "lastModifiedDateTime", "lastAccessedDateTime"}
_ISO_8601 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z")
_MOST_PER_PAGE = 999


class Graph:
    """The service on the second port."""

    def app_of(self, request: Request, emulation: Emulation) -> str:
        return emulation.tokens.app_of(request.authorization)

    def resolve(self, request: Request, emulation: Emulation) -> tuple[str, frozenset[str], Handler] | None:
        address = graph_paths.parse(request.method, request.path)
        if address is None:
            return None
        labels = {"content"} if address.route == "graph.put_content" else set()
        return address.route, frozenset(labels), lambda: _Call(request, address, emulation).answer()


class _Call:
    """One request to Graph."""

    def __init__(self, request: Request, address: GraphAddress, emulation: Emulation) -> None:
        self._request = request
        self._address = address
        self._emulation = emulation

    def answer(self) -> Answer:
        self._authorize()
        if self._address.route == "graph.me":
            message = "/me request is only valid with delegated authentication flow."
            raise GraphError(400, "BadRequest", message)
        self._check_query()
        self._drive = self._find_drive()
        with self._emulation.lock:
            self._emulation.sessions.end_expired()
        handlers = {
            "graph.drive": self._get_drive,
            "graph.item": self._get_item,
            "graph.children": self._children,
            "graph.create_folder": self._create_folder,
            "graph.create_session": self._create_session,
            "graph.put_content": self._put_content,
            "graph.get_content": self._get_content,
            "graph.delete": self._delete,
            "graph.permanent_delete": self._permanent_delete,
        }
        return handlers[self._address.route]()

    def _authorize(self) -> None:
        token = self._emulation.tokens.valid(self._request.authorization)
        if token is None or self._request.host not in (token.graph_host, "127.0.0.1", "localhost"):
            message = "The access token is missing, expired, or for another audience."
            headers = {"WWW-Authenticate": 'Bearer realm="", error="invalid_token"'}
            raise GraphError(401, "unauthenticated", message, headers=headers)
        needed = _READ if self._address.route in _READING_ROUTES else _WRITE
        apps = {app.client_id: app for app in self._emulation.settings.apps}
        if not needed & set(apps.get(token.app.client_id, token.app).permissions):
            raise GraphError(403, "accessDenied", "The app has no permission to do this.")

    def _check_query(self) -> None:
        unknown = self._request.query.keys() - _QUERY.get(self._address.route, set())
        if unknown:
            self._emulation.journal.violation(self._request, f"has query parameters that nobody knows: {unknown}")
            raise GraphError(400, "invalidRequest", f"Unknown query parameters: {sorted(unknown)}.")

    def _find_drive(self) -> Drive:
        address = self._address
        for drive in self._emulation.drives.values():
            settings = drive.settings
            users = {user.lower() for user in settings.users}
            sites = {site.lower() for site in settings.sites}
            if (
                address.drive_id == settings.id
                or (address.user or "").lower() in users
                or (address.site or "").lower() in sites
            ):
                if settings.is_denied:
                    raise GraphError(403, "accessDenied", "Access to this drive is denied.")
                return drive
        what = "user" if address.user is not None else "site" if address.site is not None else "drive"
        raise GraphError(404, "itemNotFound", f"The {what} was not found.")

    # ------------------------------------------------------------------ what is addressed

    def _start(self) -> Item:
        """The item before the path. The caller holds the lock, as in all that follow."""
        if self._address.item_id is None:
            return self._drive.root
        if self._address.item_id not in self._drive.items:
            raise GraphError(404, "itemNotFound", "The item was not found.")
        return self._drive.items[self._address.item_id]

    def _names(self) -> tuple[str, ...]:
        return () if self._address.path is None else decoded_path(self._address.path)

    def _item(self) -> Item:
        item = self._drive.find(self._names(), self._start())
        if item is None:
            raise GraphError(404, "itemNotFound", "The resource could not be found.")
        return item

    def _folder(self) -> Item:
        item = self._item()
        if not item.is_folder:
            raise GraphError(400, "invalidRequest", "The item is not a folder.")
        return item

    def _file_names(self) -> tuple[str, ...]:
        """The path of a file that is to be written."""
        names = self._names()
        if not names:
            raise GraphError(400, "invalidRequest", "The new item needs a path.")
        return names

    def _now(self) -> datetime:
        return self._emulation.clock.now()

    def _document(self, item: Item) -> dict[str, Any]:
        document = self._emulation.item_document(self._request, self._drive, item)
        selected = self._request.query.get("$select")
        return document if selected is None else _selected(document, selected)

    # ------------------------------------------------------------------ reading

    def _get_drive(self) -> Answer:
        with self._emulation.lock:
            drive, settings = self._drive, self._drive.settings
            deleted = sum(item.size for item in drive.recycle_bin)
            is_known = settings.quota_total > 0
            quota = {
                "total": settings.quota_total,
                "used": drive.used if is_known else 0,
                "remaining": drive.remaining or 0,
                "deleted": deleted if is_known else 0,
            }
        document = {"id": settings.id, "driveType": settings.kind, "name": "OneDrive", "quota": quota}
        selected = self._request.query.get("$select")
        return json_answer(200, document if selected is None else _selected(document, selected))

    def _get_item(self) -> Answer:
        with self._emulation.lock:
            return json_answer(200, self._document(self._item()))

    def _children(self) -> Answer:
        query = self._request.query
        with self._emulation.lock:
            page = self._page(query)
            limit = min(self._page_length(page.query), self._emulation.settings.page_size)
            children = sorted(page.folder.children.values(), key=lambda item: item.name.lower())
            shown = children[page.offset : page.offset + limit]
            documents = [self._emulation.item_document(self._request, self._drive, item) for item in shown]
            if "$select" in page.query:
                documents = [_selected(document, page.query["$select"]) for document in documents]
            answer: dict[str, Any] = {"value": documents}
            if page.offset + limit < len(children):
                answer["@odata.nextLink"] = self._next_link(page, limit)
        return json_answer(200, answer)

    def _page(self, query: dict[str, str]) -> Page:
        if "$skiptoken" not in query:
            return Page(self._drive, self._folder(), 0, query)
        page = self._emulation.pages.get(query["$skiptoken"])
        if page is None or page.folder is not self._item() or query.keys() != {"$skiptoken"}:
            raise GraphError(400, "invalidRequest", "The address of the next page was changed.")
        return page

    @staticmethod
    def _page_length(query: dict[str, str]) -> int:
        top = query.get("$top", str(_MOST_PER_PAGE))
        if not top.isdigit() or not 1 <= int(top) <= _MOST_PER_PAGE:
            raise GraphError(400, "invalidRequest", f"$top must be from 1 to {_MOST_PER_PAGE}.")
        return int(top)

    def _next_link(self, page: Page, limit: int) -> str:
        """An address of another form than the one that was asked, so that nobody can put it together."""
        token = secrets.token_urlsafe(24)
        self._emulation.pages[token] = Page(page.drive, page.folder, page.offset + limit, page.query)
        base = self._emulation.addresses.base("graph", self._request.host)
        drive = quote(self._drive.settings.id, safe="!")
        return f"{base}/v1.0/drives/{drive}/items/{page.folder.id}/children?$skiptoken={token}"

    def _get_content(self) -> Answer:
        with self._emulation.lock:
            item = self._item()
            if item.is_folder:
                raise GraphError(400, "invalidRequest", "A folder has no content.")
            token = f"v1.{secrets.token_urlsafe(30)}"
            expires_at = self._emulation.clock.seconds() + self._emulation.settings.download_seconds
            self._emulation.downloads[token] = Download(self._drive, item.id, expires_at)
        base = self._emulation.addresses.base("download", self._request.host)
        location = f"{base}/personal/backup/_layouts/15/download.aspx?UniqueId={item.id}&tempauth={token}"
        self._emulation.given_secrets.append(location)
        return Answer(302, {"Location": location})

    # ------------------------------------------------------------------ writing

    def _create_folder(self) -> Answer:
        document = self._json_body()
        name, behaviour = document.get("name"), document.get(BEHAVIOUR, "fail")
        if not isinstance(name, str) or document.get("folder") != {} or behaviour not in BEHAVIOURS:
            raise GraphError(400, "invalidRequest", f"A folder needs name, folder {{}} and a valid {BEHAVIOUR}.")
        with self._emulation.lock:
            parent = self._folder()
            check_name(name, is_at_the_root=parent.parent is None)
            folder, is_new = self._drive.make_folder(parent, name, behaviour, self._now())
            return json_answer(201 if is_new else 200, self._document(folder))

    def _put_content(self) -> Answer:
        names = self._file_names()
        behaviour = self._request.query.get(BEHAVIOUR, "replace")
        length = self._request.body.length
        if behaviour not in BEHAVIOURS:
            raise GraphError(400, "invalidRequest", f"{BEHAVIOUR} is not valid.")
        if length is None:
            raise GraphError(400, "invalidRequest", "Content-Length is required; chunked bodies are not supported.")
        if length > self._emulation.settings.simple_upload_limit:
            raise GraphError(413, "invalidRequest", "The file is too large for this kind of upload.")
        content = self._emulation.new_content()
        for block in received_blocks(self._request):
            content.append(block)
        with self._emulation.lock:
            parent = self._drive.make_folders(names[:-1], self._now(), self._start())
            item, is_new = self._drive.place_file(parent, names[-1], behaviour, content, self._now(), {})
            return json_answer(201 if is_new else 200, self._document(item))

    def _create_session(self) -> Answer:
        names = self._file_names()
        item = self._json_body().get("item")
        if not isinstance(item, dict) or next(iter(item), None) != BEHAVIOUR or item[BEHAVIOUR] not in BEHAVIOURS:
            raise GraphError(400, "invalidRequest", f"{BEHAVIOUR} must be the first key in item.")
        if item.keys() - _UPLOAD_ITEM_KEYS or item.get("name", names[-1]) != names[-1]:
            raise GraphError(400, "invalidRequest", "A key in item is not known, or its name is not that of the path.")
        times = item.get("fileSystemInfo", {})
        if times.keys() - _TIMES or not all(_ISO_8601.fullmatch(time) for time in times.values()):
            raise GraphError(400, "invalidRequest", "A time in fileSystemInfo is not valid.")
        emulation = self._emulation
        with emulation.lock:
            parent = self._drive.find(names[:-1], self._start())
            if parent is None or not parent.is_folder:
                raise GraphError(404, "itemNotFound", "The parent folder was not found.")
            session = emulation.sessions.create(
                self._drive, parent, names[-1], item, self._request.app_id, emulation.new_content(), emulation.settings
            )
            url = emulation.addresses.base("upload", self._request.host) + session.target
            expiration = emulation.sessions.expiration(session)
        emulation.given_secrets.append(url)
        document = {"uploadUrl": url, "expirationDateTime": expiration, "nextExpectedRanges": ["0-"]}
        return json_answer(200, document)

    def _delete(self) -> Answer:
        with self._emulation.lock:
            self._drive.remove(self._item(), permanently=False)
        return Answer(204)

    def _permanent_delete(self) -> Answer:
        with self._emulation.lock:
            self._drive.remove(self._item(), permanently=True)
        return Answer(204)

    def _json_body(self) -> dict[str, Any]:
        is_json = str(self._request.headers.get("Content-Type", "")).partition(";")[0] == "application/json"
        document = self._request.json() if is_json and self._request.body.length is not None else None
        if document is None:
            raise GraphError(400, "invalidRequest", "The body must be a JSON object, with its type and its length.")
        return document


def _selected(document: dict[str, Any], names: str) -> dict[str, Any]:
    return {name: document[name] for name in names.split(",") if name in document}
