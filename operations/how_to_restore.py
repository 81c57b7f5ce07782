"""The text HOW-TO-RESTORE.txt that lies beside the archives of a backup. Pure."""

from __future__ import annotations

from model import Backup, CommandSource, DatabaseSource
from sources.database import restore_steps


def how_to_restore(backup: Backup) -> bytes:
    """For somebody who has this folder and nothing else: neither Holdfast nor its configuration."""
    stem = backup.id.replace("/", "-")
    last_step, with_holdfast = _of_kind(backup)
    return f"""\
How to get this back
====================

This folder holds the backups of "{backup.id}", made by Holdfast. You do not need Holdfast to open them: each
archive is a standard ZIP file. The part of its name like 20261120T030000Z is when it was made (date, "T", time,
in UTC).

1. Choose an archive: {stem}-<time>.zip, most likely the newest one whose .manifest.json file stands beside
   it. An archive without a manifest is not complete.

2. Check that it is undamaged. Both commands must give the same 64 characters:

       sha256sum {stem}-<time>.zip
       grep -A3 '"archive"' {stem}-<time>.manifest.json

3. See what is in it, then unpack it into a new, empty folder:

       unzip -l {stem}-<time>.zip
       unzip {stem}-<time>.zip -d restored

   Any other program for ZIP files will do as well (7-Zip: 7z x; libarchive: bsdtar -xf; Windows and macOS: double
   click). As root, "unzip -X -K" brings back owners and set-user-ID bits too. Names with line breaks in them need
   "unzip -^". If unzip says "unsupported compression method 93", the archive was made with Zstandard: take bsdtar or
   a recent 7-Zip.
{last_step}
With Holdfast and its configuration the same is

       restore.py list {backup.id}
{with_holdfast}""".encode()


def _of_kind(backup: Backup) -> tuple[str, str]:
    """What is done with the unpacked files, and what Holdfast does in place of all of it."""
    if isinstance(backup.source, DatabaseSource):
        return f"\n{restore_steps(backup.source.engine)}", _DATABASES_WITH_HOLDFAST.format(id=backup.id)
    if isinstance(backup.source, CommandSource):
        return _COMMAND_STEP, _FILES_WITH_HOLDFAST.format(id=backup.id)
    return "", _FILES_WITH_HOLDFAST.format(id=backup.id) + _BEYOND_ZIP


_FILES_WITH_HOLDFAST = """\
       restore.py restore {id} --to restored
"""

_BEYOND_ZIP = """
and puts back what a ZIP file cannot carry too: hard links, extended attributes, access control lists and holes in
sparse files. These are kept in the .index.zst file: JSON lines, compressed with Zstandard ("zstd -dc" shows them).
"""

_DATABASES_WITH_HOLDFAST = """\
       restore.py restore {id} --to-database NEW_NAME
"""

_COMMAND_STEP = """
4. The file is what a program wrote to its standard output: give it to the program that reads such a file. The
   manifest says which program wrote it ("COMMAND").
"""
