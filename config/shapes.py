"""The words that the schema is written in: keys, maps of keys, and what a value can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property


@dataclass(frozen=True)
class Scalar:
    """One value. ``check`` gets its text and gives the value, or raises ValueError.

    The text of the ValueError ends a sentence that begins with the key: ``must be …``, ``has …``. It never quotes the
    value, which may be a password in the wrong place. ``words`` say in the reference what the value is. ``is_text``
    means that ``null`` and ``~`` are these characters and not "nothing".
    """

    words: str
    check: Callable[[str], str | int | bool]
    json_schema: Mapping[str, object]
    secret: bool = False
    is_text: bool = True


@dataclass(frozen=True)
class ListOf:
    """A list of values; one value alone is a list of one."""

    item: Scalar


@dataclass(frozen=True)
class TextMap:
    """A map from names of the user's own to values. Where these are secrets, those of ``public_names`` are none."""

    name: Scalar
    item: Scalar
    public_names: frozenset[str] = frozenset()

    def item_of(self, name: str) -> Scalar:
        """What the value of this name is."""
        return replace(self.item, secret=False) if name in self.public_names else self.item


@dataclass(frozen=True)
class MapOf:
    """One map."""

    section: Section | Variants


@dataclass(frozen=True)
class MapsOf:
    """A list of maps, in either spelling; one map alone is a list of one."""

    section: Section | Variants


Shape = Scalar | ListOf | TextMap | MapOf | MapsOf


@dataclass(frozen=True)
class Key:
    """A key of a map. ``example`` is its value as YAML on one line; ``default`` says in words what its absence means.

    ``may_be_empty`` allows a required key to stand there with nothing in it. ``environment`` is the
    name that gives it to the storages that need no definition, and ``environment_default`` what holds without it there.
    Where it is written in a map, what ``DEFAULTS`` says of the keys that it ``replaces`` does not hold there.
    """

    name: str
    shape: Shape
    doc: str
    example: str
    aliases: tuple[str, ...] = ()
    required: bool = False
    may_be_empty: bool = False
    default: str = ""
    environment: str | None = None
    environment_default: str = ""
    replaces: tuple[str, ...] = ()

    @property
    def is_secret(self) -> bool:
        return isinstance(self.shape, Scalar) and self.shape.secret

    @property
    def file_key(self) -> str | None:
        """``PASSWORD_FILE`` for ``PASSWORD``: each secret can stand in a file of its own."""
        return f"{self.name}_FILE" if self.is_secret else None

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.name, *self.aliases, *((self.file_key,) if self.file_key else ()))


@dataclass(frozen=True)
class Section:
    """A map with known keys. ``takes_defaults`` means that absent keys are looked for in ``DEFAULTS``.

    ``kind`` is its name among variants: ``postgres``, ``S3``.
    """

    title: str
    doc: str
    keys: tuple[Key, ...]
    takes_defaults: bool = False
    kind: str = ""

    @cached_property
    def by_spelling(self) -> Mapping[str, Key]:
        return {spelling: key for key in self.keys for spelling in key.spellings}

    def canonical(self, spelling: str) -> str:
        """The name of a key that can be spelled in several ways; an unknown one is itself."""
        key = self.by_spelling.get(spelling)
        return key.name if key else spelling


@dataclass(frozen=True)
class Variants:
    """A map whose keys depend on its ``TYPE``. ``default`` is the type where none is written, if there is one.

    Each section has the type key itself.
    """

    title: str
    doc: str
    type_key: Key
    sections: Mapping[str, Section]
    default: str | None = None

    @cached_property
    def by_spelling(self) -> Mapping[str, Key]:
        return {spelling: key for section in self.sections.values() for spelling, key in section.by_spelling.items()}

    @property
    def type_scalar(self) -> Scalar:
        """What the type can be; its value is the name of a section."""
        if not isinstance(self.type_key.shape, Scalar):
            raise TypeError("a type is one value")
        return self.type_key.shape

    @cached_property
    def common_section(self) -> Section:
        """The keys that every type has: what can be read where the type is wrong. Nothing in it is required."""
        first, *others = self.sections.values()
        keys = [
            key
            for key in first.keys
            if all(key in section.keys for section in others) and key.name != self.type_key.name
        ]
        return Section(self.title, self.doc, tuple(replace(key, required=False) for key in keys))

    def canonical(self, spelling: str) -> str:
        """The name of a key that can be spelled in several ways; an unknown one is itself."""
        key = self.by_spelling.get(spelling)
        return key.name if key else spelling
