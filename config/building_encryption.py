"""Records to encryption: who can open the copies of a backup, and whose manifests are believed."""

from __future__ import annotations

from config.problems import Problems
from config.public_keys import NOBODY, without_comment
from config.records import Record
from model import Encryption


def encryption(record: Record, problems: Problems) -> Encryption | None:
    """What ``ENCRYPT_TO`` or ``ENCRYPT_PASSPHRASE`` of a backup says."""
    written = sorted(
        (key for key in ("ENCRYPT_TO", "ENCRYPT_PASSPHRASE") if key in record.positions), key=record.position_of
    )
    if len(written) == 2:
        first, second = written
        message = (
            f"{second} stands beside {first}, and age allows no recipient beside a passphrase. Keep one of the two."
        )
        problems.error(record.position_of(second), message)
    recipients = _recipients(record, problems)
    passphrase = record.secret("ENCRYPT_PASSPHRASE")
    return Encryption(recipients, passphrase) if recipients or passphrase is not None else None


def trusted_keys(configuration: Record, problems: Problems) -> tuple[str, ...]:
    """What ``TRUSTED_KEYS`` says."""
    keys: list[str] = []
    for position, key in configuration.texts("TRUSTED_KEYS"):
        if key in keys:
            problems.error(position, "TRUSTED_KEYS holds this key twice. Remove one.")
        keys.append(key)
    return tuple(keys)


def _recipients(record: Record, problems: Problems) -> tuple[str, ...]:
    if record.lists.get("ENCRYPT_TO") == []:
        message = "ENCRYPT_TO is an empty list. Write who can open the copies, or `none` where everybody can."
        problems.error(record.position_of("ENCRYPT_TO"), message)
    found: dict[str, str] = {}
    for position, recipient in record.texts("ENCRYPT_TO"):
        if recipient == NOBODY:
            if len(record.lists["ENCRYPT_TO"]) > 1:
                message = "ENCRYPT_TO has `none`, which is nobody, and others beside it. Remove `none` or the others."
                problems.error(position, message)
        elif without_comment(recipient) in found:
            problems.error(position, "ENCRYPT_TO holds this key twice. Remove one.")
        else:
            found[without_comment(recipient)] = recipient
    return tuple(found.values())
