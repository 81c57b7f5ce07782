"""Signing in and out."""

from __future__ import annotations

import re
import secrets
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from accounts import Session
from utils import utc_now
from web.forms import form_of
from web.pages.templating import page
from web.security import cookies
from web.security.access import Viewer
from web.security.csrf import FIELD, is_same
from web.security.principal import Principal
from web.security.problems import Problem
from web.security.sign_in_limits import TooManyTriesProblem
from web.services import Services, ServicesOf

router = APIRouter(include_in_schema=False)

_WRONG = "The name or the password is wrong."
_OUT_OF_DATE = "The page was out of date. Try once more; the browser has to take cookies."

# A path on this host and nothing else: browsers take `//host` and `/\host` for another one, and skip tabs and newlines.
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2000}")
_LONGEST_NAME = 64


@router.get("/sign-in")
async def sign_in_page(request: Request, next: str = "/") -> Response:  # noqa: A002 - the name of the parameter
    """The form; who is signed in already goes on to the page."""
    principal: Principal = request.state.principal
    if principal.role is not None:
        return RedirectResponse(local_path(next), HTTPStatus.SEE_OTHER)
    return _form(request, local_path(next))


@router.post("/sign-in")
async def sign_in(request: Request, services: ServicesOf) -> Response:
    """Begin a session, always a new one: whatever cookie was sent with the form is of no use afterwards."""
    form = await form_of(request)
    name, target = form.get("name", ""), local_path(form.get("next", "/"))
    if not is_same(form.get(FIELD), cookies.get_cookie(request, cookies.SIGN_IN) or ""):
        return _form(request, target, name, _OUT_OF_DATE, HTTPStatus.FORBIDDEN)
    before: Principal = request.state.principal
    who = Principal(name[:_LONGEST_NAME], None, "none", before.address)
    try:
        is_right = await services.password_checks.is_right(name, form.get("password", ""), who.address)
    except Problem as problem:
        if isinstance(problem, TooManyTriesProblem) and problem.is_first:
            services.audit.record(who, "sign in", outcome=f"refused: {problem.detail}")
        answer = _form(request, target, name, problem.detail, problem.status)
        answer.headers.update(problem.headers)
        return answer
    # Whatever writes waits for the disk, and perhaps for another process: in a thread, so that nobody else waits too.
    begun = await run_in_threadpool(services.accounts.begin_session, name, utc_now()) if is_right else None
    if begun is None:
        services.audit.record(who, "sign in", outcome="refused: the name or the password is wrong")
        return _form(request, target, name, _WRONG, HTTPStatus.UNAUTHORIZED)
    if before.session is not None:
        await run_in_threadpool(services.accounts.end_session, before.session)
    secret, session = begun
    services.audit.record(_principal(session, who.address), "sign in")
    answer = RedirectResponse(target, HTTPStatus.SEE_OTHER)
    cookies.set_cookie(answer, request, cookies.SESSION, secret)
    cookies.remove_cookie(answer, request, cookies.SIGN_IN)
    return answer


@router.post("/sign-out")
def sign_out(request: Request, who: Viewer, services: ServicesOf) -> Response:
    """End the session, for this browser and whoever else has its secret."""
    end_session(services, who)
    answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    cookies.remove_cookie(answer, request, cookies.SESSION)
    return answer


def end_session(services: Services, who: Principal) -> None:
    """End the session of this principal, if it has one, and say so in the audit log."""
    if who.session is not None:
        services.accounts.end_session(who.session)
        services.audit.record(who, "sign out")


def local_path(text: str) -> str:
    """The path itself where it leads to this host for sure, else ``/``."""
    return text if _LOCAL_PATH.fullmatch(text) else "/"


def _form(
    request: Request, target: str, name: str = "", message: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Response:
    token = cookies.get_cookie(request, cookies.SIGN_IN) or secrets.token_urlsafe(32)
    answer = page(request, "sign-in.html", status=status, target=target, name=name, message=message, form_token=token)
    cookies.set_cookie(answer, request, cookies.SIGN_IN, token)
    return answer


def _principal(session: Session, address: str) -> Principal:
    return Principal(session.user, session.role, "session", address, session)
