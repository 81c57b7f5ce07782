"""Which keys OneDrive has no name for, and how a key stands in an address.

https://support.microsoft.com/office/64883a5d-228e-48f5-b3d2-eb39e07630fa (restrictions of names in OneDrive).
"""

from __future__ import annotations

import re
from urllib.parse import quote

from errors import StorageError
from storages.storage import check_key

_REFUSED_CHARACTERS = re.compile(r'["*:<>?\\|\x00-\x1f\x7f]')
_RESERVED_NAMES = frozenset(
    [".lock", "con", "prn", "aux", "nul", "desktop.ini"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in range(10)]
)
_LONGEST_NAME = 255
_LONGEST_PATH = 400


def check_onedrive_key(storage_name: str, key: str) -> None:
    """Raise StorageError, which says why, where OneDrive could not hold an object under this key."""
    check_key(storage_name, key)
    reason = None
    if len(key) > _LONGEST_PATH:
        reason = f"OneDrive takes paths of up to {_LONGEST_PATH} characters, and it has {len(key)}"
    elif key.split("/")[0].lower() == "forms":
        reason = "OneDrive keeps the name 'forms' at the root of a drive for itself"
    else:
        reason = next(filter(None, map(_why_refused, key.split("/"))), None)
    if reason:
        raise StorageError(
            f"The storage {storage_name} cannot use the key {key!r}: {reason}. Change PATH, or the NAME of the project "
            "or the backup."
        )


def quoted(key: str) -> str:
    """The key as a path of an address: UTF-8, percent-encoded once, with its slashes."""
    return quote(key, safe="/")


def _why_refused(name: str) -> str | None:
    """Why OneDrive has no item of this name, None where it can have one."""
    if found := _REFUSED_CHARACTERS.search(name):
        return f"OneDrive takes no {found[0]!r} in a name"
    if name != name.strip(" "):
        return "OneDrive takes no blank at the beginning or the end of a name"
    if name.endswith("."):
        return "OneDrive takes no dot at the end of a name"
    if name.startswith("~"):
        return "OneDrive takes no name that begins with '~'"
    if name.lower() in _RESERVED_NAMES or "_vti_" in name.lower():
        return f"OneDrive keeps the name {name!r} for itself"
    if len(name) > _LONGEST_NAME:
        return f"OneDrive takes names of up to {_LONGEST_NAME} characters, and one part of it has {len(name)}"
    return None
