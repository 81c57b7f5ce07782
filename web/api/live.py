"""What is happening now: once, and as a stream of events."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from operations.activities import activities
from utils import utc_now
from web.activity_documents import ActivityDocument, activity_document
from web.security.access import Viewer
from web.security.cookies import SESSION, get_cookie
from web.security.principal import Principal
from web.security.problems import Problem
from web.services import Services, ServicesOf

router = APIRouter(prefix="/api/v1", tags=["live"])

_EVENT_STREAM = "text/event-stream"


class ActivityList(BaseModel):
    """What is under way, what began first at the head."""

    activities: list[ActivityDocument]


@router.get("/activities")
def list_activities(who: Viewer, services: ServicesOf) -> ActivityList:
    """What is under way at this moment."""
    running = activities(services.configured.current().state_directory)
    return ActivityList(activities=[activity_document(activity) for activity in running])


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={HTTPStatus.OK: {"description": "Events, until the client leaves.", "content": {_EVENT_STREAM: {}}}},
)
async def events(request: Request, who: Viewer, services: ServicesOf) -> StreamingResponse:
    """What changes, as it changes (server-sent events).

    `hello` comes first. `activity` has the list of all that is under way, as `/api/v1/activities`, whenever that
    changed; `backup` the ids of backups of which something changed, and how each stands by now.
    """
    if services.broadcaster.is_full:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "So many pages are open that this one is not updated by itself. Load it again to see what changed.",
            {"Retry-After": "60"},
        )
    stream = services.broadcaster.stream(lambda: _is_signed_in(request, who, services))
    # A proxy that collects what it hands on (nginx does) would hold the events back.
    return StreamingResponse(stream, media_type=_EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


def _is_signed_in(request: Request, who: Principal, services: Services) -> bool:
    """Whether the session or the token of this request still holds, with the same role."""
    if who.via == "token":
        secret = request.headers.get("authorization", "").partition(" ")[2].strip()
        token = services.accounts.token(secret, utc_now())
        return token is not None and token.role is who.role
    session = services.accounts.session(get_cookie(request, SESSION) or "", utc_now())
    return session is not None and session.role is who.role
