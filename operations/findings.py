"""What ``main.py doctor`` found of one thing that it tried."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``text`` is one or more sentences."""

    subject: str
    verdict: Verdict
    text: str
