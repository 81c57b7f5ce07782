"""A command of restore.py as an ordinary user: ``as_another_user.py UID JSON``, where JSON is a list of two argvs.

Such a user may not be able to read the interpreter's own files, so the first argv is run as the user who began, and
brings all modules in; the second one is run as the user with this number.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))


def main() -> int:
    user, (first, second) = int(sys.argv[1]), json.loads(sys.argv[2])
    restore = importlib.import_module("restore")
    sys.argv = ["restore.py", *first]
    restore.main()
    for name in ("rich.console", "rich.progress", "encodings.idna"):
        importlib.import_module(name)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    sys.argv = ["restore.py", *second]
    return int(restore.main())


if __name__ == "__main__":
    sys.exit(main())
