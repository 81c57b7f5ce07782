"""A bucket of Amazon S3, or of a service that speaks its protocol, as a storage.

Where things are: requests and boto3 in ``client``, what refusals mean in ``errors``, what settings ask for in
``options``, checksums in ``checksums``; uploads in ``single`` and ``multipart``, over ``new_object``.

Keys are never overwritten: the request that publishes an object carries ``If-None-Match: *``, which Amazon, MinIO and
others hold to, also between writers that publish at the same moment. A service that ignores it (``rclone serve s3``)
or refuses it (501) is asked right before whether the key is free; of two writers at the same moment, one may then
replace the other there. The locks of Holdfast keep two runs of one backup apart.

Deleting in a bucket that keeps versions hides the object; its versions go when the bucket's lifecycle rules say so.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from errors import ObjectNotFoundError, StorageError
from model import StorageDefinition, StoredObject
from storages.s3.checksums import checksum_of
from storages.s3.client import Answer, S3Client
from storages.s3.errors import FrozenObjectError, RangeNotSatisfiableError
from storages.s3.multipart import MultipartUpload, abort_unfinished
from storages.s3.new_object import NewObject
from storages.s3.parts import PartBuffers, PartPlan
from storages.s3.single import put_single
from storages.storage import check_key, is_key
from storages.workplace import Workplace

_BLOCK_SIZE = 1 << 20


def s3_storage(definition: StorageDefinition, workplace: Workplace) -> S3Storage:
    """The storage of type S3 that is configured so. Raises StorageError where its settings cannot be used."""
    return S3Storage(S3Client(definition), workplace)


class S3Storage:
    """Objects in one bucket. See ``storages.storage.Storage`` for the contract."""

    needs_size_first = False

    def __init__(self, client: S3Client, workplace: Workplace, plan: PartPlan | None = None) -> None:
        self.name = client.place.storage_name
        self._client = client
        self._workplace = workplace
        self._plan = plan or PartPlan()
        self._checksum = checksum_of(client.options)

    def put(self, key: str, chunks: Iterable[bytes]) -> StoredObject:
        """See the contract. What fits into one part is stored by one request, what does not as a multipart upload."""
        check_key(self.name, key)
        new = NewObject(self._client, self._workplace, key)
        with PartBuffers(self._plan, self._spool_directory()) as buffers:
            parts = buffers.fill(chunks)
            first = next(parts)
            if first.size < first.capacity:
                return put_single(new, first, self._checksum)
            return MultipartUpload(new, self._checksum, self._plan, buffers).put(chain([first], parts))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """See the contract. What a reader knows of the content (its SHA-256) is the reader's to check."""
        check_key(self.name, key)
        if length == 0:
            self.stat(key)
            return
        answer = self._opened(key, offset, length)
        if answer is None:
            return
        if offset and "ContentRange" not in answer:
            answer["Body"].close()
            raise StorageError(f"The storage {self.name} sends whole objects only, and no ranges of them.")
        yield from self._client.blocks(key, answer["Body"], _BLOCK_SIZE)

    def stat(self, key: str) -> StoredObject:
        check_key(self.name, key)
        answer = self._client.head(key)
        return StoredObject(key, answer["ContentLength"], answer["LastModified"])

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """See the contract. Sorted here, because directory buckets of Amazon list in no order."""
        found: list[StoredObject] = []
        markers = {"ContinuationToken": "NextContinuationToken"}
        for page in self._client.pages("list_objects_v2", markers, Prefix=prefix):
            if "IsTruncated" not in page:
                raise StorageError(f"The storage {self.name} got a list that is not S3's. Check ENDPOINT_URL.")
            found += [
                StoredObject(entry["Key"], entry["Size"], entry["LastModified"])
                for entry in page.get("Contents", ())
                if is_key(entry["Key"])  # "folder/" is what consoles make to show an empty folder
            ]
        yield from sorted(found, key=lambda stored: stored.key)

    def delete(self, key: str) -> None:
        check_key(self.name, key)
        try:
            self._client.call("delete_object", key)
        except ObjectNotFoundError:
            return

    def clean_up(self, prefix: str) -> int:
        return abort_unfinished(self._client, prefix)

    def _opened(self, key: str, offset: int, length: int | None) -> Answer | None:
        """The answer with the body; None where the range holds nothing."""
        end = "" if length is None else str(offset + length - 1)
        range_ = {"Range": f"bytes={offset}-{end}"} if offset or end else {}
        try:
            return self._client.call("get_object", key, **range_)
        except RangeNotSatisfiableError:
            return None
        except FrozenObjectError:
            raise self._frozen(key) from None

    def _frozen(self, key: str) -> StorageError:
        answer = self._client.head(key)
        where = f"{key} in the bucket {self._client.options.bucket} of the storage {self.name}"
        storage_class = answer.get("StorageClass", "an archive class")
        if 'ongoing-request="true"' in answer.get("Restore", ""):
            return StorageError(
                f"{where} is being restored from {storage_class}. That takes minutes to 48 hours; try again later."
            )
        return StorageError(
            f"{where} lies in {storage_class} and must be restored before it can be read. Run `aws s3api "
            f"restore-object --bucket {self._client.options.bucket} --key {shlex.quote(key)} --restore-request Days=7` "
            "and try again when that is done: it takes minutes to 48 hours."
        )

    def _spool_directory(self) -> Path:
        state = self._workplace.state_directory
        return Path(tempfile.gettempdir()) if state is None else state / "spool"
