"""Where messages go, of a configuration that cannot be read: as far as that can be known."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from textwrap import dedent

from config.building_notify import Tellings
from config.environment import Environment
from config.problems import START, Problems
from config.reading import Reader
from config.small_files import SmallFileError, read_small_file
from config.yaml_document import MappingNode, Node, ScalarNode, SequenceNode, decode, read_document
from errors import ConfigurationError
from model import Channel, Secret

_KEY = re.compile(r"^(?P<indent>[ ]*(?:-[ ]+)?)NOTIFY[ ]*:", re.MULTILINE)
_LONGEST_BLOCK = 500


def load_channels(path: Path, variables: Mapping[str, str], env_file: Path | None) -> tuple[Channel, ...]:
    """See :func:`config.load_channels`."""
    try:
        data, _ = read_small_file(path)
        text = decode(data, Problems(str(path)))
    except (SmallFileError, ConfigurationError):
        return ()
    environment = Environment(variables, path.absolute().parent, env_file)
    with suppress(ConfigurationError):
        environment.read_file(Problems(str(path)))
    found: dict[Secret, Channel] = {}
    for node in _values(text, path):
        for channel in _channels(node, environment, path):
            found.setdefault(channel.url, channel)
    return tuple(found.values())


def _values(text: str, path: Path) -> Iterator[Node]:
    """What stands after each NOTIFY. Where the file is no YAML, the blocks that look like it are read alone."""
    document = _parsed(text, path)
    if document is not None:
        yield from _values_below(document)
        return
    for block in _blocks(text):
        node = _parsed(block, path)
        if node is not None:
            yield from _values_below(node)


def _parsed(text: str, path: Path) -> Node | None:
    try:
        return read_document(text, Problems(str(path)))
    except ConfigurationError:
        return None


def _values_below(node: Node) -> Iterator[Node]:
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from _values_below(item)
    elif isinstance(node, MappingNode):
        for key, value in node.entries:
            if key.text == "NOTIFY":
                yield value
            else:
                yield from _values_below(value)


def _blocks(text: str) -> Iterator[str]:
    """Each NOTIFY with the lines below it that are further in, or a list at its own indent."""
    for match in _KEY.finditer(text):
        indent = len(match["indent"])
        first, *others = text[match.start() :].splitlines()[:_LONGEST_BLOCK]
        lines = [" " * indent + first[indent:]]
        for line in others:
            blanks = len(line) - len(line.lstrip(" "))
            if line.strip() and blanks <= indent and not (blanks == indent and line.lstrip().startswith("- ")):
                break
            lines.append(line)
        yield dedent("\n".join(lines)) + "\n"


def _channels(node: Node, environment: Environment, path: Path) -> tuple[Channel, ...]:
    """Those of one NOTIFY; none where something in it is wrong that keeps the rest from being read."""
    problems = Problems(str(path))
    defaults = MappingNode(START, [(ScalarNode(START, "NOTIFY", plain=True), node)])
    projects = (ScalarNode(START, "PROJECTS", plain=True), SequenceNode(START))
    root = MappingNode(START, [projects, (ScalarNode(START, "DEFAULTS", plain=True), defaults)])
    try:
        record = Reader(environment, problems).read(root).record("DEFAULTS")
        return Tellings(problems).channels_of(record) if record is not None else ()
    except ConfigurationError:
        return ()
