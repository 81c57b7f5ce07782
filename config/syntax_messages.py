"""What libyaml says about text that is not YAML, told so that one knows what to write.

libyaml's words are matched exactly (src/scanner.c and src/parser.c of https://github.com/yaml/libyaml, 0.2.5). A word
that is not known here is passed on as it is. No text of the file is quoted but keys of the schema: the rest may be a
password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from yaml import MarkedYAMLError

from config.problems import Position
from config.schema import KEY_NAMES

_QUOTES_NEEDED = "Put quotes around the whole value"
_KEY_AT_START = re.compile(r"(?P<indent>[ \t]*)(?P<dashes>(?:- +)*)(?P<key>[A-Za-z_]+) *:(?P<after>.?)")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where libyaml stopped, and the lines of the file. ``line`` and ``column`` count from 0 here."""

    lines: list[str]
    line: int
    column: int
    context_line: int
    context_column: int

    @property
    def text(self) -> str:
        return self.lines[self.line] if self.line < len(self.lines) else ""

    @property
    def character(self) -> str:
        return self.text[self.column : self.column + 1]

    @property
    def is_first_in_line(self) -> bool:
        return not self.text[: self.column].strip()

    @property
    def position(self) -> Position:
        return Position(self.line + 1, self.column + 1)

    @property
    def context(self) -> Position:
        return Position(self.context_line + 1, self.context_column + 1)

    def line_before(self) -> int | None:
        """The number of the last line above that holds more than blanks and a comment."""
        for number in range(self.line - 1, -1, -1):
            text = self.lines[number].strip()
            if text and not text.startswith("#"):
                return number
        return None


def explain(error: MarkedYAMLError, text: str) -> tuple[Position, str]:
    """The place and the sentence for an error of libyaml in ``text``."""
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark
    if mark is None:
        return Position(1, 1), f"This is not valid YAML: {problem}."
    start = error.context_mark or mark
    place = _Place(re.split(r"\r\n|\n|\r", text), mark.line, mark.column, start.line, start.column)
    return (
        _about_tab(problem, place)
        or _about_first_character(problem, context, place)
        or _about_quotes(context, place)
        or _about_indentation(problem, place)
        or _about_brackets(problem, place)
        or (place.position, f"This is not valid YAML: {problem}.")
    )


def _about_tab(problem: str, place: _Place) -> tuple[Position, str] | None:
    blanks = place.text[: len(place.text) - len(place.text.lstrip())]
    if "tab character" not in problem and place.character != "\t" and "\t" not in blanks:
        return None
    column = place.text.find("\t")
    message = "A tab stands here, and YAML is indented with spaces only. Replace the tab by spaces."
    return Position(place.line + 1, max(column, 0) + 1), message


def _about_first_character(problem: str, context: str, place: _Place) -> tuple[Position, str] | None:
    if context == "while scanning an alias":
        message = f'A value cannot begin with `*` in YAML. {_QUOTES_NEEDED}, for example "*" or "*/5 * * * *".'
        return place.context, message
    if context == "while scanning an anchor":
        return place.context, f"A value cannot begin with `&` in YAML. {_QUOTES_NEEDED}."
    if context in ("while scanning a tag", "while parsing a tag"):
        return place.context, f"A value cannot begin with `!` in YAML. {_QUOTES_NEEDED}."
    if context == "while scanning a directive":
        return place.context, "A line that begins with `%` is a YAML directive, and this one is not known. Remove it."
    if problem == "found character that cannot start any token":
        example = ', for example "@daily"' if place.character == "@" else ""
        name = "a backtick" if place.character == "`" else f"`{place.character}`"
        message = f"A value cannot begin with {name} in YAML. {_QUOTES_NEEDED}{example}."
        return place.position, message
    return None


def _about_quotes(context: str, place: _Place) -> tuple[Position, str] | None:
    if context == "while scanning a quoted scalar":
        return place.context, "The quote that opens here is never closed. Add the closing quote."
    if context == "while parsing a quoted scalar":
        message = (
            "In double quotes `\\` begins an escape, and this one is not known. Write `\\\\`, or use single quotes."
        )
        return place.position, message
    return None


