"""The fields of an HTML form. Only ``application/x-www-form-urlencoded`` is read: no form of ours sends files."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import Request

from web.security.problems import Problem

FORM_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 100


def is_form(content_type: str) -> bool:
    """Whether a body of this ``Content-Type`` is one."""
    return content_type.partition(";")[0].strip().lower() == FORM_TYPE


def parse_form(body: bytes) -> dict[str, str]:
    """The fields of a body; of several with one name, the last. Raises Problem."""
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
        )
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form cannot be read.") from None


async def form_of(request: Request) -> dict[str, str]:
    """The fields of the form that was sent. Raises Problem."""
    if not is_form(request.headers.get("content-type", "")):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"A form is sent as {FORM_TYPE}.")
    return parse_form(await request.body())
