"""``restore.py find``: which copies hold which version of a file, and how each is put back."""

from __future__ import annotations

import argparse
import base64
import os
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from command_line import complain, show, show_json, styled
from commands.choice import ID_HELP, listed, require_target
from commands.keys import add_key_arguments
from commands.places import Lookup
from errors import EXIT_FAILED, EXIT_GOOD, UsageError

if TYPE_CHECKING:
    from model import Backup
    from operations.copies.discovery import StoredBackup
    from operations.copies.finding import Findings, Span, Version
    from operations.copies.stored_copies import Listing, StoredCopy

HELP = "look for a file in all copies"
EXAMPLES = (
    ("restore.py find logo shop/uploads", "every file or folder whose name contains it"),
    ("restore.py find '*.svg'", "by a pattern of the name, in all backups"),
    ("restore.py find 'srv/**/logo.*' shop/uploads", "by a pattern of the whole path"),
    ("restore.py find /srv/shop/2025 shop/uploads", "a folder and what was in it"),
)

# What the command that puts a file back needs of this one, to find the same copy and to open it.
_REPEATED = ("config", "env_file", "place", "storage", "identity", "passphrase_file")
_SPELLED = {"place": "--from"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "pattern",
        metavar="PATTERN",
        help="a part of a name; a name with * ? [ ]; or, with a slash in it, a PATH as restore takes it",
    )
    parser.add_argument("backup", nargs="?", metavar="ID", help=f"{ID_HELP} (default: all)")
    parser.add_argument("-i", "--ignore-case", action="store_true", help="capital and small letters are the same")
    add_key_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look through the copies; the exit code, which is bad only where not one could be searched."""
    if not arguments.pattern.strip("/"):
        raise UsageError(
            "Give a PATTERN: a part of a name, such as logo, or '*.jpg'. restore.py show lists all of a copy."
        )
    lookup = Lookup(arguments)
    found, errors = [], []
    if arguments.backup is not None:
        backups: Sequence[Backup | StoredBackup] = [lookup.named(arguments.backup)]
        require_target(backups[0], arguments.storage)
    else:
        backups = lookup.all()
        errors += lookup.discovery.errors
    for backup in backups:
        listing = lookup.listing(backup)
        findings = _find(arguments, backup.id, listing)
        found.append(findings)
        errors += [*listing.errors, *findings.problems]
        if not arguments.json:
            _show(arguments, findings)
    return _tell(arguments, found, list(dict.fromkeys(errors)))


def _find(arguments: argparse.Namespace, backup_id: str, listing: Listing) -> Findings:
    from operations.copies.finding import SearchPattern, find_in_copies
    from operations.copies.trust import why_refused
    from progress import Steps

    pattern = SearchPattern(os.fsencode(arguments.pattern), ignore_case=arguments.ignore_case)
    with Steps(f"searching {backup_id}", len(listing.copies), quiet=arguments.quiet or arguments.json) as steps:

        def on_copy(copy: StoredCopy) -> None:
            steps.begin(str(copy))

        def refusal(copy: StoredCopy) -> str | None:
            return why_refused(copy, is_wanted=arguments.untrusted)

        return find_in_copies(backup_id, listing.copies, pattern, refusal, on_copy)


def _show(arguments: argparse.Namespace, findings: Findings) -> None:
    from utils import printable

    for path in sorted(findings.spans):
        show(styled(printable(path), "bold"))
        for number, span in enumerate(findings.spans[path]):
            show(f"  {_sentence(findings, span, is_newest=number == 0)}")
            show(styled(f"    {_command(arguments, findings.backup_id, span, path)}", "faint"))


def _tell(arguments: argparse.Namespace, found: list[Findings], errors: list[str]) -> int:
    from utils import format_count

    searched = sum(len(findings.searched) for findings in found)
    if arguments.json:
        documents = [_document(arguments, findings) for findings in found]
        show_json({"backups": documents, "problems": errors})
        return EXIT_GOOD if searched else EXIT_FAILED
    if errors:
        complain(f"Not everything was searched:\n  {listed(errors)}")
    if searched and not any(findings.spans for findings in found) and not arguments.quiet:
        where = "the copy that was" if searched == 1 else f"the {searched:,} copies that were"
        show(f"Nothing in {where} searched is called {arguments.pattern}.{_hint(arguments)}")
    elif not searched and not errors:
        complain(f"There is no copy to search in {format_count(len(found), 'backup')}.")
    return EXIT_GOOD if searched else EXIT_FAILED


def _hint(arguments: argparse.Namespace) -> str:
    pattern = arguments.pattern
    if "/" in pattern and not pattern.startswith(("/", "**/")):
        return f" A pattern with a slash begins at the top; '**/{pattern}' looks at every level."
    return "" if arguments.ignore_case else " With -i, capital and small letters are the same."


def _sentence(findings: Findings, span: Span, *, is_newest: bool) -> str:
    """``18,203 bytes, of 2026-11-19 14:02; the same in 14 copies from … to …; not in the 2 newer copies``."""
    parts = [", ".join(_words(span.version))]
    if span.copies == 1:
        parts.append(f"in the copy {span.newest}")
    else:
        parts.append(f"the same in {span.copies:,} copies from {span.oldest} to {span.newest}")
    newer = findings.newer_without(span)
    if is_newest and newer:
        parts.append("not in the newer copy" if newer == 1 else f"not in the {newer:,} newer copies")
    return "; ".join(parts)


def _words(version: Version) -> Iterator[str]:
    from model import MemberKind
    from utils import local_time, printable

    if version.kind is MemberKind.FILE:
        yield f"{version.size:,} bytes"
    elif version.kind is MemberKind.DIRECTORY:
        yield "folder"
    else:
        yield f"link to {printable(version.link_target or b'')}"
    yield f"of {local_time(version.modified_ns)}"


def _command(arguments: argparse.Namespace, backup_id: str, span: Span, path: bytes) -> str:
    """The command line that puts this version back, with the options of this one that lead to it."""
    words = ["restore.py", "restore", f"{backup_id}@{span.newest}", "--to", "DIR"]
    for name in _REPEATED:
        value = getattr(arguments, name)
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                words += [_SPELLED.get(name, f"--{name.replace('_', '-')}"), shlex.quote(str(each))]
    if arguments.untrusted:
        words.append("--untrusted")
    return " ".join([*words, _quoted(b"/" + path if path.startswith(b"-") else path)])


def _quoted(path: bytes) -> str:
    """A path for a shell. Where it is no text that can be shown, as bash, ksh and zsh write it: ``$'caf\\xe9'``."""
    from utils import printable

    text = path.decode("utf-8", "surrogateescape")
    if text == printable(path):
        return shlex.quote(text)
    plain = b"".join(b"\\" + bytes([byte]) if byte in b"\\'" else bytes([byte]) for byte in path)
    return "$'" + "".join(chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}" for byte in plain) + "'"


def _document(arguments: argparse.Namespace, findings: Findings) -> dict[str, object]:
    from utils import printable

    found = []
    for path in sorted(findings.spans):
        document: dict[str, object] = {"path": printable(path)}
        if printable(path).encode() != path:
            document["path_base64"] = base64.b64encode(path).decode("ascii")
        spans = findings.spans[path]
        document["versions"] = [
            {
                "kind": span.version.kind.value,
                "size": span.version.size,
                "modified_ns": span.version.modified_ns,
                "newest": span.newest,
                "oldest": span.oldest,
                "copies": span.copies,
                "restore": _command(arguments, findings.backup_id, span, path),
            }
            for span in spans
        ]
        found.append(document)
    return {"backup": findings.backup_id, "searched": findings.searched, "found": found}
