"""What a restore of files would do, without reading the archive or writing anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from errors import HoldfastError
from hosts.command import CommandHost
from hosts.local_tree import NOT_EMPTY, LocalTree
from model import MemberKind, Overwrite, Placement
from operations.copies.contents import Contents, Selection, nothing_at
from operations.copies.stored_copies import StoredCopy
from operations.restoring.restore_look import LocalLook, Look, Looked, RemoteLook
from operations.restoring.restore_place import Fate, fate_of
from sources.remote_look import found_there, look_at_folder
from utils import printable

OnLooked = Callable[[Looked], None]


@dataclass(slots=True)
class Preview:
    """What is asked for of the copy, and what of that lies in the folder already.

    ``there`` counts files and links, ``older`` those of them that were modified before those of the copy, ``replaced``
    those that would be replaced; the others stay. Where ``times_are_known`` is false, nothing counts as older.
    ``refused`` is why nothing would be restored; ``problems`` are what would not come back.
    """

    folder_exists: bool
    times_are_known: bool = True
    refused: str | None = None
    files: int = 0
    folders: int = 0
    links: int = 0
    size: int = 0
    there: int = 0
    older: int = 0
    replaced: int = 0
    problems: list[str] = field(default_factory=list)


def preview_files(
    copy: StoredCopy, folder: Path, paths: Sequence[bytes], placement: Placement, on_looked: OnLooked
) -> Preview:
    """What ``restore_files`` would do; ``on_looked`` is told of each member. Raises as it does, before it writes."""
    try:
        exists = os.path.lexists(folder)
        preview = Preview(exists, refused=_refusal_here(folder, placement))
        with _tree(folder, placement) as tree:
            _look(copy, paths, LocalLook(tree, placement.overwrite), 1, preview, on_looked)
    except OSError as error:
        raise HoldfastError(f"The folder {folder} cannot be looked at: {error.strerror}.") from error
    return preview


def preview_files_there(
    copy: StoredCopy,
    host: CommandHost,
    folder: str,
    paths: Sequence[bytes],
    placement: Placement,
    on_looked: OnLooked,
) -> Preview:
    """What ``restore_files_there`` would do."""
    there = look_at_folder(host, folder, placement.overwrite)
    preview = Preview(there.exists, there.tells_times)
    if there.exists and (not there.is_folder or (placement.overwrite is None and not there.is_empty)):
        preview.refused = f"{folder} on {host.name} is {NOT_EMPTY}"
    elif not there.is_writable:
        preview.refused = f"The user of {host.name} may not write to {folder}, or to the folder above it."
    found = partial(found_there, host, folder, with_times=there.tells_times) if there.is_folder else None
    look = RemoteLook(found, placement.overwrite, there.time_step_ns)
    _look(copy, paths, look, there.time_step_ns, preview, on_looked)
    return preview


@contextmanager
def _tree(folder: Path, placement: Placement) -> Iterator[LocalTree | None]:
    if not folder.is_dir():
        yield None
        return
    with closing(LocalTree(folder, placement)) as tree:
        yield tree


def _refusal_here(folder: Path, placement: Placement) -> str | None:
    if os.path.lexists(folder):
        is_folder = folder.is_dir()
        if not is_folder or (placement.overwrite is None and any(folder.iterdir())):
            return f"{folder} is {NOT_EMPTY}"
    above = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        return f"You may not write to {above}, so nothing can be restored there."
    return None


def _look(
    copy: StoredCopy, paths: Sequence[bytes], look: Look, time_step_ns: int, preview: Preview, on_looked: OnLooked
) -> None:
    selection = Selection(Contents(copy), paths)
    for looked in look.at(selection.entries()):
        _count(looked, time_step_ns, preview)
        on_looked(looked)
    if selection.unmatched:
        preview.problems.append(nothing_at(copy, selection.unmatched))


def _count(looked: Looked, time_step_ns: int, preview: Preview) -> None:
    member = looked.entry.member
    if looked.problem is not None:
        preview.problems.append(f"{printable(member.path)}: {looked.problem}")
    if member.kind is MemberKind.DIRECTORY:
        preview.folders += 1
        return
    if member.kind is MemberKind.SYMLINK:
        preview.links += 1
    else:
        preview.files += 1
        preview.size += looked.entry.size
    if looked.found is not None and looked.fate is not Fate.BLOCKED:
        preview.there += 1
        preview.replaced += looked.fate is Fate.REPLACES
        if_older = fate_of(member, looked.found, Overwrite.OLDER, time_step_ns)
        preview.older += preview.times_are_known and if_older is Fate.REPLACES
