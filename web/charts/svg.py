"""The few words of SVG that the charts are written in. Everything is escaped; no style stands in an attribute."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo

from markupsafe import Markup, escape


def element(name: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """One element. ``_`` in the name of an attribute stands for ``-``, and at its end for nothing (``class_``)."""
    opening = Markup("<") + Markup(name) + _attributes(attributes)  # noqa: S704 - names of ours
    if not children:
        return opening + Markup("/>")
    return opening + Markup(">") + joined(children) + Markup("</") + Markup(name) + Markup(">")  # noqa: S704 - as above


def joined(parts: Iterable[str | Markup]) -> Markup:
    """One after the other; what is no markup yet is escaped."""
    return Markup("").join(parts)


def picture(
    width: float, height: float, kind: str, title: str, description: str, *children: Markup, stretched: bool = False
) -> Markup:
    """A drawing that a screen reader calls by its title and description, and that fills the width it is given."""
    return element(
        "svg",
        element("title", title),
        element("desc", description) if description else Markup(""),
        *children,
        class_=kind,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_label=f"{title}. {description}" if description else title,
        preserveAspectRatio="none" if stretched else None,
    )


def number(value: float) -> str:
    """With one digit behind the point at most, and none where it would be 0."""
    return f"{value:.1f}".removesuffix(".0")


def path(points: Iterable[tuple[float, float]]) -> str:
    """The ``d`` of a line through these points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def short_day(moment: datetime, zone: tzinfo) -> str:
    """``20 Nov 2026``."""
    local = moment.astimezone(zone)
    return f"{local.day} {local:%b %Y}"


def _attributes(attributes: dict[str, str | float | None]) -> Markup:
    return joined(
        Markup(' {}="{}"').format(
            name.rstrip("_").replace("_", "-"), number(value) if isinstance(value, float) else escape(value)
        )
        for name, value in attributes.items()
        if value is not None
    )
