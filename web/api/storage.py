"""How much of each storage and target the backups use, as it was measured after their runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from web.security.access import Viewer
from web.services import ServicesOf
from web.snapshot import BackupState, View

router = APIRouter(prefix="/api/v1", tags=["storage"])

MOST_BACKUPS = 200


class StorageUse(BaseModel):
    """What lies on one storage."""

    storage: str
    type: str = Field(description="`LOCAL`, `S3` …; nothing where it is no longer in the configuration.")
    size: int = Field(description="Bytes: archives and all beside them.")
    copies: int
    backups: int


class BackupUse(BaseModel):
    """What one backup uses."""

    backup: str
    size: int = Field(description="On all targets together, in bytes.")
    copies: int
    targets: dict[str, int] = Field(description="Bytes on each target.")
    measured: datetime


class StorageReport(BaseModel):
    """The space in use. What was never measured is not in it."""

    size: int
    storages: list[StorageUse] = Field(description="The fullest first.")
    total: int = Field(description="How many backups were measured.")
    backups: list[BackupUse] = Field(description="The largest first, from `offset` on.")


def storage_report(view: View, offset: int, limit: int) -> StorageReport:
    """Of the backups in this view."""
    storages: dict[str, StorageUse] = {}
    for state in view.states.values():
        for usage in state.usage:
            name = usage.target.partition(":")[0]
            if name not in storages:
                storages[name] = StorageUse(storage=name, type=_type(view, name), size=0, copies=0, backups=0)
            storages[name].size += usage.size
            storages[name].copies += usage.copies
        for name in {usage.target.partition(":")[0] for usage in state.usage}:
            storages[name].backups += 1
    measured = [state for state in view.states.values() if state.usage]
    measured.sort(key=lambda state: (-_size(state), state.standing.backup_id))
    return StorageReport(
        size=sum(each.size for each in storages.values()),
        storages=sorted(storages.values(), key=lambda each: (-each.size, each.storage)),
        total=len(measured),
        backups=[_backup_use(state) for state in measured[offset : offset + limit]],
    )


def _backup_use(state: BackupState) -> BackupUse:
    return BackupUse(
        backup=state.standing.backup_id,
        size=_size(state),
        copies=sum(usage.copies for usage in state.usage),
        targets={usage.target: usage.size for usage in state.usage},
        measured=max(usage.measured for usage in state.usage),
    )


def _size(state: BackupState) -> int:
    return sum(usage.size for usage in state.usage)


def _type(view: View, name: str) -> str:
    storage = view.configuration.storages.get(name)
    return storage.type.value if storage is not None else ""


@router.get("/storage")
def show_storage(
    who: Viewer,
    services: ServicesOf,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_BACKUPS)] = 50,
) -> StorageReport:
    """The space in use, by storage and by backup."""
    return storage_report(services.snapshot.view, offset, limit)
