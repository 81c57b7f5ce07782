"""What goes wrong with a request, and how it is told: to programs as problem+json (RFC 9457), to people as a page.

A route raises :class:`Problem`, or one of those below. The errors of Holdfast (errors.py) become problems too.
"""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel, Field

from utils import redact


class ProblemDocument(BaseModel):
    """An error, as in RFC 9457."""

    type: str = "about:blank"
    title: str = Field(description="The name of the HTTP status.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What is wrong here, and what to do.", examples=["There is no backup shop/db."])


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """A request that is answered with an error. ``detail`` is a sentence for whoever sent it."""

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = redact(detail)
        self.headers = headers or {}

    @property
    def document(self) -> ProblemDocument:
        return ProblemDocument(title=self.status.phrase, status=self.status, detail=self.detail)


class NotFoundProblem(Problem):
    """There is no such thing."""

    def __init__(self, detail: str = "There is nothing at this address.") -> None:
        super().__init__(HTTPStatus.NOT_FOUND, detail)


class ConflictProblem(Problem):
    """It cannot be done as things stand now."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.CONFLICT, detail)


class SignInRequiredProblem(Problem):
    """Nobody is signed in. A page sends people to sign in instead."""

    def __init__(self, detail: str = "Sign in first, or send a valid token: Authorization: Bearer hf_…") -> None:
        super().__init__(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})


class ForbiddenProblem(Problem):
    """Whoever asks may not do this."""

    def __init__(self, detail: str) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, detail)
