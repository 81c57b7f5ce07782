"""The words of Holdfast as frozen values: what a configuration says, what a source yields, what a run leaves behind.

No I/O and no import but the standard library and ``utils``. Times are timezone-aware ``datetime`` in UTC unless a
name says otherwise; sizes are bytes; paths of members are ``bytes``, because a file name on Linux is bytes.
"""

from __future__ import annotations

from model.configuration import (
    Assertion,
    Backup,
    CalendarSpan,
    CommandSource,
    Compression,
    CompressionMethod,
    Configuration,
    DatabaseSource,
    DockerContainer,
    FileSource,
    Hooks,
    Keep,
    Problem,
    Severity,
    Source,
    SshHost,
    StoppedContainers,
    StorageDefinition,
    StorageType,
    Target,
)
from model.history import Archive, Copy, Run, RunStatus, StoredObject
from model.members import (
    HeldContent,
    Member,
    MemberKind,
    Note,
    NoteKind,
    OnProgress,
    OpenContent,
    SeekableContent,
    StreamContent,
)
from model.secret import Secret

__all__ = [
    "Archive",
    "Assertion",
    "Backup",
    "CalendarSpan",
    "CommandSource",
    "Compression",
    "CompressionMethod",
    "Configuration",
    "Copy",
    "DatabaseSource",
    "DockerContainer",
    "FileSource",
    "HeldContent",
    "Hooks",
    "Keep",
    "Member",
    "MemberKind",
    "Note",
    "NoteKind",
    "OnProgress",
    "OpenContent",
    "Problem",
    "Run",
    "RunStatus",
    "Secret",
    "SeekableContent",
    "Severity",
    "Source",
    "SshHost",
    "StoppedContainers",
    "StorageDefinition",
    "StorageType",
    "StoredObject",
    "StreamContent",
    "Target",
]
