"""One message: what every service can show."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Level(enum.StrEnum):
    """How bad it is; services show it by a colour or a picture. The values are the words of Apprise."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Message:
    """``title`` is one short line and ``body`` plain text, that reads well in a mail and in a chat. No secret is in
    them."""

    title: str
    body: str
    level: Level = Level.INFO
