"""How much of each target a backup uses: measured where a run has changed it, by one listing of its folder."""

from __future__ import annotations

import logging

from catalog import Catalog
from errors import HoldfastError
from model import Backup, Run, Target, Usage
from operations.copies.layout import folder_key, is_manifest_name
from storages.factory import open_storage
from storages.workplace import Workplace
from utils import utc_now


def record_usage(run: Run, backup: Backup, catalog: Catalog, workplace: Workplace, log: logging.Logger) -> None:
    """Measure each target that this run has reached and record it. One that cannot be listed keeps its last measure,
    and the log says so; one whose copy failed is not asked again, because that may take minutes."""
    measured = []
    for target, copy in zip(backup.targets, run.copies, strict=False):  # a run that was skipped has no copies
        try:
            if copy.error is not None:
                raise HoldfastError("its copy has failed")
            measured.append(_usage(backup, target, workplace))
        except HoldfastError as error:
            log.info("what is used of %s was not measured: %s", target, error)
    if not measured:
        return
    try:
        catalog.record_usage(measured)
    except HoldfastError as error:
        log.info("what is used of the targets was not recorded: %s", error)


def _usage(backup: Backup, target: Target, workplace: Workplace) -> Usage:
    stored = list(open_storage(target.storage, workplace).list(folder_key(target.path, backup.id)))
    copies = sum(is_manifest_name(each.key) for each in stored)
    return Usage(backup.id, str(target), copies, sum(each.size for each in stored), utc_now())
