"""How much of each target a backup uses: measured where a run has changed it, by one listing of its folder."""

from __future__ import annotations

import logging

from catalog import Catalog
from errors import HoldfastError
from model import Backup, Target, Usage
from operations.copies.layout import folder_key, is_manifest_name
from storages.factory import open_storage
from storages.workplace import Workplace
from utils import utc_now


def record_usage(backup: Backup, catalog: Catalog, workplace: Workplace, log: logging.Logger) -> None:
    """Measure each target and record it. One that cannot be listed keeps its last measure, and the log says so."""
    measured = []
    for target in backup.targets:
        try:
            measured.append(_usage(backup, target, workplace))
        except HoldfastError as error:
            log.info("what is used of %s was not measured: %s", target, error)
    try:
        catalog.record_usage(measured)
    except HoldfastError as error:
        log.info("what is used of the targets was not recorded: %s", error)


def _usage(backup: Backup, target: Target, workplace: Workplace) -> Usage:
    stored = list(open_storage(target.storage, workplace).list(folder_key(target.path, backup.id)))
    copies = sum(is_manifest_name(each.key) for each in stored)
    return Usage(backup.id, str(target), copies, sum(each.size for each in stored), utc_now())
