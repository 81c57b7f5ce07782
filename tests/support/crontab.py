"""A stand-in for crontab(1): it keeps its crontab in a file, counts what it was asked, and fails on demand.

It refuses what Debian's refuses: a last line without a newline, and more than 10,000 lines. As Debian's, it lists
carriage returns and backspaces as ``\\r`` and ``\\b``, and hands the true bytes to an editor.
"""

from __future__ import annotations

import os
from pathlib import Path

_PROGRAM = r"""#!/bin/sh
PATH=/usr/bin:/bin
cd '{folder}' || exit 99
case "$1" in
-l)
    echo >>reads
    changed=change-at-read-$(wc -l <reads)
    [ -e "$changed" ] && mv "$changed" crontab
    if [ -e list-error ]; then cat list-output; cat list-error >&2; exit "$(cat list-code)"; fi
    if [ ! -e crontab ]; then echo 'no crontab for tester' >&2; exit 1; fi
    if [ -e lists-exactly ]; then exec cat crontab; fi
    LC_ALL=C exec sed 's/\r/\\r/g; s/\x08/\\b/g' crontab ;;
-e)
    if [ -e edit-error ]; then cat edit-error >&2; exit 1; fi
    [ -e crontab ] || : >crontab
    $VISUAL crontab ;;
-)
    cat >new
    if [ -e write-error ]; then cat write-error >&2; exit 1; fi
    if [ -s new ] && [ -n "$(tail -c 1 new)" ]; then echo 'missing newline before EOF' >&2; exit 1; fi
    if [ "$(wc -l <new)" -gt 10000 ]; then echo 'crontab is too long' >&2; exit 1; fi
    echo >>writes
    mv new crontab ;;
*)
    exit 98 ;;
esac
"""


class StandInCrontab:
    """The program ``<folder>/bin/crontab``; put ``path`` first in PATH."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        program = folder / "bin" / "crontab"
        program.parent.mkdir(parents=True)
        program.write_text(_PROGRAM.format(folder=folder))
        program.chmod(0o755)
        self.path = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '/usr/bin:/bin')}"

    @property
    def text(self) -> bytes | None:
        """The crontab; None where there is none."""
        file = self._folder / "crontab"
        return file.read_bytes() if file.exists() else None

    @text.setter
    def text(self, text: bytes) -> None:
        (self._folder / "crontab").write_bytes(text)

    @property
    def reads(self) -> int:
        return self._count("reads")

    @property
    def writes(self) -> int:
        return self._count("writes")

    def fail_to_list(self, code: int, error: bytes, output: bytes = b"") -> None:
        for name, content in (("error", error), ("output", output), ("code", str(code).encode())):
            (self._folder / f"list-{name}").write_bytes(content)

    def fail_to_edit(self, error: bytes) -> None:
        (self._folder / "edit-error").write_bytes(error)

    def list_exactly(self) -> None:
        """As cronie's does, not Debian's."""
        (self._folder / "lists-exactly").touch()

    def fail_to_write(self, error: bytes) -> None:
        (self._folder / "write-error").write_bytes(error)

    def change_at_read(self, number: int, text: bytes) -> None:
        """Another program installs ``text`` just before the read of this number (from 1)."""
        (self._folder / f"change-at-read-{number}").write_bytes(text)

    def _count(self, name: str) -> int:
        file = self._folder / name
        return len(file.read_bytes()) if file.exists() else 0
