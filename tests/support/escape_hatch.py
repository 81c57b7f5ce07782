"""The commands of HOW-TO-RESTORE.txt, taken from the text by their indentation."""

from __future__ import annotations

_INDENTATION = " " * 7
_OURS = "With Holdfast and its configuration"


def commands_of(text: str) -> list[str]:
    """Every command that needs nothing of ours, in the order of the text."""
    without_holdfast, found, _ = text.partition(_OURS)
    assert found
    lines = without_holdfast.splitlines()
    return [line.removeprefix(_INDENTATION) for line in lines if line.startswith(_INDENTATION)]
