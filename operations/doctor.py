"""What ``main.py doctor`` tries: state, catalog, encryption, each source's reach and every storage; and what to do."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from archives.age_header import FILE_KEY_SIZE
from archives.age_keys import Identity, parse_recipient, read_identity_file
from catalog import open_catalog
from errors import EncryptionKeyError, HoldfastError
from model import Backup, Configuration, DatabaseSource, Target
from operations.findings import Finding, Verdict
from operations.housekeeping import abandoned_copies
from operations.running.stopped_containers import would_stop
from operations.storage_check import check_storage
from operations.telling.trying import looked_at
from sources.factory import open_source
from sources.scratch import installed_servers
from storages.workplace import Patience, Workplace
from utils import format_count, format_size, make_private_directory, utc_now

# A person waits for the answer: an outage of a second is ridden out, one of a minute is what they ask about.
_PATIENCE = Patience(attempts=3, first_wait=0.5, longest_wait=2.0, longest_asked_wait=10.0)

# An archive that waits for its upload and the catalog need some room.
_LITTLE_SPACE = 1 << 30


def examine(configuration: Configuration, storage_names: Collection[str] = ()) -> Iterator[Finding]:
    """Try one thing after the other. With names, only these storages."""
    if not storage_names:
        yield _state(configuration.state_directory)
        yield from _abandoned(configuration)
        yield _catalog(configuration)
        yield from _encryption(configuration)
        if configuration.metrics_file is not None:
            yield _metrics_file(configuration.metrics_file)
        yield from looked_at(configuration, utc_now())
        for backup in configuration.enabled_backups:
            yield _source(backup, configuration)
            if backup.verify is not None and backup.verify.drill is not None:
                yield from _drill(backup, configuration)
    for target in targets(configuration, storage_names):
        check = check_storage(target, Workplace(configuration.state_directory, _PATIENCE))
        yield Finding(str(target), Verdict.OK if check.error is None else Verdict.FAILED, check.summary)


def targets(configuration: Configuration, storage_names: Collection[str]) -> list[Target]:
    """Each place that a backup uses, once, and each storage of ``STORAGES`` that none uses, at its top."""
    used = {str(target): target for backup in configuration.enabled_backups for target in backup.targets}
    names = {target.storage.name for target in used.values()}
    unused = [
        Target(definition, "")
        for name, definition in configuration.storages.items()
        # LOCAL is always there, and need not mean anything.
        if name not in names and (name in storage_names or name != "LOCAL")
    ]
    return [target for target in (*used.values(), *unused) if not storage_names or target.storage.name in storage_names]


def _state(folder: Path) -> Finding:
    subject = "state folder"
    try:
        make_private_directory(folder / "spool")
        free = shutil.disk_usage(folder).free
        writable = os.access(folder, os.W_OK | os.X_OK) and os.access(folder / "spool", os.W_OK | os.X_OK)
    except OSError as error:
        return Finding(subject, Verdict.FAILED, f"{folder} cannot be used: {error.strerror}. Check STATE_DIR.")
    if not writable:
        return Finding(subject, Verdict.FAILED, f"{folder} is not writable for this user. Check STATE_DIR.")
    verdict = Verdict.OK if free >= _LITTLE_SPACE else Verdict.WARNING
    return Finding(subject, verdict, f"{folder} is writable, with {format_size(free)} free")


def _abandoned(configuration: Configuration) -> Iterator[Finding]:
    """Whole archives that wait for an upload which nobody will begin."""
    try:
        for backup_id, copy in abandoned_copies(configuration):
            size = copy.manifest.archive.size if copy.manifest is not None else 0
            folder = configuration.state_directory / "spool" / backup_id
            text = (
                f"An archive ({format_size(size)}) waits in {folder} for its upload, and {backup_id} is not enabled "
                "any more. Put the backup back, and its next run goes on; or remove the folder."
            )
            yield Finding("spool", Verdict.WARNING, text)
    except HoldfastError as error:
        yield Finding("spool", Verdict.FAILED, str(error))


def _catalog(configuration: Configuration) -> Finding:
    try:
        catalog = open_catalog(configuration.state_directory, configuration.catalog_url)
        try:
            count = len(catalog.known_backup_ids())
        finally:
            catalog.close()
    except HoldfastError as error:
        return Finding("catalog", Verdict.FAILED, str(error))
    return Finding("catalog", Verdict.OK, f"it opens, and knows runs of {format_count(count, 'backup')}")


def _metrics_file(path: Path) -> Finding:
    subject = "METRICS_FILE"
    if path.is_dir():
        return Finding(subject, Verdict.FAILED, f"{path} is a folder. Write the path of a file.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        text = f"No file can be made in the folder {path.parent}: {error.strerror}. So no metrics are written."
        return Finding(subject, Verdict.FAILED, text)
    if path.suffix != ".prom":
        text = f"{path} can be written, but node_exporter reads only names that end in .prom."
        return Finding(subject, Verdict.WARNING, text)
    return Finding(subject, Verdict.OK, f"{path} can be written")


def _encryption(configuration: Configuration) -> Iterator[Finding]:
    """Nothing where no backup is encrypted and no private key is named."""
    encrypted = [backup for backup in configuration.enabled_backups if backup.encryption is not None]
    if encrypted:
        yield _recipients(encrypted)
    if configuration.identity_file is not None:
        yield _identity(configuration.identity_file, encrypted)


def _recipients(encrypted: Sequence[Backup]) -> Finding:
    subject = "encryption"
    for backup in encrypted:
        for text in _recipients_of(backup):
            try:
                parse_recipient(text)
            except EncryptionKeyError as error:
                return Finding(subject, Verdict.FAILED, f"{backup.id}: {error}")
    to_keys = [backup for backup in encrypted if _recipients_of(backup)]
    keys = {text for backup in to_keys for text in _recipients_of(backup)}
    ways = []
    if to_keys:
        ways.append(f"{format_count(len(to_keys), 'backup')} to {format_count(len(keys), 'public key')}")
    if with_passphrase := len(encrypted) - len(to_keys):
        ways.append(f"{format_count(with_passphrase, 'backup')} with a passphrase, which this machine has to hold")
    return Finding(subject, Verdict.OK, ", ".join(ways))


def _identity(path: Path, encrypted: Sequence[Backup]) -> Finding:
    """A private key on the machine that makes the backups is at best a warning."""
    subject = "AGE_IDENTITY_FILE"
    if not os.path.lexists(path):
        text = f"{path} is not there now. Copies that are encrypted to it can be drilled only while it is."
        return Finding(subject, Verdict.WARNING, text)
    try:
        identities = read_identity_file(path)
        closed = [backup.id for backup in encrypted if not _is_opened(backup, identities)]
        others_can_read = path.stat().st_mode & 0o077 != 0
    except EncryptionKeyError as error:
        return Finding(subject, Verdict.FAILED, str(error))
    except OSError as error:
        return Finding(subject, Verdict.FAILED, f"{path} cannot be read: {error.strerror}.")
    if closed:
        text = f"The key in {path} does not open copies of {', '.join(closed)}: ENCRYPT_TO has other public keys there."
        return Finding(subject, Verdict.FAILED, text)
    if others_can_read:
        text = f"Other users can read the private key in {path}. Run: chmod 600 {path}"
        return Finding(subject, Verdict.FAILED, text)
    text = (
        f"The private key in {path} opens the encrypted copies. Whoever takes this machine can read them all with it. "
        "Keep it here only for drills, or hold these on another machine."
    )
    return Finding(subject, Verdict.WARNING, text)


def _is_opened(backup: Backup, identities: Sequence[Identity]) -> bool:
    """Whether what is encrypted today can be decrypted; no private key belongs to a passphrase."""
    file_key = os.urandom(FILE_KEY_SIZE)
    stanzas = [parse_recipient(text).wrap(file_key) for text in _recipients_of(backup)]
    return not stanzas or any(identity.unwrap(stanzas) == file_key for identity in identities)


def _recipients_of(backup: Backup) -> tuple[str, ...]:
    return backup.encryption.recipients if backup.encryption is not None else ()


def _drill(backup: Backup, configuration: Configuration) -> Iterator[Finding]:
    """What serves the databases of a drill; files need nothing but room."""
    if not isinstance(backup.source, DatabaseSource):
        return
    subject = f"drill of {backup.id}"
    try:
        servers = installed_servers(backup.source.engine, configuration.state_directory)
    except HoldfastError as error:
        yield Finding(subject, Verdict.FAILED, str(error))
        return
    if servers:
        yield Finding(
            subject, Verdict.OK, f"its copies can be restored into {', '.join(servers)}, if they are not newer"
        )
        return
    text = (
        f"The programs of a server of TYPE {backup.source.engine} are not installed on this machine, and a drill "
        "starts one of its own. Install them (Debian: postgresql, mariadb-server); the server need not run."
    )
    yield Finding(subject, Verdict.FAILED, text)


def _source(backup: Backup, configuration: Configuration) -> Finding:
    spool = configuration.state_directory / "spool"
    try:
        with open_source(backup, lambda _: None, configuration.own_folders, spool) as source:
            text = source.check()
        if backup.stopped_containers is not None:
            text += f"; STOP_CONTAINERS would stop {', '.join(would_stop(backup)) or 'none, as none of them runs'}"
    except HoldfastError as error:
        return Finding(backup.id, Verdict.FAILED, str(error))
    return Finding(backup.id, Verdict.OK, text)
