"""A program of ours as another user: ``ordinary_user.py UID GID PROGRAM [ARGUMENT…]``.

That user may not be able to read the interpreter's own files, which may lie in root's home: so whatever may be imported
later is imported first.
"""

from __future__ import annotations

import codecs
import importlib
import os
import sys
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.support.product_code import ROOT, product_files

_LIBRARIES = ("zstandard", "sqlalchemy.dialects.sqlite", "dotenv.parser")
_WITH_SIDE_EFFECTS = {"antigravity", "this", "idlelib", "turtle", "turtledemo", "tkinter", "test", "lib2to3"}
_CODECS = ("ascii", "utf-8-sig", "idna", "unicode_escape", "raw_unicode_escape")


def main() -> int:
    user, group, program, *arguments = sys.argv[1:]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in product_files()]
    for name in sys.stdlib_module_names - _WITH_SIDE_EFFECTS:
        with suppress(ImportError):  # those of other systems
            importlib.import_module(name)
    for name in (*_LIBRARIES, *(name for name in names if "migrations" not in name)):
        importlib.import_module(name.removesuffix(".__init__"))
    for codec in _CODECS:
        codecs.lookup(codec)
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
    sys.argv = [program, *arguments]
    exit_code: int = importlib.import_module(program.removesuffix(".py")).main()
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
