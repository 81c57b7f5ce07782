"""The text HOW-TO-RESTORE.txt that lies beside the archives of a backup. Pure.

Commands stand in lines of their own, indented by seven columns, and can be executed as they are once the words in
capitals and ``<time>`` have been replaced: that is how the tests try them.
"""

from __future__ import annotations

from collections.abc import Iterable

from model import Backup, CommandSource, CompressionMethod, DatabaseSource, Encryption
from sources.database import restore_steps

_EVERY_DATABASE = "*"


def how_to_restore(backup: Backup) -> bytes:
    """For somebody who has this folder and the private key, where one is needed: neither Holdfast nor its
    configuration.

    That of an encrypted backup says nothing that its manifests keep secret: no path, no host, no name of a database.
    """
    archive = f"{backup.id.replace('/', '-')}-<time>.zip"
    sent = f"{archive}.age" if backup.encryption else archive
    steps = [_CHOOSE.format(sent=sent), _CHECK.format(sent=sent, manifest=_manifest_of(archive))]
    if backup.encryption:
        steps.append(_decrypt(backup.encryption, archive))
    steps.append(_unpack(backup, archive))
    steps += _of_kind(backup, archive)
    numbered = "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
    beginning = _BEGINNING.format(id=backup.id, what=_ENCRYPTED if backup.encryption else _NOT_ENCRYPTED)
    return "\n".join([beginning, numbered, _with_holdfast(backup)]).encode("utf-8", "surrogateescape")


def _decrypt(encryption: Encryption, archive: str) -> str:
    if encryption.passphrase is not None:
        return _BY_PHRASE.format(archive=archive)
    keys = "\n".join(f"   - {_public_key(recipient)}" for recipient in encryption.recipients)
    files = "\n".join(_private_key_files(encryption.recipients))
    return _BY_KEY.format(archive=archive, keys=keys, files=files)


def _public_key(recipient: str) -> str:
    """Without the comment of an SSH key, which tells a user and a host."""
    return " ".join(recipient.split()[:2])


def _private_key_files(recipients: Iterable[str]) -> list[str]:
    """A sentence for each kind of key: what its file looks like."""
    kinds = {recipient.split()[0] for recipient in recipients}
    files = {"ssh-ed25519": "~/.ssh/id_ed25519", "ssh-rsa": "~/.ssh/id_rsa"}
    found = [_SSH_KEY.format(kind=kind, file=file) for kind, file in files.items() if kind in kinds]
    return [*([_AGE_KEY] if kinds - files.keys() else []), *found]


def _unpack(backup: Backup, archive: str) -> str:
    if backup.compression.method is CompressionMethod.ZSTD:
        return _UNPACK_ZSTD.format(archive=archive)
    return _UNPACK.format(archive=archive)


def _of_kind(backup: Backup, archive: str) -> list[str]:
    """What is done with the unpacked files."""
    if isinstance(backup.source, DatabaseSource):
        return restore_steps(backup.source.engine, _only_database(backup))
    if isinstance(backup.source, CommandSource):
        if backup.encryption:
            return [
                _COMMAND_STEP.format(file='The file in "restored"', where=_read_private(backup.encryption, archive))
            ]
        return [_COMMAND_STEP.format(file=f"restored/{backup.source.filename}", where=_COMMAND_IN_MANIFEST)]
    return []


def _read_private(encryption: Encryption, archive: str) -> str:
    key = "" if encryption.passphrase is not None else " --identity KEY_FILE"
    return _COMMAND_IN_PRIVATE.format(manifest=_manifest_of(archive), key=key)


def _only_database(backup: Backup) -> str | None:
    """The name of the database where there is one, and everybody may know it."""
    if backup.encryption or not isinstance(backup.source, DatabaseSource):
        return None
    names = backup.source.names
    return names[0] if len(names) == 1 and names[0] != _EVERY_DATABASE else None


def _with_holdfast(backup: Backup) -> str:
    key = " --identity KEY_FILE" if backup.encryption and backup.encryption.recipients else ""
    to = "--to-database NEW_DATABASE" if isinstance(backup.source, DatabaseSource) else "--to restored"
    text = _WITH_HOLDFAST.format(id=backup.id, to=to, key=key)
    if isinstance(backup.source, DatabaseSource | CommandSource):
        return text
    return text + _BEYOND_ZIP.format(index=".index.zst.age" if backup.encryption else ".index.zst")


