"""The text of a configuration as it may be shown to others: what is secret, or may be, is taken out of it.

The file is read by its syntax, not by patterns. A value is shown where it stands under a key that the schema knows and
that holds no secret; under any other key, a misspelled ``PASWORD`` say, nobody can tell. Comments are left out, because
a password that once was used may stand in one. Of a file that is no YAML nothing is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import yaml

from config.problems import Problems
from config.reading import PLAIN_VARIABLE
from config.schema import CONFIGURATION
from config.shapes import ListOf, MapOf, MapsOf, Scalar, Section, Shape, TextMap, Variants
from config.yaml_document import decode, read_document
from utils import redact

MASK = "****"
_COMMENT = "# …"

# The password in scheme://user:password@host; and a user alone may be a token.
_IN_URL = re.compile(r"(?<=://)[^/\s@]*(?=@)")


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is known of a key: whether values below it may be shown.

    ``is_secret`` holds for all that stands below it, whatever that is. With ``has_names`` a map of names of the user's
    own is below it, and values of ``public_names`` may be shown in any case.
    """

    may_be_shown: bool
    is_secret: bool = False
    has_names: bool = False
    public_names: frozenset[str] = frozenset()


_SECRET = _Rule(may_be_shown=False, is_secret=True)
_UNKNOWN = _Rule(may_be_shown=False)

# Where a text begins and ends, counted in characters, and what stands in its place.
_Part = tuple[int, int, str]


def redacted_lines(data: bytes, path: str) -> list[str]:
    """The lines of the file at ``path``, which holds ``data``, without what is secret; as many as the file has.

    Raises ConfigurationError where the file is not UTF-8, or no YAML that Holdfast reads.
    """
    problems = Problems(path)
    text = decode(data, problems)
    read_document(text, problems)
    root = yaml.compose(text, Loader=yaml.CBaseLoader)
    shown = []
    end = 0
    for start, after, instead in [] if root is None else _parts(root, _UNKNOWN, text):
        shown += [_without_comments(text[end:start]), instead]
        end = after
    shown.append(_without_comments(text[end:]))
    return [redact(line) for line in re.split(r"\r\n|\n|\r", "".join(shown))]


def _parts(node: yaml.Node, rule: _Rule, text: str) -> Iterator[_Part]:
    """Every scalar below this node, keys too, in the order of the text."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*_place(key), _raw(key, text))
            yield from _parts(value, _rule_below(rule, key.value), text)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _parts(item, rule, text)
    elif isinstance(node, yaml.ScalarNode):
        yield (*_place(node), _shown(node, rule, text))


def _rule_below(rule: _Rule, key: str) -> _Rule:
    if rule.has_names:
        return _Rule(may_be_shown=True) if rule.may_be_shown or key in rule.public_names else _SECRET
    if rule.is_secret:
        return rule
    return _rules().get(key, _UNKNOWN)


def _shown(node: yaml.ScalarNode, rule: _Rule, text: str) -> str:
    raw = _raw(node, text)
    if rule.may_be_shown and not rule.has_names:
        if node.style in ("|", ">"):  # its first line may end in a comment
            header, newline, content = raw.partition("\n")
            raw = _without_comments(header) + newline + content
        return _IN_URL.sub(MASK, raw)
    if not node.value or PLAIN_VARIABLE.fullmatch(node.value):
        return raw
    return MASK + "\n" * raw.count("\n")


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.index, node.end_mark.index


def _raw(node: yaml.Node, text: str) -> str:
    start, end = _place(node)
    return text[start:end]


def _without_comments(between: str) -> str:
    """What stands between two values: blanks, punctuation, and comments."""
    return re.sub(r"#[^\r\n]*", _COMMENT, between)


@cache
def _rules() -> Mapping[str, _Rule]:
    """By every spelling of every key. One that is secret in any place is so in all."""
    found: dict[str, _Rule] = {}
    for spelling, rule in _rules_of(CONFIGURATION, set()):
        found[spelling] = _stricter(found.get(spelling, rule), rule)
    return found


def _rules_of(section: Section | Variants, seen: set[int]) -> Iterator[tuple[str, _Rule]]:
    if id(section) in seen:
        return
    seen.add(id(section))
    for each in section.sections.values() if isinstance(section, Variants) else (section,):
        for key in each.keys:
            rule = _rule_of(key.shape)
            for spelling in key.spellings:
                yield spelling, _Rule(may_be_shown=True) if spelling == key.file_key else rule
            if isinstance(key.shape, MapOf | MapsOf):
                yield from _rules_of(key.shape.section, seen)


def _rule_of(shape: Shape) -> _Rule:
    """A value that stands where a map is expected is in the wrong place, and may be anything."""
    if isinstance(shape, Scalar | ListOf):
        is_secret = (shape if isinstance(shape, Scalar) else shape.item).secret
        return _SECRET if is_secret else _Rule(may_be_shown=True)
    if isinstance(shape, TextMap):
        return _Rule(not shape.item.secret, has_names=True, public_names=shape.public_names)
    return _UNKNOWN


def _stricter(one: _Rule, other: _Rule) -> _Rule:
    if one == other:
        return one
    return _Rule(
        may_be_shown=one.may_be_shown and other.may_be_shown,
        is_secret=one.is_secret or other.is_secret,
        has_names=one.has_names and other.has_names,
        public_names=one.public_names & other.public_names,
    )
