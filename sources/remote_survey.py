"""What has to be known of a host before files are read there: its tar, its mounts, and whether the paths exist."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from errors import HostError, SourceError
from hosts.command import Command, CommandHost
from hosts.local import PSEUDO_FILE_SYSTEMS
from model import FileSource
from sources.remote_listing import Root
from sources.tar_program import ENVIRONMENT, PROBE, TarProgram, new_infix, recognised
from utils import printable

# Prints tar's three answers and how find is called; for each path why it cannot be read and, where it is a symbolic
# link, what that leads to; and at last the mounts. A line break at the end of a name is kept by the x.
_SCRIPT = (
    PROBE
    + """
shift
printf '%s\\0' "$(command -v find)"
for path; do
    target=
    said=$(find "$path" -prune 2>&1 >/dev/null)
    if [ -z "$said" ] && [ -h "$path" ]; then
        target=$(readlink -f "$path" && echo x)
        [ -n "$target" ] && [ -e "$path" ] || said=': No such file or directory'
    fi
    printf '%s\\0%s\\0' "$said" "$target"
done
[ ! -r /proc/self/mountinfo ] || while IFS= read -r line; do printf '%s\\n' "$line"; done </proc/self/mountinfo
"""
)

_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Survey:
    """``roots`` are the configured paths, normalised, and what those lead to that are symbolic links."""

    tar: TarProgram
    roots: tuple[Root, ...]


@dataclass(frozen=True, slots=True)
class _Mount:
    device: bytes
    file_system: str


def survey(source: FileSource, host: CommandHost) -> Survey:
    """Look at the host. Raises HostError, and SourceError where a path of FILE_PATH is missing."""
    paths = [b"/" + os.path.normpath(_encoded(text)).lstrip(b"/") for text in source.paths]
    arguments = [path.decode("utf-8", "surrogateescape") for path in paths]
    with host.start(Command(("sh", "-c", _SCRIPT, "sh", new_infix(), *arguments), ENVIRONMENT)) as running:
        answer = b"".join(running.chunks())
    tar_path, marked, said, find, *answers = answer.split(b"\0")
    tar = recognised(_decoded(tar_path), _decoded(marked), _decoded(said), host.name)
    if not find:
        raise HostError(f"The program find was not found on {host.name}. Install it there.")
    found: dict[bytes, None] = {}
    missing = []
    for path, reason, target in zip(paths, answers[0::2], answers[1::2], strict=False):
        if reason:
            missing.append(f"{printable(path)}: {printable(reason.rpartition(b': ')[2])}")
        found[path] = None
        if target:
            # A backup that holds the link alone would hold nothing of what was asked for.
            found[target.removesuffix(b"x").removesuffix(b"\n")] = None
    if missing:
        raise SourceError(
            f"These paths of FILE_PATH cannot be read on {host.name}, so nothing was backed up:\n  "
            + "\n  ".join(missing)
            + "\nCorrect them in the configuration, or mount what is missing, and run again."
        )
    mounts = _mounts(answers[-1])
    return Survey(tar, tuple(Root(path, _closed(path, mounts, source)) for path in found))


def _closed(root: bytes, mounts: Mapping[bytes, _Mount], source: FileSource) -> dict[bytes, str]:
    """The mounts below a root that are not entered."""
    above = root.rstrip(b"/") + b"/"
    own = mounts.get(_mount_of(root, mounts))
    closed = {}
    for path, mount in mounts.items():
        if not path.startswith(above) or path == root or (own and mount.device == own.device):
            continue
        if source.one_file_system:
            closed[path] = "it is on another file system (ONE_FILE_SYSTEM)"
        elif mount.file_system in PSEUDO_FILE_SYSTEMS:
            closed[path] = "it is a view of the kernel, not stored data"
    return closed


def _mount_of(path: bytes, mounts: Mapping[bytes, _Mount]) -> bytes:
    while path not in mounts and path != b"/":
        path = os.path.dirname(path)
    return path


def _mounts(mount_info: bytes) -> dict[bytes, _Mount]:
    """Of proc(5), mountinfo; the last mount on a folder is the one that is seen."""
    mounts = {}
    for line in mount_info.splitlines():
        before, _, after = line.partition(b" - ")
        fields = before.split(b" ")
        if len(fields) > 4:
            path = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), fields[4])
            mounts[path] = _Mount(fields[2], _decoded(after.partition(b" ")[0]))
    return mounts


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
