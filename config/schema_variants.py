"""Maps of the schema whose keys depend on their ``TYPE``."""

from __future__ import annotations

from dataclasses import replace

from config import scalars
from config.shapes import Key, Section, Variants


def variants(
    title: str, doc: str, sections: dict[str, Section], default: str | None = None, otherwise: str = ""
) -> Variants:
    """A map with a ``TYPE``: the names of ``sections``, each of which gets this key too."""
    type_key = Key(
        "TYPE",
        scalars.one_of(*sections, otherwise=otherwise),
        "What kind it is.",
        next(iter(sections)),
        required=default is None,
        default=f"`{default}`" if default else "",
    )
    typed = {}
    for name, section in sections.items():
        own_type = replace(type_key, shape=scalars.one_of(name), example=name)
        typed[name] = replace(section, title=f"{title} ({name})", keys=(own_type, *section.keys), kind=name)
    return Variants(title, doc, type_key, typed, default)
