"""What processes do now, as the API and the live events say it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from model import Activity, ActivityKind


class UploadDocument(BaseModel):
    """An archive that waited on this machine, on its way to a target."""

    target: str = Field(description="The storage and the path in it.")
    sent: int = Field(description="Bytes.")
    size: int = Field(description="Bytes.")


class ActivityDocument(BaseModel):
    """A run, a verification, a drill or a restore that is under way, whoever started it."""

    id: str = Field(description="That of the run, where it is a backup.")
    kind: ActivityKind
    backup: str
    started: datetime
    updated: datetime
    process: int
    files: int = Field(description="Done so far.")
    size: int = Field(description="Bytes done so far.")
    expected_size: int | None = Field(description="About how many bytes there are; null where nobody can tell.")
    path: str = Field(description="The file that it is at.")
    uploads: list[UploadDocument]
    waiting_until: datetime | None = Field(description="When the next try begins, while it waits for that.")


def activity_document(activity: Activity) -> ActivityDocument:
    """One of them."""
    return ActivityDocument(
        id=activity.id,
        kind=activity.kind,
        backup=activity.backup_id,
        started=activity.started,
        updated=activity.updated,
        process=activity.process,
        files=activity.files,
        size=activity.size,
        expected_size=activity.expected_size,
        path=activity.path,
        uploads=[UploadDocument(target=each.target, sent=each.sent, size=each.size) for each in activity.uploads],
        waiting_until=activity.waiting_until,
    )
