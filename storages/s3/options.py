"""What the settings of an S3 storage ask of every request and of every new object."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from errors import StorageError
from model import StorageDefinition
from storages.settings import required_setting, setting

# Manifests, indexes and HOW-TO-RESTORE.txt are small and are read at every run. The classes that are cheap to keep
# things in bill at least 128 kB and 30 days for each object, and those of the Glacier tiers must be thawed to be read.
_ARCHIVE_ENDINGS = (".zip", ".zip.age")


@dataclass(frozen=True, slots=True)
class S3Options:
    """The keys of ``STORAGES`` as they apply to requests. ``checksum`` is ``"CRC32"`` or ``"MD5"``."""

    bucket: str
    endpoint_url: str | None = None
    region: str | None = None
    checksum: str = "MD5"
    storage_class: str | None = None
    encryption: str | None = None
    kms_key_id: str | None = None
    lock_mode: str | None = None
    lock_days: int = 0

    def of_new_object(self, key: str, now: datetime) -> dict[str, Any]:
        """The parameters that PutObject and CreateMultipartUpload share. The storage class is for archives only."""
        parameters: dict[str, Any] = {}
        if self.storage_class and key.endswith(_ARCHIVE_ENDINGS):
            parameters["StorageClass"] = self.storage_class
        if self.encryption:
            parameters["ServerSideEncryption"] = self.encryption
        if self.kms_key_id:
            parameters["SSEKMSKeyId"] = self.kms_key_id
        if self.lock_mode:
            parameters["ObjectLockMode"] = self.lock_mode
            parameters["ObjectLockRetainUntilDate"] = now + timedelta(days=self.lock_days)
        return parameters


def s3_options(definition: StorageDefinition) -> S3Options:
    """The options of a definition. Raises StorageError where settings that belong together do not agree."""
    endpoint_url = setting(definition, "ENDPOINT_URL")
    checksum = setting(definition, "CHECKSUM") or "auto"
    if checksum == "auto":
        checksum = "MD5" if endpoint_url else "CRC32"
    encryption, kms_key_id = setting(definition, "ENCRYPTION"), setting(definition, "KMS_KEY_ID")
    if kms_key_id and encryption != "aws:kms":
        raise _disagreement(definition, "KMS_KEY_ID", "ENCRYPTION: aws:kms")
    lock_mode, lock_days = setting(definition, "OBJECT_LOCK_MODE"), setting(definition, "OBJECT_LOCK_DAYS")
    if lock_mode and not lock_days:
        raise _disagreement(definition, "OBJECT_LOCK_MODE", "OBJECT_LOCK_DAYS")
    if lock_days and not lock_mode:
        raise _disagreement(definition, "OBJECT_LOCK_DAYS", "OBJECT_LOCK_MODE")
    return S3Options(
        bucket=required_setting(definition, "BUCKET"),
        endpoint_url=endpoint_url,
        region=setting(definition, "REGION"),
        checksum=checksum,
        storage_class=setting(definition, "STORAGE_CLASS"),
        encryption=encryption,
        kms_key_id=kms_key_id,
        lock_mode=lock_mode,
        lock_days=int(lock_days or 0),
    )


def _disagreement(definition: StorageDefinition, given: str, missing: str) -> StorageError:
    return StorageError(f"The storage {definition.name} has {given} without {missing}. Set both, or neither.")
