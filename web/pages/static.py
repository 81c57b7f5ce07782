"""Styles and scripts: read once, named with a hash of their content, so that browsers keep them until they change."""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from web.security.problems import NotFoundProblem

router = APIRouter(include_in_schema=False)

_FOLDER = Path(__file__).parent.parent / "static"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str
    version: str


def asset(name: str) -> str:
    """The address of a file in ``web/static``: ``/static/style.css?v=…``. Raises KeyError."""
    return f"/static/{name}?v={_files()[name].version}"


@router.get("/static/{path:path}")
async def static(request: Request, path: str) -> Response:
    """A file of ``web/static``; nothing else is there, whatever the path says."""
    file = _files().get(path)
    if file is None:
        raise NotFoundProblem
    # A module that another one imports has no version in its address: browsers ask each time whether it is the same.
    is_versioned = request.query_params.get("v") == file.version
    headers = {
        "ETag": f'"{file.version}"',
        "Cache-Control": "public, max-age=31536000, immutable" if is_versioned else "no-cache",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


@cache
def _files() -> dict[str, _File]:
    return {str(path.relative_to(_FOLDER)): _read(path) for path in sorted(_FOLDER.rglob("*")) if path.is_file()}


def _read(path: Path) -> _File:
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(content, media_type, hashlib.sha256(content).hexdigest()[:16])
