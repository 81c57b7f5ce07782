"""What ``tar`` says about files, in the words of GNU tar and BusyBox (with LC_ALL=C)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from model import Note, NoteKind
from utils import printable

_SHRANK = re.compile(rb"File shrank by (\d+) bytes?; padding with zeros")
_READ_ERROR = re.compile(rb"Read error at byte (\d+), while reading \d+ bytes: (.*)")
_WITHOUT_CONSEQUENCE = re.compile(
    rb"(?i:exiting with failure status|error exit delayed|removing leading)|Warning: .*not supported$"
)
_VANISHED = ("No such file or directory", "Not a directory", "Too many levels of symbolic links")
_END_OF_NAME = re.compile(rb"(?<!\\): ")
_BUSYBOX_NAME = re.compile(rb"can't \w+ '(.*)'", re.DOTALL)

# quotearg.c of gnulib, escape_quoting_style; a colon is escaped because it ends a name in a message.
_ESCAPES = {0x07: b"\\a", 0x08: b"\\b", 0x09: b"\\t", 0x0A: b"\\n", 0x0B: b"\\v", 0x0C: b"\\f", 0x0D: b"\\r"}
_ESCAPES |= {code: b"\\%03o" % code for code in range(256) if code not in _ESCAPES and not 0x20 <= code < 0x7F}
_ESCAPES[0x3A] = b"\\:"
_CODES = {escape: bytes([code]) for code, escape in _ESCAPES.items()} | {b"\\\\": b"\\"}
_ESCAPE = re.compile(rb"\\(?:[0-7]{3}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Cut:
    """A file of which tar could read only its beginning, as far as ``limit``."""

    limit: int
    note: Note


class Messages:
    """What tar has said so far and nobody has asked for."""

    def __init__(self) -> None:
        self._said: dict[bytes, bytes] = {}
        self.latest = b""

    def add(self, text: bytes) -> None:
        if _WITHOUT_CONSEQUENCE.search(text):
            return
        self.latest = text
        name, _, said = _END_OF_NAME.sub(b"\0", text, count=1).partition(b"\0")
        self._said[name] = said

    def cut(self, path: bytes, size: int) -> Cut | None:
        """Where the content of a file ends that had this size, if tar has said that it could not be read whole."""
        said = self._said and self._about(path, remove=False)
        if not said:
            return None
        if found := _SHRANK.fullmatch(said):
            self._about(path, remove=True)
            reason = f"it shrank by {int(found[1])} bytes while it was read"
            return Cut(max(size - int(found[1]), 0), Note(NoteKind.CHANGED, path[1:], reason))
        if found := _READ_ERROR.fullmatch(said):
            self._about(path, remove=True)
            reason = f"it could be read only up to byte {int(found[1])} ({printable(found[2])})"
            return Cut(int(found[1]), Note(NoteKind.UNREADABLE, path[1:], reason))
        return None

    def note_of_short_file(self, path: bytes, size: int, received: int) -> Note | None:
        """Why BusyBox has ended in the middle of a file; None where that was not because of the file."""
        if self._said.pop(b"short read", None) is not None:
            return Note(NoteKind.CHANGED, path[1:], f"it shrank by {size - received} bytes while it was read")
        error = self._said.pop(b"read error", None)
        if error is not None:
            reason = f"it could be read only up to byte {received} ({printable(error)})"
            return Note(NoteKind.UNREADABLE, path[1:], reason)
        return None

    def note_of_missing(self, path: bytes) -> Note:
        """Why tar did not send a path."""
        said = self._about(path, remove=True)
        if said is None:
            return Note(NoteKind.UNREADABLE, path[1:], "tar did not send it, and did not say why")
        reason = printable(said.rpartition(b": ")[2])
        if reason in _VANISHED or said.startswith(b"File removed before we read it"):
            return Note(NoteKind.VANISHED, path[1:], "it vanished, or became something else, before it was read")
        return Note(NoteKind.UNREADABLE, path[1:], reason)

    def remaining_notes(self) -> list[Note]:
        """Notes of every path that is left, which are forgotten."""
        named = [(_unescaped(name), said) for name, said in self._said.items()]
        self._said.clear()
        return [_note(path[1:], said) for path, said in named if path.startswith(b"/")]

    def _about(self, path: bytes, *, remove: bool) -> bytes | None:
        for form in _forms(path):
            if form in self._said:
                return self._said.pop(form) if remove else self._said[form]
        return None


def _forms(path: bytes) -> tuple[bytes, ...]:
    """How a path may stand at the beginning of a message.

    GNU tar leaves a backslash as it is where nothing else in the name has to be escaped.
    """
    escaped = b"".join(_ESCAPES.get(code, bytes([code])) for code in path)
    fully = b"".join(b"\\\\" if code == 0x5C else _ESCAPES.get(code, bytes([code])) for code in path)
    return (escaped, fully, path, b"can't open '%b'" % path, b"can't stat '%b'" % path, b"can't read '%b'" % path)


def _note(path: bytes, said: bytes) -> Note:
    if b"file changed as we read it" in said:
        return Note(NoteKind.CHANGED, path, "it was written to while it was read")
    if found := _SHRANK.fullmatch(said):
        return Note(
            NoteKind.CHANGED, path, f"it shrank by {int(found[1])} bytes while it was read; zeros stand in their place"
        )
    if _READ_ERROR.fullmatch(said):
        return Note(NoteKind.UNREADABLE, path, f"{printable(said)}; zeros stand in place of the rest")
    return Note(NoteKind.UNREADABLE, path, printable(said))


def _unescaped(name: bytes) -> bytes:
    if found := _BUSYBOX_NAME.fullmatch(name):
        return found[1]
    return _ESCAPE.sub(lambda found: _CODES.get(found[0], found[0]), name)