def _manifest_of(archive: str) -> str:
    return f"{archive.removesuffix('.zip')}.manifest.json"


_BEGINNING = """\
How to get this back
====================

This folder holds the backups of "{id}", made by Holdfast.
You do not need Holdfast to open them: {what}
Replace <time> in the commands by the time of the archive that you choose, which is part of its name
(20261120T030000Z: date, "T", time, in UTC), and the words in capitals as it is said beside them.
"""

_NOT_ENCRYPTED = """\
each archive is a standard ZIP file.
(One whose name ends in ".zip.age" was made while the backup was encrypted. First decrypt it with the program "age",
https://age-encryption.org.)
"""

_ENCRYPTED = """\
each archive is a standard ZIP file, encrypted in the standard format of the
program "age" (https://age-encryption.org), which most systems have as a package of that name. You need the private
key, or the passphrase: without it, nobody can open them. (An archive whose name ends in ".zip" was made before the
backup was encrypted: leave out step 3.)
"""

_CHOOSE = """\
Choose an archive, {sent}:
   most likely the newest one whose .manifest.json file stands beside it. One without a manifest is not complete.
"""

_CHECK = """\
Check that it is undamaged. Both commands must show the same 64 characters:

       sha256sum {sent}
       grep -A3 '"archive"' {manifest}
"""

_BY_KEY = """\
Decrypt it. KEY_FILE is the file with a private key. Its public key is one of these (for older archives it may be
   another, which was in use then):

{keys}

{files}

       age --decrypt --identity KEY_FILE --output {archive} {archive}.age

   "no identity matched any of the recipients" means that it is the private key of another one.
"""

_AGE_KEY = """\
   The private key of "age1..." is in a file with a line that begins with AGE-SECRET-KEY-1. If you have only that line,
   on paper, write it into a file."""

_SSH_KEY = """\
   The private key of "{kind}" is the SSH key of its owner, usually {file}."""

_BY_PHRASE = """\
Decrypt it. age asks for the passphrase:

       age --decrypt --output {archive} {archive}.age
"""

_UNPACK = """\
See what is in it, then unpack it into a new, empty folder:

       unzip -l {archive}
       unzip {archive} -d restored

   Names with line breaks in them need "unzip -^", and names beyond ASCII a UTF-8 locale, such as LC_ALL=C.UTF-8. As
   root, owners and set-user-ID bits come back too with

       unzip -X -K {archive} -d restored

   Any other program for ZIP files will do as well: Windows and macOS open it by a double click, 7-Zip and bsdtar (of
   libarchive) with these commands. Where unzip says "unsupported compression method 93", or "need PK compat. v6.3",
   the archive was made with Zstandard: take one of these.

       7z x {archive} -orestored

       mkdir restored && bsdtar -xpf {archive} -C restored
"""

_UNPACK_ZSTD = """\
See what is in it, then unpack it into a new, empty folder. It was packed with Zstandard, which "unzip" does not
   know; bsdtar (of libarchive) and recent versions of 7-Zip do:

       bsdtar -tf {archive}
       mkdir restored && bsdtar -xpf {archive} -C restored

   Names beyond ASCII need a UTF-8 locale, such as LC_ALL=C.UTF-8. With 7-Zip it is

       7z x {archive} -orestored
"""

_COMMAND_STEP = """\
{file} is what a program wrote to its standard output: give it to the program that reads
   such a file. {where}"""

_COMMAND_IN_MANIFEST = """\
The manifest says which program wrote it ("COMMAND").
"""

_COMMAND_IN_PRIVATE = """\
Which program wrote it, and on which machine, is in the manifest, encrypted. This shows it:

       sed -n 's/.*"private": "\\([^"]*\\)".*/\\1/p' {manifest} | base64 -d | age --decrypt{key}
"""

_WITH_HOLDFAST = """\
With Holdfast and its configuration the same is

       restore.py list {id}
       restore.py restore {id} {to}{key}
"""

_BEYOND_ZIP = """
and puts back what a ZIP file cannot carry too: hard links, extended attributes, access control lists and holes in
sparse files. These are kept in the {index} file: JSON lines, compressed with Zstandard ("zstd -dc" shows them).
"""
