"""EXCLUDE: gitignore patterns, taken as ``git`` takes them (gitignore(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

_FOR_FOLDERS_ONLY = re.compile(r"(?<!\\)/ *$")


class Exclusion:
    """What patterns leave out below a path. They are compiled once; each file of a tree is asked for.

    pathspec turns each into a regular expression. Which of them decides is settled here: pathspec's own answer is made
    for lists of files, so that ``*`` with ``!*/`` and ``!*.log`` would leave everything out, and ``a/**`` the folder
    ``a`` as well as what is in it. Here a folder that is left out is never entered, as in git, so a pattern need only
    match the very path that is asked for.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [compiled for pattern in patterns for compiled in _compile(pattern)]
        self._patterns.reverse()

    def covers(self, path: bytes, *, is_folder: bool) -> bool:
        """Whether a path, relative to the one that the patterns are for, is left out."""
        # A newline in a name is like any other character; to a regular expression it would be the end of the text.
        relative = os.fsdecode(path).replace("\n", "\0")
        for leaves_out, folders_only, expression in self._patterns:
            if is_folder or not folders_only:
                found = expression.search(relative)
                # The only group of pathspec's expressions matches the slash after a folder that the path lies in.
                if found is not None and found.lastindex is None:
                    return leaves_out
        return False


def _compile(pattern: str) -> Iterable[tuple[bool, bool, re.Pattern[str]]]:
    """``(whether it leaves out, whether it is for folders only, the expression)``, or nothing for a comment."""
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    folders_only = _FOR_FOLDERS_ONLY.search(pattern) is not None
    text = _FOR_FOLDERS_ONLY.sub("", pattern)
    if text in ("", "!"):
        return
    compiled = GitIgnoreSpecPattern(text)
    if compiled.include is not None and compiled.regex is not None:
        yield compiled.include, folders_only, compiled.regex
