"""An object of one part: a single PutObject."""

from __future__ import annotations

from errors import ObjectExistsError, StorageUnavailableError
from model import StoredObject
from storages.s3.checksums import Checksum, Digest
from storages.s3.new_object import NewObject, PartBody, repeat_altered
from storages.s3.parts import Part


def put_single(new: NewObject, part: Part, checksum: Checksum) -> StoredObject:
    """Store and prove it. Raises StorageError, and then has left nothing."""
    digest = checksum.digest(part)
    new.refuse_if_taken()
    try:
        return repeat_altered(lambda: _put_and_prove(new, part, checksum, digest))
    except BaseException:
        new.discard()
        raise


def _put_and_prove(new: NewObject, part: Part, checksum: Checksum, digest: Digest) -> StoredObject:
    is_uncertain = False

    def send() -> None:
        nonlocal is_uncertain
        if is_uncertain and new.look_up() is not None:
            return
        try:
            new.client.publish(
                "put_object",
                new.key,
                Body=PartBody(part, lambda: not new.workplace.cancelled.is_set()) if part.size else b"",
                **checksum.of_body(digest),
                **new.parameters(),
            )
        except StorageUnavailableError:
            is_uncertain = True
            raise
        except ObjectExistsError:
            # A request that we took for lost may arrive after we looked: then what exists is our own.
            if not is_uncertain or new.look_up() is None:
                raise

    new.workplace.repeat(send)
    return new.proven(digest.size, checksum, lambda found: checksum.differs(digest, found))
