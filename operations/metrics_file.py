"""``METRICS_FILE``: the metrics where node_exporter's textfile collector reads them
(https://github.com/prometheus/node_exporter#textfile-collector).

The file is written whole beside its place and then renamed, because the collector reads at any moment. Whoever writes
holds a lock and asks the catalog only then: of two that write at once the later one knows what the earlier knew.

``<state>/metrics-file`` has the path, for the day on which config.yaml cannot be read any more.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from errors import HoldfastError
from model import Configuration
from operations.locks import one_after_the_other
from utils import utc_now

if TYPE_CHECKING:
    from catalog import Catalog

CONFIG_VALID = "holdfast_config_valid"

# The first lines of the file say whether the configuration is valid.
_BEGINNING = 1024

_LOCK = "metrics"

_logger = logging.getLogger(__name__)
_told: set[str] = set()


def write_metrics(configuration: Configuration, catalog: Catalog, log: logging.Logger | None = None) -> None:
    """Write the file anew, where the configuration has one.

    A run that is good must not fail for its metrics: what keeps them from being written is told to ``log`` and, once,
    to standard error.
    """
    path, state = configuration.metrics_file, configuration.state_directory
    if path is None or not configuration.backups:  # else it was a broken one, of which only the rest could be read
        return
    from operations.metrics import current_metrics

    try:
        with one_after_the_other(state, _LOCK):
            replace_file(path, current_metrics(configuration, catalog, utc_now()))
            if _remembered(state) != path:
                (state / "metrics-file").write_text(f"{path}\n", encoding="utf-8")
    except (HoldfastError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        text = f"The metrics could not be written to METRICS_FILE {path}: {reason}."
        if log is not None:
            log.warning("%s", text)
        if text not in _told:
            _told.add(text)
            _logger.warning("%s", text)


def note_validity(configuration: Configuration, *, is_valid: bool) -> None:
    """Say in a file that is there whether the configuration is valid now; all else in it stays as it was.

    ``configuration`` may be what could be read of a broken one. Nothing is raised, and nothing said: the error in the
    configuration itself is.
    """
    path = configuration.metrics_file
    if path is None and not is_valid:
        path = _remembered(configuration.state_directory)
    if path is None:
        return
    before, after = (f"\n{CONFIG_VALID} {float(value)}\n".encode() for value in (not is_valid, is_valid))
    try:
        if not _begins_with(path, before):
            return
        with one_after_the_other(configuration.state_directory, _LOCK):
            replace_file(path, path.read_bytes().replace(before, after, 1))
    except (HoldfastError, OSError):
        return


def replace_file(path: Path, content: bytes) -> None:
    """Put ``content`` into the place of the file, at once, readable by every user. Raises OSError.

    The caller holds the lock, so the temporary file that a killed process left there is nobody's.
    """
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, 0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remembered(state: Path) -> Path | None:
    try:
        return Path((state / "metrics-file").read_text(encoding="utf-8").removesuffix("\n"))
    except (OSError, ValueError):
        return None


def _begins_with(path: Path, text: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return text in file.read(_BEGINNING)
    except FileNotFoundError:
        return False
