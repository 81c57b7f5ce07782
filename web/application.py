"""The ASGI application: the routes behind everything that makes them safe."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware import Middleware

from utils import HOLDFAST_VERSION
from web.routers import ROUTERS
from web.security.authentication import Authentication
from web.security.csrf import CsrfCheck
from web.security.error_answers import ErrorAnswers, handle_framework_errors
from web.security.headers import SecurityHeaders
from web.security.hosts import HostCheck
from web.security.problems import ProblemDocument
from web.security.request_limits import RequestLimits
from web.services import Services

_ABOUT = """\
What the pages of the dashboard show and do, for programs. Make a token with `main.py token add NAME`, and send it with
each request: `Authorization: Bearer hf_…`. Errors are problem+json (RFC 9457). Times are UTC (RFC 3339), sizes bytes.
"""


def create_application(services: Services) -> FastAPI:
    """All routes, behind the checks. The order of the checks is that in which a request passes them."""
    application = FastAPI(
        title="Holdfast",
        version=HOLDFAST_VERSION,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(ErrorAnswers),
            Middleware(HostCheck, settings=services.settings),
            Middleware(RequestLimits),
            Middleware(Authentication, accounts=services.accounts),
            Middleware(CsrfCheck),
        ],
    )
    application.state.services = services
    handle_framework_errors(application)
    for router in ROUTERS:
        application.include_router(router)
    application.openapi = lambda: _described(application)  # type: ignore[method-assign]
    return application


def openapi_document() -> dict[str, Any]:
    """The description of the API (OpenAPI 3.1), as docs/openapi.json has it."""
    application = FastAPI(title="Holdfast", version=HOLDFAST_VERSION, description=_ABOUT)
    for router in ROUTERS:
        application.include_router(router)
    return _described(application)


def _described(application: FastAPI) -> dict[str, Any]:
    """With the tokens, and with the one form of all errors in place of FastAPI's own."""
    if application.openapi_schema is None:
        document = get_openapi(
            title=application.title,
            version=application.version,
            description=application.description,
            routes=application.routes,
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
        problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for operations in document["paths"].values():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = {"description": "What went wrong", "content": problem}
        application.openapi_schema = document
    return application.openapi_schema
