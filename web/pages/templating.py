"""Pages from templates: everything is escaped unless a template says otherwise, and a misspelled name is an error."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from utils import HOLDFAST_VERSION
from web.pages.filters import FILTERS, badge_of, zone_name
from web.pages.static import asset
from web.security.principal import Principal
from web.security.problems import Problem

_TEMPLATES = Path(__file__).parent.parent / "templates"
_NOBODY = Principal("", None, "none", "")


@cache
def environment() -> Environment:
    """Jinja's, once for the process. Filters and globals for all templates are added here."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(FILTERS)
    made.globals.update(asset=asset, version=HOLDFAST_VERSION, badge_of=badge_of, zone_name=zone_name)
    return made


def page(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """The page that this template makes. Besides ``context`` it has ``who`` (a Principal; its role is None where nobody
    is signed in), ``csrf_token``, ``path`` (of the request), ``asset(name)`` and ``version``."""
    return HTMLResponse(render(request, template, getattr(request.state, "principal", _NOBODY), **context), status)


def render(request: Request, template: str, who: Principal, **context: Any) -> str:
    """The text of a page as :func:`page` answers with it, for this reader."""
    made = environment().get_template(template)
    return made.render(who=who, csrf_token=who.csrf_token, path=request.url.path, **context)


def error_page(request: Request, problem: Problem) -> HTMLResponse:
    """A page about what went wrong."""
    answer = page(request, "error.html", status=problem.status, problem=problem)
    answer.headers.update(problem.headers)
    return answer
