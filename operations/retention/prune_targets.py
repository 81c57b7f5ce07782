"""Pruning the targets of a backup: after a run, those that have its good copy; or because a person asks."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime

from errors import HoldfastError
from model import Backup, Configuration, Run, RunStatus, Target
from operations.copies.keyring import Keyring
from operations.copies.stored_copies import copies_on
from operations.locks import lock_backup
from operations.retention.prune import PruneReport, judge, prune
from schedules.times import machine_zone
from storages.factory import open_storage
from storages.workplace import Workplace
from utils import utc_now


def prune_after(
    run: Run, configuration: Configuration, backup: Backup, workplace: Workplace, log: logging.Logger
) -> list[str]:
    """Remove what KEEP lets go, now that the catalog has this run; what could not be removed is said, not raised.

    The caller holds the backup's lock.
    """
    problems = []
    for target in _targets_with_good_copy(run, backup):
        report = _prune(configuration, backup, target, workplace, run.started)
        for judged in report.removed:
            log.info("removed %s: %s", judged.copy, "; ".join(judged.decision.reasons))
        log.info("%s", report.summary)
        problems += report.problems
    for problem in problems:
        log.warning("%s", problem)
    return problems


def prune_now(configuration: Configuration, backup: Backup, targets: Iterable[Target]) -> list[PruneReport]:
    """Remove what KEEP lets go from these targets, without a run. What fails is in the reports.

    Raises AlreadyRunningError: a run may be putting a copy there.
    """
    with lock_backup(configuration.state_directory, backup.id):
        workplace = Workplace(configuration.state_directory)
        return [_prune(configuration, backup, target, workplace, made=None) for target in targets]


def preview(configuration: Configuration, backup: Backup, target: Target) -> PruneReport:
    """What :func:`prune_now` would do, with nothing removed."""
    report = PruneReport(target)
    try:
        copies = copies_on(target, backup.id, open_storage(target.storage), Keyring.of(configuration))
    except HoldfastError as error:
        report.problems.append(f"{target}: {error}")
    else:
        report.judged = judge(copies, backup.keep_on(target), utc_now(), machine_zone())
    return report


def _prune(
    configuration: Configuration, backup: Backup, target: Target, workplace: Workplace, made: datetime | None
) -> PruneReport:
    """Days begin when they do on this machine, whoever asks and whatever the ``TZ`` of that process is."""
    try:
        storage, keyring = open_storage(target.storage, workplace), Keyring.of(configuration)
    except HoldfastError as error:
        return PruneReport(target, problems=[f"{target}: {error}"])
    return prune(backup.id, target, storage, backup.keep_on(target), utc_now(), machine_zone(), made, keyring)


def _targets_with_good_copy(run: Run, backup: Backup) -> list[Target]:
    """None where the run failed, and not because of a target: then nobody knows what its copies are worth."""
    failed_elsewhere = run.status is not RunStatus.GOOD and all(copy.error is None for copy in run.copies)
    if failed_elsewhere:
        return []
    return [
        target
        for target, copy in zip(backup.targets, run.copies, strict=True)
        if copy.status is RunStatus.GOOD and not backup.keep_on(target).removes_nothing
    ]
