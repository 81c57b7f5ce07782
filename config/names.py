"""The ids of backups: names made fit for the crontab, for object keys and for folders."""

from __future__ import annotations

import re
import unicodedata

# `<project>-<backup>-<timestamp>.manifest.json` must fit the 255 bytes of a file name, with what Docker, SFTP and
# OneDrive put around it.
LONGEST_NAME = 100


def slug(name: str) -> str:
    """``name`` with everything but letters, digits, ``.``, ``_`` and ``-`` replaced by ``-``; its case is kept.

    Raises ValueError with the end of a sentence that begins with the key.
    """
    replaced = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name))
    text = re.sub("-+", "-", replaced).strip("-.")
    if not text:
        raise ValueError("must hold a letter or a digit")
    if len(text.encode()) > LONGEST_NAME:
        raise ValueError(f"must not be longer than {LONGEST_NAME} bytes, because it becomes part of file names")
    return text


def identity(backup_id: str) -> str:
    """The same for ids that some storage could not keep apart: OneDrive folds case."""
    return unicodedata.normalize("NFC", backup_id.casefold())
