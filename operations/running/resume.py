"""Uploads that a kill or a reboot ended, taken up again: the archive still waits in the spool, whole."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace

from archives.manifest import Manifest
from catalog import Catalog
from errors import HoldfastError, InterruptedRun, StorageError
from model import Archive, Backup, Run, RunStatus
from operations.copies.how_to_restore import how_to_restore
from operations.copies.layout import is_encrypted_name
from operations.running.distribution import upload_from_spool
from operations.running.spooled_copy import SpooledCopy, waiting_copies
from operations.running.targets import OnUpload, TargetCopy, open_targets
from storages.workplace import Workplace
from utils import redact, utc_now


def resume_uploads(
    backup: Backup,
    recent_runs: Iterable[Run],
    catalog: Catalog,
    workplace: Workplace,
    log: logging.Logger,
    on_upload: OnUpload,
) -> None:
    """Finish every copy of this backup that waits in the spool, and record how its run ended after all.

    What cannot be finished is given up: the run that comes now makes a new copy. An interruption leaves it waiting.
    The caller holds the backup's lock.
    """
    if workplace.state_directory is None:
        return
    known_runs = {run.id: run for run in recent_runs}
    for spooled in waiting_copies(workplace.state_directory, backup.id):
        manifest = spooled.manifest
        if manifest is None:
            continue
        log.info("the upload of %s goes on", manifest.archive.name)
        try:
            copies = _upload(backup, spooled, manifest, workplace, on_upload)
        except (InterruptedRun, KeyboardInterrupt):
            log.warning("it was interrupted again; the archive waits for the next run")
            raise
        spooled.remove()
        run = known_runs.get(manifest.run_id) or Run(manifest.run_id, backup.id, manifest.started)
        run = _ended(run, manifest, copies)
        catalog.finish_run(run)
        log.log(logging.INFO if run.status is RunStatus.GOOD else logging.WARNING, "%s: %s", manifest.archive.name, run)


def _upload(
    backup: Backup, spooled: SpooledCopy, manifest: Manifest, workplace: Workplace, on_upload: OnUpload
) -> list[TargetCopy]:
    # As it was packed then, whatever the configuration says by now.
    is_encrypted = is_encrypted_name(manifest.archive.name)
    copies = open_targets(backup, manifest.started, workplace, is_encrypted=is_encrypted)
    unfinished = []
    for copy in copies:
        try:
            if copy.error is not None or copy.is_there():
                continue
            copy.ask_whether_wanted()
        except StorageError as error:
            copy.error = error
            continue
        if copy.is_left_out:
            continue
        if copy.takes_from_spool:
            unfinished.append(copy)
        else:
            copy.error = HoldfastError("The run ended before this copy was finished.")
    upload_from_spool(unfinished, spooled, how_to_restore(backup), workplace, on_upload)
    for copy in unfinished:
        copy.discard_unfinished()
    return copies


def _ended(run: Run, manifest: Manifest, copies: list[TargetCopy]) -> Run:
    part, content = manifest.archive, manifest.content
    errors = [f"{copy.target}: {copy.error}" for copy in copies if copy.error is not None]
    message = "\n".join(["Its upload was interrupted, and taken up again by the next run.", *errors])
    return replace(
        run,
        status=RunStatus.FAILED if errors else manifest.status,
        ended=utc_now(),
        message=redact(message),
        archive=Archive(part.name, manifest.started, part.size, part.sha256, content.files, content.size),
        copies=tuple(copy.outcome(manifest.status, part.size) for copy in copies),
    )
