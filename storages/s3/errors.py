"""What an S3 service's refusals mean: which may pass, and what a person can do about the others.

The codes are those of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what MinIO, Ceph and
Backblaze add to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime

from errors import (
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
)
from storages.s3.options import S3Options
from utils import redact, utc_now


class RangeNotSatisfiableError(StorageError):
    """The range begins behind the end of the object."""


class FrozenObjectError(StorageError):
    """The object lies in a class from which it must be restored before it can be read."""


class NoSuchUploadError(StorageError):
    """The multipart upload is not there any more: completed, aborted or expired."""


class NotImplementedByServiceError(StorageError):
    """The service does not know this request, or something that it asks for."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request went, for messages."""

    storage_name: str
    options: S3Options

    def sentence(self, act: str, key: str | None, reason: str) -> str:
        where = f"bucket {self.options.bucket}" if key is None else f"{key} in the bucket {self.options.bucket}"
        return f"The storage {self.storage_name} could not {act} {where}: {reason}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is no success. ``operation`` is boto3's name of it; ``code`` and ``text`` may be empty."""

    operation: str
    key: str | None
    status: int
    code: str
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)
    region: str | None = None


# What is tried, as it reads behind "could not", and the permission that it needs.
_OPERATIONS = {
    "head_object": ("look at", "s3:GetObject and s3:ListBucket"),
    "get_object": ("read", "s3:GetObject"),
    "put_object": ("store", "s3:PutObject"),
    "create_multipart_upload": ("store", "s3:PutObject"),
    "upload_part": ("store", "s3:PutObject"),
    "complete_multipart_upload": ("store", "s3:PutObject"),
    "abort_multipart_upload": ("abort the upload of", "s3:AbortMultipartUpload"),
    "list_objects_v2": ("list the", "s3:ListBucket"),
    "list_multipart_uploads": ("list the unfinished uploads of the", "s3:ListBucketMultipartUploads"),
    "delete_object": ("delete", "s3:DeleteObject"),
}

_WRITING = {"put_object", "create_multipart_upload", "upload_part", "complete_multipart_upload"}

# The answer to HEAD names no code.
_READING = {"head_object", "get_object"}

_NOT_NOW = {
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException",
    "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded", "OperationAborted",
    "ConditionalRequestConflict", "ServerBusy", "XMinioServerNotInitialized", "408", "429",
}  # fmt: skip

_FULL = {
    "QuotaExceeded", "ServiceQuotaExceeded", "StorageFull", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded",
    "InsufficientCapacity", "InsufficientStorage", "UsageLimitExceeded", "507",
}  # fmt: skip

_ALTERED = {
    "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody",
}  # fmt: skip

_WRONG_REGION = {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "301", "307"}

_ADVICE = {
    "InvalidAccessKeyId": "the service does not know this access key. Check ACCESS_KEY_ID (AWS_ACCESS_KEY_ID in the "
    "environment), and that it belongs to the service at ENDPOINT_URL.",
    "SignatureDoesNotMatch": "the secret does not belong to the access key. Check SECRET_ACCESS_KEY "
    "(AWS_SECRET_ACCESS_KEY in the environment): is it whole, and without quotes or blanks around it?",
    "ExpiredToken": "the temporary credentials have expired. Get new ones (with their SESSION_TOKEN), or use an access "
    "key, a PROFILE or a role that renews itself.",
    "InvalidToken": "the session token is not valid. Check SESSION_TOKEN (AWS_SESSION_TOKEN in the environment); "
    "leave it out where the access key is a permanent one.",
    "NoSuchBucket": "there is no such bucket. Check BUCKET and ENDPOINT_URL, or make the bucket.",
    "InvalidBucketName": "no bucket can have this name. Check BUCKET.",
    "RequestTimeTooSkewed": "the clock of this machine differs from the service's by more than 15 minutes. Set it "
    "(`timedatectl set-ntp true`).",
    "RequestExpired": "the clock of this machine is wrong. Set it (`timedatectl set-ntp true`).",
    "InvalidStorageClass": "the service does not know this STORAGE_CLASS. Choose one that it has, or leave it out.",
    "KMS.NotFoundException": "there is no such key. Check KMS_KEY_ID and its region.",
    "KMS.DisabledException": "the key KMS_KEY_ID is disabled. Enable it, or choose another.",
    "ObjectLocked": "it is locked until its retention ends (Object Lock), and cannot be removed before. Let KEEP "
    "cover at least OBJECT_LOCK_DAYS.",
    "ObjectLockConfigurationNotFoundError": "the bucket has no Object Lock. Make one that has, or leave "
    "OBJECT_LOCK_MODE out.",
    "InvalidRetentionPeriod": "the service does not take this retention. Check OBJECT_LOCK_DAYS.",
    "MethodNotAllowed": "the service does not allow this request. Check ENDPOINT_URL: it must be that of the S3 "
    "service, without the bucket's name.",
    "EntityTooLarge": "it is larger than the service takes.",
}  # fmt: skip


