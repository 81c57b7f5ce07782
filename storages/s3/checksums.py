"""How an S3 service proves what it received, part by part and as a whole.

``MD5`` is what every compatible service knows: the ETag that it answers with is the MD5 of a body in hex; of an object
that came in parts, the MD5 of their MD5s, ``-`` and their number. An ETag of another form is no MD5 (SSE-KMS, and some
services of their own), and proves nothing: there the service must check the header Content-MD5 (RFC 1864) of each
body. Once an ETag was the MD5 of what was sent, parts go without that header: it would have the service hash them
twice, which cost ``rclone serve s3`` a quarter of its speed. (Of an object that came in parts, that server shows the
MD5 of the whole later on. When it puts the parts together it answers with the usual ETag.)

``CRC32`` is Amazon's: x-amz-checksum-crc32 with each body, and the CRC-32 of the whole object, which the service puts
together and stores: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html.
It costs a tenth of a percent of what MD5 does. A service that keeps this header without looking at it (``rclone serve
s3`` does) proves nothing by it, which is why ``auto`` takes it at Amazon only.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from isal.isal_zlib import crc32, crc32_combine

from storages.s3.options import S3Options
from storages.s3.parts import Part

_MD5_OF_A_BODY = re.compile(r"[0-9a-f]{32}")
_MD5_OF_PARTS = re.compile(r"[0-9a-f]{32}-[0-9]+")


@dataclass(frozen=True, slots=True)
class Digest:
    """What is known of the bytes of one part: their number, and their MD5 (16 bytes) or CRC-32 (4 bytes)."""

    size: int
    value: bytes

    @property
    def base64(self) -> str:
        return b64encode(self.value).decode()


class Checksum(Protocol):
    """What a request must carry so that the service checks it, and whether its answer is that of what was sent."""

    missing: str
    """What to say to a person where a service does not tell the checksum of what it stored."""

    def digest(self, part: Part) -> Digest:
        """Of the bytes of a part."""

    def of_body(self, digest: Digest) -> dict[str, Any]:
        """Parameters of PutObject and UploadPart."""

    def of_new_upload(self) -> dict[str, Any]:
        """Parameters of CreateMultipartUpload."""

    def of_listed_part(self, digest: Digest, /) -> dict[str, Any]:
        """What CompleteMultipartUpload says of each part beside its number and ETag."""

    def of_whole(self, digests: Sequence[Digest], /) -> dict[str, Any]:
        """Parameters of CompleteMultipartUpload."""

    def differs(self, digest: Digest, answer: Mapping[str, Any]) -> bool:
        """Whether an answer about one body (PutObject, UploadPart, HeadObject) is about other bytes."""

    def is_told_by(self, answer: Mapping[str, Any], /) -> bool:
        """Whether the answer to HeadObject has what this checksum cannot do without."""

    def whole_is_told_by(self, answer: Mapping[str, Any]) -> bool:
        """Whether the answer to CompleteMultipartUpload tells the checksum of all parts together."""

    def whole_differs(self, digests: Sequence[Digest], answer: Mapping[str, Any]) -> bool:
        """Whether an answer about the parts together (CompleteMultipartUpload, HeadObject) is about other bytes."""


class Md5Checksum:
    """See :class:`Checksum`, and the head of this file. Object Lock demands the header with each body."""

    missing = ""

    def __init__(self, has_object_lock: bool = False) -> None:
        self._has_object_lock = has_object_lock
        self._etags_are_md5 = False

    def digest(self, part: Part) -> Digest:
        md5 = hashlib.md5(usedforsecurity=False)
        for block in part.blocks():
            md5.update(block)
        return Digest(part.size, md5.digest())

    def of_body(self, digest: Digest) -> dict[str, Any]:
        return {} if self._etags_are_md5 and not self._has_object_lock else {"ContentMD5": digest.base64}

    def of_new_upload(self) -> dict[str, Any]:
        return {}

    def of_listed_part(self, _digest: Digest) -> dict[str, Any]:
        return {}

    def of_whole(self, _digests: Sequence[Digest]) -> dict[str, Any]:
        return {}

    def differs(self, digest: Digest, answer: Mapping[str, Any]) -> bool:
        etag = _etag(answer)
        if etag == digest.value.hex():
            self._etags_are_md5 = True
            return False
        return bool(_MD5_OF_A_BODY.fullmatch(etag))

    def is_told_by(self, _answer: Mapping[str, Any]) -> bool:
        return True

    def whole_is_told_by(self, answer: Mapping[str, Any]) -> bool:
        return bool(_MD5_OF_PARTS.fullmatch(_etag(answer)))

    def whole_differs(self, digests: Sequence[Digest], answer: Mapping[str, Any]) -> bool:
        etag = _etag(answer)
        md5 = hashlib.md5(b"".join(digest.value for digest in digests), usedforsecurity=False)
        return bool(_MD5_OF_PARTS.fullmatch(etag)) and etag != f"{md5.hexdigest()}-{len(digests)}"


class Crc32Checksum:
    """See :class:`Checksum`, and the head of this file."""

    missing = "the service does not tell the CRC-32 of what it stored. Set CHECKSUM: MD5."

    def digest(self, part: Part) -> Digest:
        value = 0
        for block in part.blocks():
            value = crc32(block, value)
        return Digest(part.size, value.to_bytes(4, "big"))

    def of_body(self, digest: Digest) -> dict[str, Any]:
        return {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": digest.base64}

    def of_new_upload(self) -> dict[str, Any]:
        return {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}

    def of_listed_part(self, digest: Digest) -> dict[str, Any]:
        return {"ChecksumCRC32": digest.base64}

    def of_whole(self, digests: Sequence[Digest]) -> dict[str, Any]:
        return {"ChecksumType": "FULL_OBJECT", "ChecksumCRC32": _combined(digests).base64}

    def differs(self, digest: Digest, answer: Mapping[str, Any]) -> bool:
        return str(answer.get("ChecksumCRC32", digest.base64)) != digest.base64

    def is_told_by(self, answer: Mapping[str, Any]) -> bool:
        return "ChecksumCRC32" in answer

    def whole_is_told_by(self, answer: Mapping[str, Any]) -> bool:
        return "ChecksumCRC32" in answer

    def whole_differs(self, digests: Sequence[Digest], answer: Mapping[str, Any]) -> bool:
        told = str(answer.get("ChecksumCRC32", ""))
        if not told:
            return False
        if "-" in told:  # a service that knows only the CRC-32 of the parts' CRC-32s
            of_parts = crc32(b"".join(digest.value for digest in digests)).to_bytes(4, "big")
            return told.partition("-")[0] != b64encode(of_parts).decode()
        return told != _combined(digests).base64


def checksum_of(options: S3Options) -> Checksum:
    """The one that CHECKSUM names."""
    return Crc32Checksum() if options.checksum == "CRC32" else Md5Checksum(options.lock_mode is not None)


def _combined(digests: Sequence[Digest]) -> Digest:
    size = value = 0
    for digest in digests:
        value = crc32_combine(value, int.from_bytes(digest.value, "big"), digest.size)
        size += digest.size
    return Digest(size, value.to_bytes(4, "big"))


def _etag(answer: Mapping[str, Any]) -> str:
    """The ETag where it may be an MD5, else nothing. With SSE-KMS it looks like one and is none."""
    is_encrypted_with_kms = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    return "" if is_encrypted_with_kms else str(answer.get("ETag", "")).strip('"').lower()
