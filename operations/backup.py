"""The sentence of a run: source → archive → encryption → targets, then the index, and the manifest last.

The order is the promise: nothing is called good before everything that it rests on is known to be good.
"""

from __future__ import annotations

import platform
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from archives.entry import Entry
from archives.index import IndexWriter
from archives.manifest import FilePart, Manifest, NoteList, Totals
from archives.seal import Seal
from archives.signature import signing_key
from archives.zip_writer import ZipWriter
from errors import SourceError
from model import Archive, Backup, Copy, Note, RunStatus
from operations.copies.how_to_restore import how_to_restore
from operations.copies.layout import object_name
from operations.observer import Observer
from operations.running.delivery import Delivered
from operations.running.distribution import Distribution, on_all
from operations.running.spooled_copy import SpooledCopy
from operations.running.stopped_containers import Standstill
from operations.running.targets import TargetCopy, open_targets, require_one
from sources.description import describe
from sources.factory import open_source
from sources.source import Source
from storages.workplace import Workplace
from utils import HOLDFAST_VERSION, utc_now


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a backup. ``unfinished_runs`` are when earlier runs began that may have left something.

    ``expected_size`` is that of the last archive, in bytes. The folder ``spool`` is in ``workplace.state_directory``.
    """

    backup: Backup
    run_id: str
    started: datetime
    unfinished_runs: tuple[datetime, ...]
    state_directory: Path
    workplace: Workplace
    own_folders: tuple[Path, ...]
    expected_size: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind. ``status`` is GOOD, PARTIAL (something could not be read) or FAILED.

    It is FAILED where a target failed, or a container could not be started again, which ``problems`` say.
    """

    status: RunStatus
    archive: Archive
    copies: tuple[Copy, ...]
    notes: NoteList
    problems: tuple[str, ...]


def back_up(attempt: Attempt, on_note: Callable[[Note], None], observer: Observer) -> Outcome:
    """Make one archive of the backup's source and put it on each of its targets.

    A target that fails does not stop the others. Raises HoldfastError where the source or every target failed. Then,
    and after an interruption, nothing of this run is left but a copy that had got its manifest by then, and is whole,
    and an archive in the spool whose upload goes on with the next run. The caller holds the backup's lock.
    """
    contents = _Contents(on_note)
    backup, spool = attempt.backup, attempt.state_directory / "spool"
    seal = Seal(backup.encryption)
    key = signing_key(attempt.state_directory)
    with open_source(backup, contents.note, attempt.own_folders, spool) as source:
        copies = open_targets(backup, attempt.started, attempt.workplace, is_encrypted=seal.is_encrypting)
        on_all(copies, lambda copy: _prepare(copy, attempt), attempt.workplace)
        taking = [copy for copy in copies if not copy.is_left_out]
        require_one(taking)
        expected_size = source.preflight()
        if expected_size is not None:
            observer.expect(expected_size)
        spooled = SpooledCopy.of_run(
            attempt.state_directory,
            backup.id,
            attempt.started,
            attempt.expected_size,
            is_encrypted=seal.is_encrypting,
        )
        with Distribution(taking, spooled, attempt.workplace, observer.upload) as distribution:
            with closing(IndexWriter(spool)) as index:
                with Standstill(backup, attempt.state_directory) as standstill:
                    packed = standstill.around(_packed(attempt, source, contents, index, observer))
                    archive = distribution.send(seal.stream(packed), lambda keys: keys.archive)
                index_part = distribution.send(seal.stream(index.chunks()), lambda keys: keys.index)
            manifest = _manifest(
                attempt, contents, _part(copies[0].keys.archive, archive), _part(copies[0].keys.index, index_part)
            )
            manifest = seal.manifest(manifest).signed(key.sign)
            distribution.finish(manifest, how_to_restore(backup))
    return _outcome(manifest, copies, standstill.problems)


def _prepare(copy: TargetCopy, attempt: Attempt) -> None:
    copy.clean_up(attempt.unfinished_runs)
    copy.ask_whether_wanted()


class _Contents:
    """What went into the archive, and what did not."""

    def __init__(self, on_note: Callable[[Note], None]) -> None:
        self.totals = Totals()
        self.notes = NoteList()
        self._on_note = on_note

    def note(self, note: Note) -> None:
        self.notes.add(note)
        self._on_note(note)


def _packed(
    attempt: Attempt, source: Source, contents: _Contents, index: IndexWriter, observer: Observer
) -> Iterator[bytes]:
    """The archive of the backup's source; what it holds is told to ``contents`` and ``index`` on the way."""

    def on_entry(entry: Entry) -> None:
        index.add(entry)
        contents.totals.add(entry)

    with closing(source.members()) as members:
        archive = ZipWriter(
            members,
            attempt.backup.compression,
            on_entry=on_entry,
            on_note=contents.note,
            on_progress=observer.advance,
        )
        with closing(archive.chunks()) as chunks:
            yield from chunks
    if contents.totals == Totals():
        raise SourceError(f"Nothing of {attempt.backup.id} could be read, so there is nothing to keep.")


def _manifest(attempt: Attempt, contents: _Contents, archive: FilePart, index: FilePart) -> Manifest:
    return Manifest(
        backup_id=attempt.backup.id,
        run_id=attempt.run_id,
        status=RunStatus.PARTIAL if contents.notes.is_partial else RunStatus.GOOD,
        started=attempt.started,
        ended=utc_now(),
        host=socket.gethostname(),
        source=describe(attempt.backup),
        archive=archive,
        index=index,
        compression=attempt.backup.compression.method.value,
        content=contents.totals,
        notes=contents.notes,
        made_by=f"Holdfast {HOLDFAST_VERSION}, Python {platform.python_version()}",
    )


def _part(key: str, delivered: Delivered) -> FilePart:
    return FilePart(object_name(key), delivered.size, delivered.sha256)


def _outcome(manifest: Manifest, copies: list[TargetCopy], problems: list[str]) -> Outcome:
    archive, content = manifest.archive, manifest.content
    is_whole = not problems and all(copy.error is None for copy in copies)
    return Outcome(
        status=manifest.status if is_whole else RunStatus.FAILED,
        archive=Archive(archive.name, manifest.started, archive.size, archive.sha256, content.files, content.size),
        copies=tuple(copy.outcome(manifest.status, archive.size) for copy in copies),
        notes=manifest.notes,
        problems=tuple(problems),
    )