def _about_indentation(problem: str, place: _Place) -> tuple[Position, str] | None:
    if problem == "mapping values are not allowed in this context":
        return _about_colon(place)
    if problem == "did not find expected '-' indicator":
        return _about_missing_dash(place)
    if problem == "block sequence entries are not allowed in this context":
        return place.position, "A list cannot begin here. Write its first `- ` on a line of its own."
    if problem == "could not find expected ':'":
        return place.context, "This line is not `KEY: value`. Write a colon and a blank after the key."
    if problem == "did not find expected key":
        if place.is_first_in_line:
            message = (
                f"This line does not fit the lines above. It ends up in the map of line {place.context.line}, column "
                f"{place.context.column}: keys of one map start in the same column, and a list has a column of its own."
            )
        else:
            message = f"Something stands after the end of the value. {_QUOTES_NEEDED}, or begin a new line."
        return place.position, message
    if problem == "did not find expected <document start>":
        return place.position, "The text above ended the document. Indent this line like the rest, or remove the `...`."
    return None


def _about_colon(place: _Place) -> tuple[Position, str]:
    """A colon where no key can be: mostly a key that is indented deeper than the key above."""
    here = _KEY_AT_START.match(place.text)
    number = place.line_before()
    above = _KEY_AT_START.match(place.lines[number]) if number is not None else None
    if here is None or not place.text[: place.column].strip(" -").isidentifier():
        message = f"A second colon followed by a blank stands in this value. {_QUOTES_NEEDED}."
        return place.position, message
    if above is not None and number is not None and here.start("key") > above.start("key"):
        message = (
            f"{_name(here)} stands too far to the right: the line above has a value already. Start it in column "
            f"{above.start('key') + 1}, below {_name(above, 'the key')} of line {number + 1}."
        )
        return Position(place.line + 1, here.start("key") + 1), message
    wrong = number if number is not None else place.line
    column = len(place.lines[wrong]) - len(place.lines[wrong].lstrip(" -"))
    return Position(wrong + 1, column + 1), "This line is not `KEY: value`. Write a colon and a blank after the key."


def _about_missing_dash(place: _Place) -> tuple[Position, str]:
    """A line in the column of a list's dashes that has no dash: mostly the next key of the item above."""
    here = _KEY_AT_START.match(place.text)
    name = _name(here) if here else "This line"
    for number in range(place.line - 1, place.context_line - 1, -1):
        item = _KEY_AT_START.match(place.lines[number])
        if item and item["dashes"] and item.start("dashes") == place.context_column:
            message = (
                f"{name} is too far to the left to belong to the item above. Start it in column "
                f"{item.start('key') + 1}, below {_name(item, 'the key')} of line {number + 1}; a new item needs `- `."
            )
            return place.position, message
    return place.position, f"{name} is too far to the left to belong to the list above. A new item needs `- `."


def _about_brackets(problem: str, place: _Place) -> tuple[Position, str] | None:
    if problem in ("did not find expected ',' or ']'", "did not find expected ',' or '}'"):
        opening = place.lines[place.context_line][place.context_column :][:1]
        if "${" in place.text:
            return place.position, 'In brackets a variable must be quoted. Write "${NAME}" with the quotes.'
        closing = "]" if opening == "[" else "}"
        message = (
            f"The `{opening}` of line {place.context.line}, column {place.context.column} is not closed before this. "
            f"Add `{closing}`, or a comma between its entries."
        )
        return place.position, message
    if problem == "did not find expected node content" and not place.character.strip():
        return place.position, "The file ends or a line ends where a value must stand. Is a bracket above not closed?"
    if problem == "did not find expected node content":
        return place.position, f"A value cannot begin with `{place.character}`. {_QUOTES_NEEDED}, or remove it."
    return None


def _name(match: re.Match[str], otherwise: str = "This key") -> str:
    """The key of a line, quoted only where it is a word of the schema."""
    return str(match["key"]) if match["key"] in KEY_NAMES else otherwise
