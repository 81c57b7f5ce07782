"""The copies of a backup, and what is in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response

from model import Backup
from operations.browsing.downloads import Download, download_file, download_folder
from operations.browsing.listing import Cursor, Place
from utils import printable
from web.browsing.content_response import ContentResponse
from web.browsing.documents import (
    TIMESTAMP_PATTERN,
    CopyList,
    FolderPage,
    FoundPage,
    MemberDetails,
    copy_list,
    folder_page,
    found_page,
    member_details,
)
from web.browsing.locators import FolderParameter, PathParameter, cursor_of
from web.browsing.reader import Chosen, OpenCopy, told
from web.security.access import Operator, Viewer
from web.security.principal import Principal
from web.security.problems import NotFoundProblem
from web.services import Services, ServicesOf

router = APIRouter(prefix="/api/v1", tags=["copies"])

PAGE_SIZE = 200
FOUND_SIZE = 100
LONGEST_SEARCH = 500
_SEARCH_SECONDS = 1.0

Timestamp = Annotated[str, Path(pattern=TIMESTAMP_PATTERN, examples=["20261120T030000Z"])]
TargetName = Annotated[
    str | None,
    Query(description="One of the targets, as the list of copies has it; otherwise the first with the copy."),
]
After = Annotated[str | None, Query(description="`next` of the page before.")]

_BINARY: dict[int | str, dict[str, Any]] = {
    200: {"description": "The content", "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
}


def backup_named(services: Services, project: str, name: str) -> Backup:
    """The backup with this id. Raises NotFoundProblem."""
    backup_id = f"{project}/{name}"
    backup = services.configured.current().find(backup_id)
    if backup is None:
        raise NotFoundProblem(
            f"There is no backup {backup_id} in the configuration. Where copies of it lie, restore.py list shows them."
        )
    return backup


async def chosen_copy(
    services: ServicesOf, project: str, name: str, timestamp: Timestamp, target: TargetName = None
) -> Chosen:
    """The copy that an address means. Raises NotFoundProblem."""
    return Chosen(backup_named(services, project, name), timestamp, target)


ChosenCopy = Annotated[Chosen, Depends(chosen_copy)]
"""The parameter of a route below ``/copies/{timestamp}``."""


@router.get("/backups/{project}/{name}/copies")
async def copies(who: Viewer, services: ServicesOf, project: str, name: str) -> CopyList:
    """The copies of a backup on all of its targets, newest first. The answer may be a minute old."""
    backup = backup_named(services, project, name)
    return await services.copies.in_thread(list_of_copies, services, backup)


@router.get("/backups/{project}/{name}/copies/{timestamp}/files")
async def files(
    who: Viewer,
    services: ServicesOf,
    chosen: ChosenCopy,
    folder: FolderParameter,
    after: After = None,
) -> FolderPage:
    """What is in a folder of a copy, 200 at a time."""
    return await services.copies.in_thread(folder_of_copy, services, chosen, folder, cursor_of(after))


@router.get("/backups/{project}/{name}/copies/{timestamp}/search")
async def search(
    who: Viewer,
    services: ServicesOf,
    chosen: ChosenCopy,
    q: Annotated[
        str,
        Query(
            description="A part of a name; a name with * ? [ ]; or, with a slash in it, a path. Case does not count.",
            min_length=1,
            max_length=LONGEST_SEARCH,
            pattern="[^/]",
        ),
    ],
    after: Annotated[int, Query(ge=0, le=1 << 62, description="`next` of the answer before.")] = 0,
) -> FoundPage:
    """Look for members by their names. An answer comes after a second at the latest; `next` searches on."""
    return await services.copies.in_thread(found_in_copy, services, chosen, q, after)


@router.get("/backups/{project}/{name}/copies/{timestamp}/member")
async def member(
    who: Viewer,
    services: ServicesOf,
    chosen: ChosenCopy,
    path: PathParameter,
) -> MemberDetails:
    """All that is known of one member."""

    def read() -> MemberDetails:
        opened = services.copies.open(services, chosen)
        return member_details(*opened.listing.described(path))

    return await services.copies.in_thread(read)


@router.get("/backups/{project}/{name}/copies/{timestamp}/download", response_class=Response, responses=_BINARY)
async def download(
    who: Operator,
    services: ServicesOf,
    chosen: ChosenCopy,
    path: PathParameter,
) -> Response:
    """One file. Its content is checked as it is sent: the connection is closed before its end where it is damaged."""

    def find() -> tuple[OpenCopy, Download]:
        opened = services.copies.open(services, chosen)
        return opened, download_file(opened.copy, opened.listing, path)

    return await _answer(services, who, find, path, printable(path[-1]) if path else "")


@router.get("/backups/{project}/{name}/copies/{timestamp}/download-folder", response_class=Response, responses=_BINARY)
async def download_of_folder(
    who: Operator,
    services: ServicesOf,
    chosen: ChosenCopy,
    folder: FolderParameter,
) -> Response:
    """A folder, with all that is in it, as a ZIP file. As with one file, the connection is closed before the end where
    something is damaged."""

    def find() -> tuple[OpenCopy, Download]:
        opened = services.copies.open(services, chosen)
        return opened, download_folder(opened.copy, opened.listing, folder or ())

    last = printable(folder[-1]) if folder else chosen.backup.id.partition("/")[2]
    return await _answer(services, who, find, folder or (), f"{last}-{chosen.timestamp}.zip")


def list_of_copies(services: Services, backup: Backup) -> CopyList:
    """What is known of the copies of a backup; waits for its storages. Raises CatalogError."""
    known = services.copies.copies(services, backup)
    return copy_list(backup.id, known, services.catalog.last_verified(backup.id))


def folder_of_copy(services: Services, chosen: Chosen, folder: Place | None, after: Cursor | None) -> FolderPage:
    """Some of what is in a folder. Raises HoldfastError and Problem."""
    opened = services.copies.open_first(services, chosen)
    wanted = opened.listing.start if folder is None else folder
    if not opened.listing.knows(wanted, after, PAGE_SIZE):
        opened = services.copies.open(services, chosen)
    page = opened.listing.children(wanted, after, PAGE_SIZE)
    return folder_page(opened.copy, opened.listing, wanted, page)


def found_in_copy(services: Services, chosen: Chosen, text: str, after: int) -> FoundPage:
    """Some of what a search finds. Raises HoldfastError and Problem."""
    opened = services.copies.open(services, chosen)
    wanted = text.encode("utf-8", "surrogatepass")
    return found_page(opened.listing.search(wanted, after, FOUND_SIZE, _SEARCH_SECONDS))


async def _answer(
    services: Services, who: Principal, find: Callable[[], tuple[OpenCopy, Download]], place: Place, file_name: str
) -> Response:
    """The content, with a line in the audit log once it has ended. Raises Problem where it cannot begin."""

    def begin() -> tuple[OpenCopy, Download, bytes | None]:
        with told():
            opened, content = find()
            return opened, content, next(content.chunks, None)

    release = services.copies.begin_download()
    try:
        opened, content, first = await services.copies.in_download_thread(begin)
    except BaseException:
        release()
        raise

    def end(outcome: str) -> None:
        release()
        services.audit.record(who, "download", f"{opened.copy}: {printable(b'/'.join(place)) or 'all'}", outcome)

    return ContentResponse(
        first,
        content.chunks,
        name=file_name,
        size=content.size,
        in_thread=services.copies.in_download_thread,
        on_end=end,
    )
