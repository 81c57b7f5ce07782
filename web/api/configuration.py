"""The configuration as it may be shown: secrets and comments are taken out, and what is wrong with it is told."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter
from pydantic import BaseModel, Field

from config import redacted_lines
from errors import ConfigurationError
from model import Problem, Severity
from utils import redact
from web.security.access import Viewer
from web.services import Services, ServicesOf

router = APIRouter(prefix="/api/v1", tags=["configuration"])

_LARGEST = 4 << 20


class ProblemOfConfiguration(BaseModel):
    """One thing wrong with it, or worth saying about it."""

    file: str
    line: int = Field(description="From 1 on.")
    column: int = Field(description="From 1 on.")
    message: str
    severity: Severity


class ConfigurationDocument(BaseModel):
    """The configuration file as it is now, whether it is valid or not."""

    path: str
    is_valid: bool = Field(description="Where it is not, the dashboard goes on with the last one that was.")
    lines: list[str] = Field(description="Its lines without secrets and comments; none where it cannot be read.")
    problems: list[ProblemOfConfiguration]


def configuration_document(services: Services) -> ConfigurationDocument:
    """Of the file as it is now."""
    problems = services.configured.problems()
    path = services.configured.current().path
    return ConfigurationDocument(
        path=str(path),
        is_valid=services.configured.is_valid(),
        lines=_lines(path),
        problems=[_problem(problem) for problem in problems],
    )


def _lines(path: Path) -> list[str]:
    try:
        status = path.stat()
    except OSError:
        return []
    return list(_lines_of(path, (status.st_ino, status.st_mtime_ns, status.st_size)))


@lru_cache(maxsize=2)
def _lines_of(path: Path, _version: tuple[int, int, int]) -> tuple[str, ...]:
    """With a thousand backups it takes a second."""
    try:
        with path.open("rb") as file:
            return tuple(redacted_lines(file.read(_LARGEST), path))
    except (OSError, ConfigurationError):
        return ()


def _problem(problem: Problem) -> ProblemOfConfiguration:
    return ProblemOfConfiguration(
        file=problem.file,
        line=problem.line,
        column=problem.column,
        message=redact(problem.message),
        severity=problem.severity,
    )


@router.get("/configuration")
def show_configuration(who: Viewer, services: ServicesOf) -> ConfigurationDocument:
    """The configuration file: its text without secrets, and its problems."""
    return configuration_document(services)
