"""Nodes and schema to records: keys known, values checked, variables expanded, both spellings made one."""

from __future__ import annotations

import re
from pathlib import Path

from config.environment import Environment
from config.expansion import expand
from config.home import expand_home
from config.problems import Position, Problems
from config.records import Record, Value
from config.scalars import PATH
from config.schema import CONFIGURATION
from config.shapes import Key, ListOf, MapOf, Scalar, Section, TextMap, Variants
from config.small_files import SmallFileError, others_can_read, read_small_file
from config.spellings import MapText, hint_at_colon, maps_in
from config.unknown_keys import about_unknown_key, nearest_key, types_that_know
from config.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from model import Secret

_NULL_WORDS = frozenset({"", "~", "null", "Null", "NULL"})
_LARGEST_SECRET_FILE = 65_536

# What a secret may hold without standing in the file itself. A default is written out there.
PLAIN_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-)?\}")


class Reader:
    """Reads one configuration. ``holds_literal_secret`` is true once a secret was found written out in the file."""

    def __init__(self, environment: Environment, problems: Problems) -> None:
        self.holds_literal_secret = False
        self._environment = environment
        self._problems = problems
        self._defaults: Record | None = None

    def read(self, node: MappingNode) -> Record:
        """The whole configuration."""
        return self._record(MapText(node.position, node.entries), CONFIGURATION)

    # --- maps ----------------------------------------------------------------------------------------------------

    def _record(self, text: MapText, section: Section, ignore_unknown: bool = False) -> Record:
        record = Record(text.position, section)
        found: dict[str, tuple[Key, ScalarNode, Node]] = {}
        suggested: set[str] = set()
        is_of_other_type = False
        for key_node, node in text.entries:
            key = section.by_spelling.get(key_node.text)
            if key is None:
                if not ignore_unknown:
                    self._problems.error(key_node.position, about_unknown_key(key_node.text, section))
                    record.has_unknown_keys = True
                    suggested.add(section.canonical(nearest_key(key_node.text, section)))
                    is_of_other_type |= bool(types_that_know(key_node.text, section))
            elif key.name in found:
                other = found[key.name][1]
                self._problems.error(
                    key_node.position,
                    f"{key_node.text} says the same as {other.text} in line {other.position.line}. Keep one of them.",
                )
            else:
                found[key.name] = (key, key_node, node)
        # From the end of the schema, because backups need the defaults.
        for key in reversed(section.keys):
            if key.name in found:
                self._read_key(record, *found[key.name])
        if section.takes_defaults and self._defaults:
            record.inherit(self._defaults)
        # Where the type is one that was not written, the keys of another one say that this was meant.
        if not (is_of_other_type and "TYPE" not in found):
            self._check_required(record, text, suggested)
        return record

    def _read_key(self, record: Record, key: Key, key_node: ScalarNode, node: Node) -> None:
        shape, name = key.shape, key_node.text
        is_text = isinstance(shape, ListOf) or (isinstance(shape, Scalar) and shape.is_text)
        if _is_null(node, is_text):
            record.empty[key.name] = key_node.position
            return
        record.positions[key.name] = node.position
        if isinstance(shape, Scalar):
            if name == key.file_key:
                record.scalars[key.name] = self._secret_from_file(name, shape, node)
            else:
                record.scalars[key.name] = self._scalar(name, shape, node)
        elif isinstance(shape, ListOf):
            record.lists[key.name] = self._list(name, shape.item, node)
        elif isinstance(shape, TextMap):
            record.text_maps[key.name] = self._text_map(name, shape, node)
        elif isinstance(shape, MapOf):
            if isinstance(node, MappingNode):
                record.records[key.name] = [self._variant(MapText(node.position, node.entries), shape.section)]
            else:
                self._problems.error(node.position, _about_no_map(name, node))
        else:
            texts = maps_in(node, name, shape.section.canonical, self._problems)
            if texts is not None:
                record.records[key.name] = [self._variant(text, shape.section) for text in texts]
        if record.section is CONFIGURATION and key.name == "DEFAULTS":
            self._defaults = record.record("DEFAULTS")

    def _variant(self, text: MapText, section: Section | Variants) -> Record:
        """A map whose keys may depend on its TYPE. Of an unknown type only the keys that all types have are read."""
        if isinstance(section, Section):
            return self._record(text, section)
        name, type_scalar = section.type_key.name, section.type_scalar
        given = next((node for key, node in text.entries if key.text == name and not _is_null(node, True)), None)
        if given is None and section.default:
            return self._record(text, section.sections[section.default])
        if given is not None:
            value = self._scalar(name, type_scalar, given)
            if isinstance(value.content, str):
                return self._record(text, section.sections[value.content])
        else:
            self._problems.error(text.position, f"{name} is missing. It can be {type_scalar.words}.")
        return self._record(text, section.common_section, ignore_unknown=True)

    def _check_required(self, record: Record, text: MapText, suggested: set[str]) -> None:
        """``suggested`` are the keys that a message about an unknown key named already."""
        for key in record.section.keys:
            if not key.required or key.name in suggested:
                continue
            if key.may_be_empty and (key.name in record.empty or key.name in record.positions):
                continue
            if key.name not in record.positions:
                position = record.empty.get(key.name, record.position)
                self._problems.error(position, f"{key.name} is missing. {_example(key)}{_begun(text)}")
            elif record.lists.get(key.name) == [] or record.records.get(key.name) == []:
                self._problems.error(record.positions[key.name], f"{key.name} is an empty list. {_example(key)}")

    # --- values --------------------------------------------------------------------------------------------------

    def _list(self, name: str, scalar: Scalar, node: Node) -> list[Value]:
        if isinstance(node, SequenceNode):
            return [self._list_item(name, scalar, item) for item in node.items]
        if isinstance(node, MappingNode):
            self._problems.error(node.position, f"{name} must be a value or a list of values, not a map.")
            return [Value(node.position, None)]
        return [self._scalar(name, scalar, node)]

    def _list_item(self, name: str, scalar: Scalar, node: Node) -> Value:
        if isinstance(node, ScalarNode):
            return self._scalar(name, scalar, node)
        self._problems.error(node.position, f"Each entry of {name} must be one value, not {_kind(node)}.")
        return Value(node.position, None)

    def _text_map(self, name: str, shape: TextMap, node: Node) -> dict[str, Value]:
        if not isinstance(node, MappingNode):
            self._problems.error(node.position, _about_no_map(name, node))
            return {}
        found = {}
        for key_node, value_node in node.entries:
            try:
                shape.name.check(key_node.text)
            except ValueError as error:
                self._problems.error(key_node.position, f"A name in {name} {error}.")
                continue
            if not _is_null(value_node, is_text=True):
                found[key_node.text] = self._scalar(key_node.text, shape.item_of(key_node.text), value_node)
        return found

    def _scalar(self, name: str, scalar: Scalar, node: Node) -> Value:
        text = self._text(name, node, scalar.secret)
        if text is None:
            return Value(node.position, None)
        try:
            value = scalar.check(text)
        except ValueError as error:
            self._problems.error(node.position, f"{name} {error}.")
            return Value(node.position, None)
        return Value(node.position, Secret(text) if scalar.secret else value)

    def _text(self, name: str, node: Node, secret: bool) -> str | None:
        """The characters of a scalar with its variables expanded, or None where that was reported."""
        if not isinstance(node, ScalarNode):
            self._problems.error(node.position, f"{name} must be one value, not {_kind(node)}.")
            return None
        if node.plain and not node.text:
            self._problems.error(node.position, f"{name} has an empty entry. Write a value, or remove the dash.")
            return None
        self.holds_literal_secret |= secret and bool(PLAIN_VARIABLE.sub("", node.text))
        if "${" not in node.text:
            return node.text
        try:
            return expand(node.text, self._note_and_get if secret else self._environment.get)
        except ValueError as error:
            self._problems.error(node.position, str(error))
            return None

    def _note_and_get(self, variable: str) -> str | None:
        self._environment.note_secret(variable)
        return self._environment.get(variable)

    def _secret_from_file(self, name: str, scalar: Scalar, node: Node) -> Value:
        """The content of the file that PASSWORD_FILE and the like name, without one line end at its end."""
        value = self._scalar(name, PATH, node)
        if not isinstance(value.content, str):
            return value
        try:
            path = Path(expand_home(value.content, self._environment.get("HOME")))
            data, mode = read_small_file(path, _LARGEST_SECRET_FILE)
            text = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            return self._bad(name, node.position, "names a file that is not UTF-8 text")
        except SmallFileError as error:
            return self._bad(name, node.position, f"names a file that {error}")
        except ValueError as error:
            return self._bad(name, node.position, str(error))
        if others_can_read(mode):
            self._problems.warn(node.position, f"Every user can read the file of {name}. Run: chmod 600 {path}")
        try:
            scalar.check(text)
        except ValueError as error:
            return self._bad(name, node.position, f"names a file whose content {error}")
        return Value(node.position, Secret(text))

    def _bad(self, name: str, position: Position, end_of_sentence: str) -> Value:
        self._problems.error(position, f"{name} {end_of_sentence}.")
        return Value(position, None)


def _is_null(node: Node, is_text: bool) -> bool:
    """Whether nothing is written there. Where a text can stand, ``null`` and ``~`` are texts."""
    if not isinstance(node, ScalarNode) or not node.plain:
        return False
    return not node.text if is_text else node.text in _NULL_WORDS


def _kind(node: MappingNode | SequenceNode) -> str:
    return "a map" if isinstance(node, MappingNode) else "a list"


def _about_no_map(name: str, node: ScalarNode | SequenceNode) -> str:
    if isinstance(node, SequenceNode):
        return f"{name} must be one map, not a list. Write its keys without dashes."
    return f"{name} must be a map: `KEY: value` lines.{hint_at_colon(node)}"


def _example(key: Key) -> str:
    if key.example == "[]":
        return f"Write `{key.name}:` and its entries below it."
    return f"Write it like this: {key.name}: {key.example}"


def _begun(text: MapText) -> str:
    if text.begun_by is None:
        return ""
    return f" (The repeated {text.begun_by.text} began a new entry here.)"
