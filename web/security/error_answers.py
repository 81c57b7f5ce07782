"""Every error becomes an answer: problem+json (RFC 9457) for the API, a page for people. No traceback leaves the
process, and no secret."""

from __future__ import annotations

import logging
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import errors
from utils import redact
from web.pages.templating import error_page
from web.security.problems import Problem, SignInRequiredProblem

_logger = logging.getLogger(__name__)

_STATUS_OF_ERRORS: tuple[tuple[type[errors.HoldfastError], HTTPStatus], ...] = (
    (errors.ConfigurationError, HTTPStatus.CONFLICT),
    (errors.UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.AlreadyRunningError, HTTPStatus.CONFLICT),
    (errors.EncryptionKeyError, HTTPStatus.CONFLICT),
    (errors.ObjectNotFoundError, HTTPStatus.NOT_FOUND),
    (errors.CatalogError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.AccountsError, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.StorageError, HTTPStatus.BAD_GATEWAY),
    (errors.HostError, HTTPStatus.BAD_GATEWAY),
    (errors.SshError, HTTPStatus.BAD_GATEWAY),
)
_OURS = "Something went wrong in the dashboard itself. Its log says what."

# A name for each, as the framework has one only for the status.
_DETAIL_OF_STATUS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method.",
}


class ErrorAnswers:
    """Outside of whatever can fail, but inside of SecurityHeaders."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_begun = False

        async def send_noted(message: Message) -> None:
            nonlocal is_begun
            is_begun = is_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            problem = _problem(error)
            if is_begun:
                raise  # the server closes the connection, so that nobody takes the answer for whole
            await answer(Request(scope), problem)(scope, receive, send)


def handle_framework_errors(application: FastAPI) -> None:
    """Those that FastAPI would answer by itself."""

    async def invalid(request: Request, error: Exception) -> Response:
        return answer(request, _invalid(error))

    async def refused(request: Request, error: Exception) -> Response:
        return answer(request, _refused(error))

    application.add_exception_handler(RequestValidationError, invalid)
    application.add_exception_handler(HTTPException, refused)


def answer(request: Request, problem: Problem) -> Response:
    """The problem in the form that whoever asked can read."""
    if is_for_programs(request.url.path):
        document = problem.document.model_dump()
        return JSONResponse(document, problem.status, problem.headers, media_type="application/problem+json")
    if isinstance(problem, SignInRequiredProblem) and "authorization" not in request.headers:
        return _to_sign_in(request)
    return error_page(request, problem)


def is_for_programs(path: str) -> bool:
    """Whether it is called by programs, which cannot read a page nor sign in on one."""
    return path.startswith("/api/") or path == "/metrics"


def _to_sign_in(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    query = f"?{urlencode({'next': here})}" if request.method in ("GET", "HEAD") and here != "/" else ""
    return RedirectResponse(f"/sign-in{query}", HTTPStatus.SEE_OTHER)


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.HoldfastError):
        status = next((status for kind, status in _STATUS_OF_ERRORS if isinstance(error, kind)), None)
        if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _logger.error("%s", redact(str(error)))
        return Problem(status or HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    _logger.error("Unexpected error", exc_info=error)
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, _OURS)


def _invalid(error: Exception) -> Problem:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    details = (f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}" for each in found)
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(details))


def _refused(error: Exception) -> Problem:
    status = HTTPStatus(error.status_code) if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = _DETAIL_OF_STATUS.get(status) or str(getattr(error, "detail", "") or status.phrase)
    return Problem(status, detail, dict(getattr(error, "headers", None) or {}))