def storage_error(place: Place, refusal: Refusal) -> StorageError:
    """The error that a refusal means. It is a StorageUnavailableError where the same request may succeed later."""
    if specific := _of_its_own_type(place, refusal):
        return specific
    if refusal.code in _WRONG_REGION:
        return StorageError(_sentence(place, refusal, _region_advice(place, refusal)))
    if _is_about_a_lock(refusal):
        return StorageError(_sentence(place, refusal, _lock_advice(refusal)))
    if refusal.code in _ADVICE:
        return StorageError(_sentence(place, refusal, _ADVICE[refusal.code]))
    if refusal.status in (401, 403):
        return StorageError(_sentence(place, refusal, _permission_advice(place, refusal)))
    reason = refusal.text or f"the service answered {refusal.status}."
    return StorageError(_sentence(place, refusal, f"{reason.removesuffix('.')}. Check the settings of the storage."))


def retry_after(value: str | None, now: datetime) -> float | None:
    """The seconds that the header Retry-After (RFC 9110, 10.2.3) asks for: a number, or a date."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _of_its_own_type(place: Place, refusal: Refusal) -> StorageError | None:
    """The errors that are told apart by their type, and not only by their text."""
    code, status = refusal.code, refusal.status
    if code in _FULL or status == 507 or "cap exceeded" in refusal.text.lower():
        advice = "there is no space or quota left. Make room, raise the quota, or keep fewer copies."
        return StorageFullError(_sentence(place, refusal, advice))
    if code in _ALTERED:
        advice = "what arrived is not what was sent. Something on the way alters data: memory, a proxy, the network."
        return IntegrityError(_sentence(place, refusal, advice))
    if code == "NoSuchKey" or (status == 404 and refusal.operation in _READING and code != "NoSuchBucket"):
        bucket = place.options.bucket
        return ObjectNotFoundError(f"The storage {place.storage_name} has no object {refusal.key} in {bucket}.")
    if code in ("PreconditionFailed", "412"):
        return object_exists(place, refusal.key or "")
    if code == "NoSuchUpload":
        advice = "the upload is not there any more. A lifecycle rule or somebody aborted it, or the service lost it."
        return NoSuchUploadError(_sentence(place, refusal, advice))
    if code in ("InvalidRange", "416"):
        return RangeNotSatisfiableError(_sentence(place, refusal, "the range begins behind its end."))
    if code == "InvalidObjectState":
        return FrozenObjectError(_sentence(place, refusal, "it must be restored first."))
    if code in ("NotImplemented", "501"):
        return NotImplementedByServiceError(_sentence(place, refusal, "the service does not implement this request."))
    if code in _NOT_NOW or status in (408, 429) or status >= 500:
        return not_now(place, refusal)
    return None


def not_now(place: Place, refusal: Refusal) -> StorageUnavailableError:
    """An answer that says "later", with the wait that it asks for."""
    reason = refusal.text or "the service cannot answer now."
    wait = retry_after(refusal.headers.get("retry-after"), utc_now())
    return StorageUnavailableError(_sentence(place, refusal, f"{reason.removesuffix('.')}. Try again later."), wait)


def object_exists(place: Place, key: str) -> ObjectExistsError:
    """A key that is taken."""
    return ObjectExistsError(
        f"{key} exists already in the bucket {place.options.bucket} of the storage {place.storage_name}, and is never "
        "overwritten."
    )


def _sentence(place: Place, refusal: Refusal, reason: str) -> str:
    act = _OPERATIONS[refusal.operation][0]
    key = None if refusal.operation.startswith("list_") else refusal.key
    code = f" ({refusal.code})" if refusal.code else f" ({refusal.status})"
    return redact(place.sentence(act, key, reason)) + code


def _permission_advice(place: Place, refusal: Refusal) -> str:
    permission = _OPERATIONS[refusal.operation][1]
    if refusal.operation in _WRITING and place.options.lock_mode:
        permission += " and s3:PutObjectRetention"
    if place.options.encryption == "aws:kms":
        permission += " (and kms:GenerateDataKey and kms:Decrypt for the key)"
    said = f" The service says: {refusal.text}" if refusal.text else ""
    return (
        f"access is denied. The access key needs the permission {permission} for this bucket, and no policy of the "
        f"bucket may deny it.{said}"
    )


def _region_advice(place: Place, refusal: Refusal) -> str:
    region = refusal.region or refusal.headers.get("x-amz-bucket-region")
    now = f"REGION is {place.options.region}" if place.options.region else "REGION is not set"
    if region:
        return (
            f"the bucket is in the region {region}, and {now}. Set REGION (AWS_REGION in the environment) to {region}."
        )
    return f"the bucket is in another region ({now}). Set REGION (AWS_REGION in the environment) to the bucket's."


def _is_about_a_lock(refusal: Refusal) -> bool:
    text = refusal.text.lower()
    return any(words in text for words in ("object lock", "objectlock", "worm protected", "retention"))


def _lock_advice(refusal: Refusal) -> str:
    if refusal.operation == "delete_object":
        return _ADVICE["ObjectLocked"]
    return (
        f"{refusal.text.removesuffix('.')}. Check OBJECT_LOCK_MODE and OBJECT_LOCK_DAYS, and that the bucket was made "
        "with Object Lock."
    )
