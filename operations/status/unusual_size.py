"""A run that is good and whose archive is of an unusual size says so: in its log, and in its message."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from catalog import Catalog
from errors import HoldfastError
from model import Run, RunPoint, RunStatus
from operations.status.sizes import HISTORY, sizes

# Among these are enough good ones, unless most runs of the last weeks were not.
_LOOKED_AT = HISTORY + 25


def note_unusual_size(run: Run, catalog: Catalog, log: logging.Logger) -> Run:
    """The run, with a line more in its message where its archive is unusual. It stays good: nobody but its owner knows
    whether that is right. Where the catalog cannot be read the log says so, and nothing is raised."""
    if run.status is not RunStatus.GOOD or run.archive is None:
        return run
    try:
        earlier = catalog.runs(run.backup_id, _LOOKED_AT)
    except HoldfastError as error:
        log.info("whether its size is unusual is not known: %s", error)
        return run
    known = sorted((each for each in earlier if each.id != run.id), key=lambda each: (each.started, each.id))
    anomaly = sizes(list(_good_points([*known, run]))).anomaly
    if anomaly is None:
        return run
    log.warning("%s", anomaly)
    return replace(run, message="\n".join(filter(None, [run.message, f"{anomaly} {advice(run.backup_id)}"])))


def advice(backup_id: str) -> str:
    """What to do about it."""
    return f"Look whether that is right: `restore.py show {backup_id}` lists what is in it."


def _good_points(runs: Iterable[Run]) -> Iterable[RunPoint]:
    for run in runs:
        if run.status is RunStatus.GOOD and run.archive is not None:
            archive = run.archive
            yield RunPoint(
                run.id, run.started, run.ended, run.status, archive.size, archive.content_size, archive.file_count
            )
