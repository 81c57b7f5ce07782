"""The description of the API itself (OpenAPI 3.1), and who one is to it."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from accounts import Role
from utils import HOLDFAST_VERSION
from web.security.access import Viewer

router = APIRouter(prefix="/api/v1", tags=["about"])


class Caller(BaseModel):
    """Who sent the request, as the dashboard sees it."""

    name: str = Field(description="The name of the user, or of the token.")
    role: Role
    via: Literal["session", "token"]
    version: str = Field(description="The version of Holdfast.")


@router.get("/me")
async def me(who: Viewer) -> Caller:
    """Who you are to the dashboard."""
    return Caller.model_validate({"name": who.name, "role": who.role, "via": who.via, "version": HOLDFAST_VERSION})


@router.get("/openapi.json")
async def openapi(who: Viewer, request: Request) -> dict[str, Any]:
    """This description (OpenAPI 3.1)."""
    document: dict[str, Any] = request.app.openapi()
    return document
