"""The pages of copies: which there are, and what is in one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from operations.browsing.listing import Place
from web.api.copies import (
    LONGEST_SEARCH,
    After,
    ChosenCopy,
    backup_named,
    folder_of_copy,
    found_in_copy,
    list_of_copies,
)
from web.browsing.documents import FolderPage, FoundPage, MemberItem, restore_path
from web.browsing.locators import FolderParameter, cursor_of, place_of
from web.browsing.reader import Chosen
from web.pages.addresses import address
from web.pages.templating import page
from web.security.access import Viewer
from web.services import ServicesOf

router = APIRouter(include_in_schema=False)

# Seconds that a page waits for the storages before it says that they have not answered yet.
_PATIENCE = 2.0

SearchText = Annotated[str, Query(max_length=LONGEST_SEARCH)]
SearchAfter = Annotated[int, Query(ge=0, le=1 << 62)]


class CopyAddresses:
    """The addresses of one copy, for its templates."""

    def __init__(self, chosen: Chosen) -> None:
        backup_id = chosen.backup.id
        self._page = f"/backups/{backup_id}/copies/{chosen.timestamp}"
        self._api = f"/api/v1{self._page}"
        self._target = chosen.target
        self.copies = address(f"/backups/{backup_id}/copies")

    def folder(self, locator: str, after: str | None = None) -> str:
        # An empty folder is the top, and none is the folder that is shown first.
        top = "" if locator else "&folder=" if self._target or after else "?folder="
        return address(self._page, target=self._target, folder=locator, after=after) + top

    def search(self, text: str, after: int | None) -> str:
        return address(self._page, target=self._target, q=text, search_after=after)

    def download(self, locator: str) -> str:
        return address(f"{self._api}/download", target=self._target, path=locator)

    def download_folder(self, locator: str) -> str:
        return address(f"{self._api}/download-folder", target=self._target, folder=locator)

    def above(self, item: MemberItem) -> str:
        """The folder that an item lies in."""
        return self.folder(item.locator.rpartition("/")[0])


@router.get("/backups/{project}/{name}/copies")
async def copies_page(request: Request, who: Viewer, services: ServicesOf, project: str, name: str) -> Response:
    """The copies of a backup on all of its targets."""
    backup = backup_named(services, project, name)
    copies = await services.copies.within(_PATIENCE, ("copies", backup.id), list_of_copies, services, backup)
    return page(
        request,
        "copies.html" if copies is not None else "copies-awaited.html",
        backup=backup,
        copies=copies,
        address_of=lambda copy: address(f"/backups/{backup.id}/copies/{copy.timestamp}", target=copy.target),
    )


@router.get("/backups/{project}/{name}/copies/{timestamp}")
async def copy_page(
    request: Request,
    who: Viewer,
    services: ServicesOf,
    chosen: ChosenCopy,
    folder: FolderParameter,
    after: After = None,
    q: SearchText = "",
    search_after: SearchAfter = 0,
) -> Response:
    """What is in a folder of a copy, or what a search found."""
    found: FoundPage | None = None
    shown: FolderPage | None = None
    if q.strip("/"):
        found = await services.copies.in_thread(found_in_copy, services, chosen, q, search_after)
    else:
        shown = await services.copies.in_thread(folder_of_copy, services, chosen, folder, cursor_of(after))
    return page(
        request,
        "browse.html",
        backup=chosen.backup,
        timestamp=chosen.timestamp,
        target=chosen.target or (shown.target if shown else None) or str(chosen.backup.targets[0]),
        q=q,
        found=found,
        shown=shown,
        is_later=after is not None,
        to=CopyAddresses(chosen),
        restore_paths=_restore_paths(shown),
    )


def _restore_paths(shown: FolderPage | None) -> list[str] | None:
    """What stands for the folder that is shown; None where its name is no text."""
    place: Place = place_of(shown.folder) if shown else ()
    path = restore_path(place) if place else None
    return [] if not place else None if path is None else [path]
