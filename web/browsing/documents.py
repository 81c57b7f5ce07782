"""What the API tells of copies and of what is in them; the pages are made of the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from archives.entry import Entry
from model import RunStatus
from operations.browsing.copy_lists import KnownCopies
from operations.browsing.listing import Item, Listing, Page, Place, SearchPage
from operations.copies.stored_copies import StoredCopy
from utils import parse_timestamp, printable, redact
from web.browsing.locators import cursor_text, locator_of
from web.browsing.reader import why_not_opened

TIMESTAMP_PATTERN = "^[0-9]{8}T[0-9]{6}Z$"


class PinSummary(BaseModel):
    """Why a copy is held."""

    reason: str
    by: str | None


class CopySummary(BaseModel):
    """A copy on one target."""

    timestamp: str = Field(examples=["20261120T030000Z"])
    target: str = Field(examples=["S3:shop"])
    made: datetime = Field(description="When its run began.")
    status: RunStatus | None = Field(description="None where its manifest cannot be read.")
    archive_size: int | None
    content_size: int | None
    files: int | None
    encrypted: bool
    pin: PinSummary | None
    problem: str | None = Field(description="What is wrong with it: damaged, or not readable.")
    not_opened: str | None = Field(description="Why what is in it is not shown here; None where it is.")
    verified: datetime | None = Field(description="When it was last read back and found well.")


class CopyList(BaseModel):
    """The copies of a backup on all of its targets, newest first."""

    backup: str
    copies: list[CopySummary]
    errors: list[str] = Field(description="The targets that could not be listed, and why.")
    listed: datetime


class MemberItem(BaseModel):
    """A file, folder or link in a copy."""

    name: str = Field(description="For people: what cannot be shown is escaped.")
    path: str = Field(description="The same of the whole path.")
    locator: str = Field(description="The path for the parameters `path` and `folder`: each name percent-encoded.")
    restore_path: str | None = Field(
        description="The path for `paths` of a restore; None where a name is no text: restore the folder above."
    )
    kind: Literal["file", "directory", "symlink"]
    size: int | None = Field(description="Bytes; of a folder those of all below it, None where not known yet.")
    files: int | None = Field(description="Of a folder: how many files are below it.")
    modified: datetime | None


class FolderLink(BaseModel):
    """A folder above."""

    name: str
    locator: str


class FolderPage(BaseModel):
    """Some of what is in a folder of a copy: folders first, in natural order."""

    backup: str
    timestamp: str
    target: str
    folder: str = Field(description="Its locator.")
    above: list[FolderLink] = Field(description="From the top to the folder itself; the top has no name.")
    items: list[MemberItem]
    next: str | None = Field(description="What to send as `after` for the following items; None where there are none.")
    files: int | None = Field(description="Files below it; None where not known yet.")
    size: int | None
    complete: bool = Field(description="False while the copy is still being opened: sizes of folders follow.")


class FoundPage(BaseModel):
    """Some of what a search found, in the order of the archive."""

    items: list[MemberItem]
    searched: int = Field(description="How many members were searched for this answer.")
    members: int = Field(description="How many there are.")
    next: int | None = Field(description="What to send as `after` to search on; None where all was searched.")


class MemberDetails(MemberItem):
    """All that the index says of a member."""

    mode: str | None = Field(examples=["0644"])
    user: str | None
    group: str | None
    crc32: str | None
    link_target: str | None
    hard_link_to: str | None
    note: str | None = Field(description="What happened to it while it was read.")


def copy_list(backup_id: str, known: KnownCopies, verified: dict[tuple[str, str], datetime]) -> CopyList:
    return CopyList(
        backup=backup_id,
        copies=[_copy(copy, verified.get((str(copy.target), copy.keys.timestamp))) for copy in known.listing.copies],
        errors=[redact(error) for error in known.listing.errors],
        listed=known.listed,
    )


def folder_page(copy: StoredCopy, listing: Listing, folder: Place, page: Page) -> FolderPage:
    totals = listing.totals(folder)
    return FolderPage(
        backup=copy.backup_id,
        timestamp=copy.keys.timestamp,
        target=str(copy.target),
        folder=locator_of(folder),
        above=folders_above(folder),
        items=[member_item(item) for item in page.items],
        next=cursor_text(page.next),
        files=totals[0] if totals else None,
        size=totals[1] if totals else None,
        complete=listing.is_complete,
    )


def folders_above(folder: Place) -> list[FolderLink]:
    return [
        FolderLink(name=shown(folder[count - 1]) if count else "", locator=locator_of(folder[:count]))
        for count in range(len(folder) + 1)
    ]


def found_page(page: SearchPage) -> FoundPage:
    items = [member_item(item) for item in page.items]
    return FoundPage(items=items, searched=page.searched, members=page.members, next=page.next)


def member_item(item: Item) -> MemberItem:
    return MemberItem(
        name=shown(item.name),
        path=printable(item.path),
        locator=locator_of(item.place),
        restore_path=restore_path(item.place),
        kind=item.kind.value,
        size=item.size,
        files=item.files,
        modified=moment_of(item.modified_ns),
    )


def member_details(item: Item, entry: Entry | None) -> MemberDetails:
    member = entry.member if entry is not None else None
    return MemberDetails(
        **member_item(item).model_dump(),
        mode=f"{member.mode:04o}" if member else None,
        user=str(member.user or member.uid) if member else None,
        group=str(member.group or member.gid) if member else None,
        crc32=f"{entry.crc32:08x}" if entry else None,
        link_target=_text(member.link_target) if member else None,
        hard_link_to=_text(member.hard_link_to) if member else None,
        note=entry.note if entry else None,
    )


def restore_path(place: Place) -> str | None:
    """A path as ``restore.py restore`` takes it; None where it cannot stand in JSON."""
    try:
        text = b"/".join(place).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def shown(name: bytes) -> str:
    """A name for people."""
    return printable(name) or "(no name)"


def moment_of(nanoseconds: int | None) -> datetime | None:
    """A time since 1970; None where no calendar has it."""
    if nanoseconds is None:
        return None
    try:
        return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _text(path: bytes | None) -> str | None:
    return printable(path) if path is not None else None


def _copy(copy: StoredCopy, verified: datetime | None) -> CopySummary:
    manifest = copy.manifest
    problem = copy.error or copy.damage
    return CopySummary(
        timestamp=copy.keys.timestamp,
        target=str(copy.target),
        made=parse_timestamp(copy.keys.timestamp),
        status=manifest.status if manifest else None,
        archive_size=manifest.archive.size if manifest else None,
        content_size=manifest.content.size if manifest else None,
        files=manifest.content.files if manifest else None,
        encrypted=copy.is_encrypted,
        pin=PinSummary(reason=redact(copy.pin.reason), by=copy.pin.by) if copy.pin else None,
        problem=redact(problem) if problem else None,
        not_opened=redact(why_not_opened(copy) or "") or None if manifest else "Its manifest cannot be read.",
        verified=verified,
    )
