"""Whether the dashboard answers, for whatever watches it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(prefix="/api/v1", tags=["about"])


class Health(BaseModel):
    """It answers."""

    status: str = "ok"


@router.get("/health")
async def health() -> Health:
    """Whether the dashboard answers. Needs no token, and tells nothing of the backups."""
    return Health()
