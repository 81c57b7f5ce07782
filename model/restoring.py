"""How members are put into a folder."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Overwrite(enum.StrEnum):
    """What becomes of files and links that lie there already. A folder is never replaced.

    ``OLDER`` replaces those whose time of modification is before that of the member.
    """

    NEVER = "never"
    OLDER = "older"
    ALWAYS = "always"


class Owners(enum.StrEnum):
    """Whose they become, where root restores: by name, and by number where the name is not known there; always by
    number; or his who restores, and then without the rights of another owner."""

    NAME = "name"
    NUMBER = "number"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Placement:
    """Without ``overwrite`` the folder has to be new or empty."""

    overwrite: Overwrite | None = None
    owners: Owners = Owners.NAME


INTO_NEW_FOLDER = Placement()
"""As it is where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in the place of a member: a real folder, or anything else, and when that was modified, where it is
    known."""

    is_folder: bool
    modified_ns: int = 0
