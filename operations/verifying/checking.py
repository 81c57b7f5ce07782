"""Reading one copy back, told apart: it is sound, it is damaged, it could not be read, or it is no longer there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from errors import EncryptionKeyError, ObjectNotFoundError, StorageError, StorageUnavailableError
from model import CheckOutcome, OnProgress
from operations.copies.stored_copies import StoredCopy, stored_manifest
from operations.verifying.verify import VerifyReport, verify_copy
from utils import utc_now


@dataclass(frozen=True, slots=True)
class CopyCheck:
    """One copy that was read from end to end. ``obstacle`` says why it could not be: that is no fault of the copy.

    ``is_silent`` says that nobody answered there, so that trying others on the same storage makes no sense.
    """

    copy: StoredCopy
    started: datetime
    ended: datetime
    report: VerifyReport = field(default_factory=VerifyReport)
    obstacle: str | None = None
    is_silent: bool = False

    @property
    def outcome(self) -> CheckOutcome:
        """PASSED, FAILED or NOT_DONE."""
        if self.report.problems:
            return CheckOutcome.FAILED
        return CheckOutcome.PASSED if self.obstacle is None else CheckOutcome.NOT_DONE

    @property
    def reasons(self) -> list[str]:
        """What is wrong, or why it could not be found out."""
        return self.report.problems or ([self.obstacle] if self.obstacle is not None else [])


def check_copy(copy: StoredCopy, on_progress: OnProgress) -> CopyCheck | None:
    """Read a copy back. None where it was removed since it was listed, as a pruning does."""
    started = utc_now()
    report = VerifyReport()
    try:
        if copy.manifest is None:
            # Why it could not be read is only a text by now, and "no answer" is no damage.
            stored_manifest(copy.storage, copy.keys)
        report = verify_copy(copy, on_progress)
    except ObjectNotFoundError as error:
        report.problems.append(str(error))
    except (StorageError, EncryptionKeyError) as error:
        is_silent = isinstance(error, StorageUnavailableError)
        return CopyCheck(copy, started, utc_now(), report, str(error), is_silent)
    if report.problems and is_gone(copy):
        return None
    return CopyCheck(copy, started, utc_now(), report)


def is_gone(copy: StoredCopy) -> bool:
    """Whether it was removed since it was listed: a removal begins with the manifest."""
    try:
        copy.storage.stat(copy.keys.manifest)
    except ObjectNotFoundError:
        return True
    except StorageError:
        return False
    return False
