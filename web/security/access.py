"""Who may call a route. Each one has a parameter of one of these, or stands in :data:`PUBLIC`; a test counts them.

::

    @router.get("/backups")
    def backups(who: Viewer, services: ServicesOf) -> list[BackupSummary]: ...

    @router.post("/backups/{project}/{name}/run")
    def run(who: Operator, services: ServicesOf, project: str, name: str) -> Started: ...
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from web.security.principal import Principal
from web.security.problems import ForbiddenProblem, SignInRequiredProblem

PUBLIC = frozenset({"/sign-in", "/static/{path:path}", "/api/v1/health"})
"""The paths, as in the routes, that everybody may call: nothing of the backups is told there."""


async def viewer(request: Request) -> Principal:
    """Somebody who is signed in. Raises SignInRequiredProblem."""
    principal: Principal = request.state.principal
    if principal.role is None:
        raise SignInRequiredProblem
    return principal


async def operator(request: Request) -> Principal:
    """A signed-in operator. Raises SignInRequiredProblem, ForbiddenProblem."""
    principal = await viewer(request)
    if not principal.may_operate:
        raise ForbiddenProblem("This needs the role operator, and yours is viewer.")
    return principal


Viewer = Annotated[Principal, Depends(viewer)]
"""Reading: whoever is signed in, with a session or a token."""

Operator = Annotated[Principal, Depends(operator)]
"""Acting, and the content of backups."""
