"""``python -m tests.onedrive_emulator [--settings JSON] [--folder DIR]``

Prints one line of JSON when it is ready: ``{"ports": {"sign_in": …, "graph": …, "upload": …, "download": …, "admin":
…}, "hosts": {"graph.microsoft.com": …}}``. Serves until its standard input closes or SIGTERM comes, so that it ends
with the test that started it, however that ended.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from .server import EmulatorServer
from .settings import Settings


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.onedrive_emulator", description=__doc__)
    parser.add_argument("--settings", type=json.loads, default={}, help="fields of Settings, as JSON")
    parser.add_argument("--folder", type=Path, help="where content is kept, with the setting keep: disk")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = EmulatorServer(Settings().changed(arguments.settings), arguments.folder)
    server.start()
    sys.stdout.write(json.dumps({"ports": server.addresses.ports, "hosts": server.addresses.hosts()}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
