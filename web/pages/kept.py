"""Whole pages that were made once and are used until what they show changes, for each who looks at them.

A page of a thousand backups takes 10 to 50 ms of processor time to make and one to send; twenty people who look at the
same one would wait for each other.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from web.pages.templating import render
from web.security.principal import Principal
from web.services import Services

# What stands in a kept page where the CSRF token of its reader belongs. Nobody who names a project can guess it.
_TOKEN = secrets.token_urlsafe(32)


def kept_page(
    request: Request,
    services: Services,
    who: Principal,
    template: str,
    version: Hashable,
    make_context: Callable[[], Mapping[str, object]],
) -> HTMLResponse:
    """The page that this template makes of ``make_context()``, which is called only where it is not kept.

    It is kept for this address and this reader until ``version`` is another one, which therefore has everything in it
    that the page depends on.
    """
    anybody = replace(who, session=replace(who.session, csrf_token=_TOKEN)) if who.session else who
    key = (template, request.url.path, request.url.query, who.name, who.role, who.via)
    text = services.fragments.get(
        key,
        version,
        lambda: Markup(render(request, template, anybody, **make_context())),  # noqa: S704 - from a template
    )
    return HTMLResponse(text.replace(_TOKEN, who.csrf_token).encode())
