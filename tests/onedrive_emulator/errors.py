"""The errors that services answer with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .http_messages import Answer, json_answer


class GraphError(Exception):
    """An error in Graph's shape. ``inner`` holds the codes of its inner errors, from the outside in."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        inner: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.headers = dict(headers or {})

    def answer(self, request_id: str, date: str, *, spelling: str) -> Answer:
        """The answer; inner errors are spelled ``innerError`` by Graph and ``innererror`` by SharePoint."""
        nested: dict[str, Any] = {"date": date, "request-id": request_id, "client-request-id": request_id}
        for depth, code in enumerate(reversed(self.inner)):
            nested = {"code": code, spelling: nested} if depth else {"code": code, **nested}
        error = {"code": self.code, "message": self.message, spelling: nested}
        return json_answer(self.status, {"error": error}, self.headers)


class SignInError(Exception):
    """An error of the token endpoint (RFC 6749 section 5.2), with the number that Microsoft gives it."""

    def __init__(
        self, status: int, error: str, number: int, description: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(description)
        self.headers = dict(headers or {})
        self.status = status
        self.error = error
        self.number = number
        self.description = description

    def answer(self, request_id: str, date: str) -> Answer:
        document = {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.description} Trace ID: {request_id} Timestamp: {date}",
            "error_codes": [self.number],
            "timestamp": date,
            "trace_id": request_id,
            "correlation_id": request_id,
        }
        return json_answer(self.status, document, self.headers)
