"""EXCLUDE: gitignore patterns, as ``git`` itself understands them (gitignore(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable


class Exclusion:
    """What patterns leave out below a path. They are compiled once; asking is made for each file of a tree."""

    def __init__(self, patterns: Iterable[str]) -> None:
        from pathspec import GitIgnoreSpec

        lines = [_without_newlines(pattern) for pattern in patterns]
        self._files = GitIgnoreSpec.from_lines(_one_level_of_folders(line) for line in lines)
        self._folders = GitIgnoreSpec.from_lines(_one_level(_one_level_of_folders(line)) for line in lines)

    def covers(self, root: bytes, entry: os.DirEntry[bytes]) -> bool:
        """Whether this entry, somewhere below the folder ``root``, is left out. Raises OSError."""
        relative = _without_newlines(os.fsdecode(entry.path[len(root.rstrip(b"/")) + 1 :]))
        if entry.is_dir(follow_symlinks=False):
            return self._folders.match_file(relative + "/")
        return self._files.match_file(relative)


def _one_level(pattern: str) -> str:
    """``a/**`` is all that is in ``a``, but pathspec takes it for ``a/`` too: then ``!a/kept`` would never be reached.

    A folder that is left out is not entered, so what lies deeper need not be matched.
    """
    pattern = pattern.rstrip(" ")
    return pattern[:-1] if pattern.endswith("/**") else pattern


def _one_level_of_folders(pattern: str) -> str:
    """``a/**/`` is every folder in ``a``; pathspec takes it for ``a/`` and for files too."""
    return pattern.rstrip(" ")[:-4] + "/*/" if pattern.rstrip(" ").endswith("/**/") else pattern


def _without_newlines(text: str) -> str:
    """A newline in a name is like any other character; to a regular expression it would be the end of the text."""
    return text.replace("\n", "\0")
