"""``restore.py restore --dry-run``: what would be done, and what would keep it from being done."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from command_line import complain, show, show_json
from commands.choice import copy_document, listed
from errors import EXIT_FAILED, EXIT_GOOD, HoldfastError, RestoreError

if TYPE_CHECKING:
    from operations.copies.stored_copies import StoredCopy
    from operations.restoring.restore_databases import DatabaseRestore, WantedDatabase
    from operations.restoring.restore_look import Looked
    from operations.restoring.restore_preview import OnLooked, Preview


def show_files(
    arguments: argparse.Namespace, copy: StoredCopy, to: str, preview_with: Callable[[OnLooked], Preview]
) -> int:
    """Tell what would come into the folder ``to``, with ``-v`` of each member; the exit code of the real restore, as
    far as it can be known. Raises HoldfastError where nothing, or not everything, would come back."""
    members: list[dict[str, object]] = []

    def on_looked(looked: Looked) -> None:
        if arguments.verbose and arguments.json:
            members.append(_member_document(looked))
        elif arguments.verbose:
            show(_member_line(looked))

    preview = preview_with(on_looked)
    if arguments.json:
        show_json(_files_document(copy, to, preview) | ({"members": members} if arguments.verbose else {}))
        return EXIT_FAILED if preview.refused or preview.problems else EXIT_GOOD
    if not arguments.quiet:
        show(_sentences(arguments, copy, to, preview))
    if preview.refused:
        raise HoldfastError(preview.refused)
    if preview.problems:
        raise HoldfastError(f"Not everything of {copy} would come back:\n  {listed(preview.problems)}")
    return EXIT_GOOD


def show_databases(
    arguments: argparse.Namespace, copy: StoredCopy, restore: DatabaseRestore, wanted: Sequence[WantedDatabase]
) -> int:
    """The same for databases. Raises RestoreError where one is there that would not be replaced."""
    from utils import format_size

    existing = restore.existing(wanted)
    refused = None if arguments.replace or not existing else restore.refusal(existing, len(wanted))
    if arguments.json:
        databases = [
            {
                "database": each.stored.name,
                "restored_as": each.name,
                "size": each.stored.entry.size,
                "exists": each.name in existing,
            }
            for each in wanted
        ]
        found = {"databases": databases, "refused": refused, "remarks": restore.report.remarks}
        show_json({"copy": copy_document(copy), "on": restore.host_name, **found})
        return EXIT_FAILED if refused else EXIT_GOOD
    for each in () if arguments.quiet else wanted:
        there = "which would be made"
        if each.name in existing:
            there = "in place of the one that is there" if arguments.replace else "and one of that name is there"
        size = format_size(each.stored.entry.size)
        show(
            f'{copy}: the database "{each.stored.name}" ({size}) would be restored as "{each.name}" on '
            f"{restore.host_name}, {there}"
        )
    for remark in restore.report.remarks:
        complain(remark)
    if refused:
        raise RestoreError(refused)
    return EXIT_GOOD


def _sentences(arguments: argparse.Namespace, copy: StoredCopy, to: str, preview: Preview) -> str:
    from utils import format_count, format_size

    lines = [
        f"{copy}: {format_count(preview.files, 'file')} ({format_size(preview.size)}), "
        f"{format_count(preview.folders, 'folder')} and {format_count(preview.links, 'link')} would be restored into "
        f"{to}{'' if preview.folder_exists else ', which would be made'}"
    ]
    if preview.there:
        are = f"{format_count(preview.there, 'file')} {'is' if preview.there == 1 else 'are'} there already"
        if arguments.overwrite is None:
            older = f", {preview.older:,} of them older than the copy's" if preview.times_are_known else ""
            lines.append(are + older)
        else:
            stay = preview.there - preview.replaced
            lines.append(f"{are}: {preview.replaced:,} would be replaced, {stay:,} would stay")
    return "\n".join(lines)


def _files_document(copy: StoredCopy, to: str, preview: Preview) -> dict[str, object]:
    return {
        "copy": copy_document(copy),
        "to": to,
        "exists": preview.folder_exists,
        "refused": preview.refused,
        "files": preview.files,
        "folders": preview.folders,
        "links": preview.links,
        "size": preview.size,
        "there_already": preview.there,
        "there_and_older": preview.older if preview.times_are_known else None,
        "replaced": preview.replaced,
        "problems": preview.problems,
    }


def _fate(looked: Looked) -> str:
    from operations.restoring.restore_place import Fate

    words = {Fate.NEW: "new", Fate.REPLACES: "replaces", Fate.STAYS: "stays", Fate.BLOCKED: "blocked"}
    return words[looked.fate]


def _member_line(looked: Looked) -> str:
    from commands.showing import entry_line

    return f"{_fate(looked):<9}{entry_line(looked.entry)}"


def _member_document(looked: Looked) -> dict[str, object]:
    from commands.showing import entry_document

    return {"fate": _fate(looked), **entry_document(looked.entry)}
