"""An object that comes in parts: a multipart upload, several parts of which are under way at once.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html. Nothing is visible under the key before the
upload is completed, and an upload that is not completed is aborted: its parts would be billed for ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import unquote_plus

from errors import IntegrityError, ObjectExistsError, ObjectNotFoundError, StorageError, StorageUnavailableError
from model import StoredObject
from storages.s3.checksums import Checksum, Digest
from storages.s3.client import Answer, S3Client, time_of
from storages.s3.errors import NoSuchUploadError, NotImplementedByServiceError
from storages.s3.new_object import NewObject, PartBody, repeat_altered
from storages.s3.parts import MOST_PARTS, Part, PartBuffers, PartPlan
from storages.workplace import Workplace

# How long it takes at most until a cancelled run is noticed while parts are under way, in seconds.
_GLANCE = 0.2


@dataclass(frozen=True, slots=True)
class _SentPart:
    number: int
    etag: str
    digest: Digest


class MultipartUpload:
    """One upload. ``put`` sends the parts and proves the object; where it raises, nothing is left at the service."""

    def __init__(self, new: NewObject, checksum: Checksum, plan: PartPlan, buffers: PartBuffers) -> None:
        self._new = new
        self._client = new.client
        self._checksum = checksum
        self._plan = plan
        self._buffers = buffers
        self._upload_id = ""
        # Ends the waits and the bodies of the threads that send, when this upload fails or is over.
        self._stopped = threading.Event()
        self._sending = Workplace(new.workplace.state_directory, new.workplace.patience, self._stopped)
        self._may_have_others = False
        self._may_be_complete = False
        self._altered: IntegrityError | None = None

    def put(self, parts: Iterator[Part]) -> StoredObject:
        """Store what ``parts`` yields. What it raises passes unchanged."""
        self._new.refuse_if_taken()
        try:
            self._upload_id = self._new.workplace.repeat(self._begin)
            sent = self._send_all(parts)
            self._new.refuse_if_taken()
            self._may_be_complete = True
            return self._proven([part.digest for part in sent], self._complete(sent))
        except BaseException as error:
            self._abort()
            if self._altered and isinstance(error, NoSuchUploadError | NotImplementedByServiceError):
                # `rclone serve s3` takes no part in place of a wrong one, and may end the upload: that is the reason.
                raise self._altered from error
            raise
        finally:
            if self._may_have_others:
                self._abort_others()

    def _begin(self) -> str:
        try:
            answer = self._client.call(
                "create_multipart_upload", self._new.key, **self._checksum.of_new_upload(), **self._new.parameters()
            )
        except StorageUnavailableError:
            self._may_have_others = True  # begun, and its id is lost
            raise
        return str(answer["UploadId"])

    def _send_all(self, parts: Iterator[Part]) -> list[_SentPart]:
        sent: list[_SentPart] = []
        under_way: set[Future[_SentPart]] = set()
        executor = ThreadPoolExecutor(self._plan.parallel, thread_name_prefix="s3-part")
        try:
            for number, part in enumerate(parts, start=1):
                if number > MOST_PARTS:
                    raise StorageError(f"{self._new.key} is larger than the {MOST_PARTS:,} parts that S3 takes.")
                under_way.add(executor.submit(self._send, number, part))
                under_way = self._await(under_way, self._plan.under_way(self._plan.size(number + 1)), sent)
            self._await(under_way, 0, sent)
        finally:
            self._stopped.set()
            executor.shutdown(cancel_futures=True)
        return sorted(sent, key=lambda part: part.number)

    def _await(self, under_way: set[Future[_SentPart]], most: int, sent: list[_SentPart]) -> set[Future[_SentPart]]:
        """Wait until no more than ``most`` parts are under way. Raises what the sending of one raised."""
        while True:
            done = {future for future in under_way if future.done()}
            sent.extend(future.result() for future in done)
            under_way = under_way - done
            if len(under_way) <= most:
                return under_way
            if self._new.workplace.cancelled.is_set():
                raise StorageError("It was cancelled.")
            wait(under_way, _GLANCE, FIRST_COMPLETED)

    def _send(self, number: int, part: Part) -> _SentPart:
        """Send one part, and compare what the service says of it."""
        digest = self._checksum.digest(part)

        def send() -> str:
            try:
                answer = self._sending.repeat(lambda: self._send_once(number, part, digest))
                if self._checksum.differs(digest, answer):
                    raise self._new.altered(f"is not what was sent (part {number})")
            except IntegrityError as error:
                self._altered = error
                raise
            return str(answer["ETag"])

        etag = repeat_altered(send)
        self._buffers.release(part)
        return _SentPart(number, etag, digest)

    def _send_once(self, number: int, part: Part, digest: Digest) -> Answer:
        return self._client.call(
            "upload_part",
            self._new.key,
            UploadId=self._upload_id,
            PartNumber=number,
            Body=PartBody(part, self._is_wanted),
            **self._checksum.of_body(digest),
        )

    def _is_wanted(self) -> bool:
        return not self._stopped.is_set() and not self._new.workplace.cancelled.is_set()

    def _complete(self, sent: list[_SentPart]) -> Answer | None:
        """What the service said of the whole; None where it is complete, and that answer was lost."""
        digests = [part.digest for part in sent]
        listed = [
            {"PartNumber": part.number, "ETag": part.etag, **self._checksum.of_listed_part(part.digest)}
            for part in sent
        ]
        is_uncertain = False

        def complete() -> Answer | None:
            nonlocal is_uncertain
            if is_uncertain and self._new.look_up() is not None:
                return None
            try:
                return self._client.publish(
                    "complete_multipart_upload",
                    self._new.key,
                    UploadId=self._upload_id,
                    MultipartUpload={"Parts": listed},
                    **self._checksum.of_whole(digests),
                )
            except StorageUnavailableError:
                is_uncertain = True
                raise
            except (ObjectExistsError, NoSuchUploadError):
                # What we took for lost was done meanwhile: then what exists is our own.
                if not is_uncertain or self._new.look_up() is None:
                    raise
                return None

        return self._new.workplace.repeat(complete)

    def _proven(self, digests: list[Digest], answer: Answer | None) -> StoredObject:
        """The stored object. An answer that tells the checksum of the whole is the proof, of its size too.

        Where it does not, the object is looked at. Not always: `rclone serve s3` reads all of a new object to answer
        that, which took 1.3 s for each GB here, and on a slow disk is longer than any time-out.
        """
        size = sum(digest.size for digest in digests)
        if answer is None or not self._checksum.whole_is_told_by(answer):
            return self._new.proven(size, self._checksum, lambda found: self._checksum.whole_differs(digests, found))
        if self._checksum.whole_differs(digests, answer):
            raise self._new.altered("was not put together from the parts that were sent")
        return StoredObject(self._new.key, size, time_of(answer))

    def _abort(self) -> None:
        if self._may_be_complete:
            self._new.discard()
        if self._upload_id:
            with suppress(StorageError):
                self._new.cleaning.repeat(lambda: _abort(self._client, self._new.key, self._upload_id))

    def _abort_others(self) -> None:
        key = self._new.key
        with suppress(StorageError):
            self._new.cleaning.repeat(lambda: abort_unfinished(self._client, key, only_key=key))


def abort_unfinished(client: S3Client, prefix: str, only_key: str | None = None) -> int:
    """Abort the uploads whose keys begin with ``prefix``, or that of one key; their number. Raises StorageError.

    Whose they are the service does not say, and need not: the caller holds the lock of the backup that owns the prefix,
    so none of ours is under way there, and nobody else has a reason to write below it.
    """
    count = 0
    try:
        pages = client.pages(
            "list_multipart_uploads",
            {"KeyMarker": "NextKeyMarker", "UploadIdMarker": "NextUploadIdMarker"},
            Prefix=prefix,
            EncodingType="url",
        )
        for page in list(pages):
            for upload in page.get("Uploads", ()):
                # Some services take the parameter, and encode nothing.
                key = unquote_plus(upload["Key"]) if page.get("EncodingType") == "url" else upload["Key"]
                if key.startswith(prefix) and only_key in (None, key):
                    _abort(client, key, upload["UploadId"])
                    count += 1
    except (NotImplementedByServiceError, NoSuchUploadError):
        # The latter is what `rclone serve s3` says of a bucket in which none was ever begun.
        return count
    return count


def _abort(client: S3Client, key: str, upload_id: str) -> None:
    with suppress(NoSuchUploadError, ObjectNotFoundError):
        client.call("abort_multipart_upload", key, UploadId=upload_id)
