"""The text of a YAML file to nodes that keep what was written and where.

libyaml's parser gives events; they carry the raw text of every scalar, so that ``0123``, ``yes`` and ``12:30`` stay
these characters. Anchors, aliases, merge keys and tags are refused here, so there is nothing that could expand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import cast

import yaml
from yaml import events

from config.problems import Position, Problems
from config.syntax_messages import explain

DEEPEST_NESTING = 32

# Some 2 s to read. 2,000 backups have 60,000 values, and Debian's cron takes at most 10,000 lines.
MOST_VALUES = 500_000

# What YAML allows in a file (YAML 1.1, chapter 5.1), without the byte order mark and without the three line breaks
# that no editor counts as lines (U+0085, U+2028, U+2029): positions would be wrong from there on.
_FORBIDDEN_CHARACTER = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(slots=True)
class ScalarNode:
    """A text. ``plain`` is true where it was written without quotes."""

    position: Position
    text: str
    plain: bool


@dataclass(slots=True)
class SequenceNode:
    position: Position
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class MappingNode:
    """A map in the order in which it was written. No key occurs twice."""

    position: Position
    entries: list[tuple[ScalarNode, Node]] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    pending_key: ScalarNode | None = None


Node = ScalarNode | SequenceNode | MappingNode


def decode(data: bytes, problems: Problems, file: str = "") -> str:
    """The characters of a UTF-8 file. Raises ConfigurationError, pointing at the first byte that is none."""
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            problems.error(Position(1, 1, file), f"This file is saved as {encoding}. Save it as UTF-8.")
            problems.raise_errors()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        message = f"The byte 0x{data[error.start]:02x} is not UTF-8 text. Save the file as UTF-8."
        problems.error(position_after(before, file), message)
        problems.raise_errors()
        raise AssertionError from error


def position_after(text: str, file: str = "") -> Position:
    """The place that follows ``text``, which is the beginning of a file."""
    lines = re.split(r"\r\n|\n|\r", text)
    return Position(len(lines), len(lines[-1]) + 1, file)


def read_document(text: str, problems: Problems) -> Node | None:
    """The one document in ``text``; None where it holds nothing. Raises ConfigurationError where it is not YAML."""
    bad = _FORBIDDEN_CHARACTER.search(text)
    if bad:
        code = f"U+{ord(bad.group()):04X}"
        message = f"The character {code} cannot stand in YAML. Remove it, or write it as an escape in double quotes."
        problems.error(position_after(text[: bad.start()]), message)
        problems.raise_errors()
    builder = _Builder(problems)
    parser = yaml.CBaseLoader(text)
    try:
        while (event := parser.get_event()) is not None:
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        problems.error(*explain(error, text))
    finally:
        parser.dispose()
    problems.raise_errors()
    return builder.root


class _Builder:
    """Puts events together to nodes, without recursion."""

    def __init__(self, problems: Problems) -> None:
        self.root: Node | None = None
        self._problems = problems
        self._open: list[SequenceNode | MappingNode] = []
        self._documents = 0
        self._values = 0

    def take(self, event: events.Event) -> None:
        if isinstance(event, events.ScalarEvent):
            self._add(ScalarNode(self._start(event), event.value, not event.style))
        elif isinstance(event, events.MappingStartEvent):
            self._enter(MappingNode(self._start(event)))
        elif isinstance(event, events.SequenceStartEvent):
            self._enter(SequenceNode(self._start(event)))
        elif isinstance(event, events.MappingEndEvent | events.SequenceEndEvent):
            self._open.pop()
        elif isinstance(event, events.AliasEvent):
            message = (
                "A value that begins with `*` is a YAML alias, and aliases are not read. Put quotes around a text or a "
                "cron expression; to say something once for several backups, use DEFAULTS or write it out."
            )
            position = self._position(event)
            self._problems.error(position, message)
            self._add(ScalarNode(position, "", True))
        elif isinstance(event, events.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                message = "A second YAML document begins here (`---`). Write everything in one document."
                self._problems.error(self._position(event), message)
                self._problems.raise_errors()

    @staticmethod
    def _position(event: events.Event) -> Position:
        mark = cast(yaml.Mark, event.start_mark)
        return Position(mark.line + 1, mark.column + 1)

    def _start(self, event: events.ScalarEvent | events.CollectionStartEvent) -> Position:
        position = self._position(event)
        if event.anchor is not None:
            message = (
                "A value that begins with `&` is a YAML anchor, and anchors are not read. Put quotes around a text; to "
                "say something once for several backups, use DEFAULTS or write it out."
            )
            self._problems.error(position, message)
        if event.tag is not None:
            message = "A value that begins with `!` is a YAML tag, and tags are not read. Put quotes around a text."
            self._problems.error(position, message)
        return position

    def _enter(self, node: SequenceNode | MappingNode) -> None:
        if len(self._open) == DEEPEST_NESTING:
            self._problems.error(node.position, f"Maps and lists are nested more than {DEEPEST_NESTING} deep here.")
            self._problems.raise_errors()
        self._add(node)
        self._open.append(node)

    def _add(self, node: Node) -> None:
        self._values += 1
        if self._values > MOST_VALUES:
            self._problems.error(node.position, f"The file holds more than {MOST_VALUES:,} values.")
            self._problems.raise_errors()
        if not self._open:
            if self.root is None:
                self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent, SequenceNode):
            parent.items.append(node)
        elif parent.pending_key is None:
            parent.pending_key = self._key(parent, node)
        else:
            parent.entries.append((parent.pending_key, node))
            parent.pending_key = None

    def _key(self, parent: MappingNode, node: Node) -> ScalarNode:
        if not isinstance(node, ScalarNode):
            self._problems.error(node.position, "A key must be a word, not a list or a map.")
            return ScalarNode(node.position, "", False)
        if node.plain and node.text == "<<":
            message = "`<<` is a YAML merge key, and merge keys are not read. Write it out or use DEFAULTS."
            self._problems.error(node.position, message)
        elif node.text in parent.seen:
            message = f"This key stands in this map already, in line {parent.seen[node.text]}. Keep one of the two."
            self._problems.error(node.position, message)
        parent.seen.setdefault(node.text, node.position.line)
        return node
