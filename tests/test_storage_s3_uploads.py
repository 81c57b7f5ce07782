"""How objects get into a bucket: the parts of a long stream, settings of new objects, kills, cancelling, secrets."""

from __future__ import annotations

import hashlib
import logging
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import ObjectExistsError, StorageError, StorageFullError
from model import Secret
from storages.s3.client import S3Client
from storages.s3.parts import MOST_PARTS, PartBuffers, PartPlan
from storages.s3.storage import S3Storage
from storages.workplace import Patience, Workplace
from tests.support.fault_proxy import Fault
from tests.support.s3_fixtures import SMALL_PARTS, WORKPLACE, Rig, moto, rclone, rig, rigs
from tests.support.s3_servers import MOTO_KEYS_OF_A_PAGE, S3Server
from tests.support.skips import requires_root
from tests.support.small_disk import small_disk
from tests.support.storage_contract import pieces

__all__ = ["moto", "rclone", "rig", "rigs"]

REPOSITORY = Path(__file__).parent.parent
PART = SMALL_PARTS.first

both_servers = pytest.mark.parametrize("rig", ["rclone", "moto"], indirect=True)


# --- parts ------------------------------------------------------------------------------------------------------


def test_five_terabytes_fit_into_an_upload() -> None:
    plan = PartPlan()
    sizes = [plan.size(number) for number in range(1, MOST_PARTS + 1)]
    assert sum(sizes) > 5 * 1024**4
    assert sizes == sorted(sizes)
    assert sizes[0] >= 5 << 20
    assert max(sizes) <= 5 << 30


def test_memory_is_bounded_whatever_the_size() -> None:
    plan = PartPlan()
    sizes = {plan.size(number) for number in range(1, MOST_PARTS + 1)}
    in_memory = [size for size in sizes if plan.is_in_memory(size)]
    assert max((plan.under_way(size) + 1) * size for size in in_memory) <= 128 << 20
    assert (plan.under_way(plan.first) + 1) * plan.first <= 64 << 20
    assert min(plan.under_way(size) for size in sizes) >= 1


@given(lengths=st.lists(st.integers(0, 40)), largest_in_memory=st.sampled_from([0, 16, 10_000]))
def test_parts_are_the_stream(
    lengths: list[int], largest_in_memory: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plan = PartPlan(first=8, constant=2, doubling=3, largest_in_memory=largest_in_memory)
    chunks = [random.Random(number).randbytes(length) for number, length in enumerate(lengths)]
    got: list[bytes] = []
    folder = tmp_path_factory.getbasetemp() / "parts"
    with PartBuffers(plan, folder) as buffers:
        for number, part in enumerate(buffers.fill(chunks), start=1):
            got.append(b"".join(part.blocks()))
            assert part.block(0, 3) == got[-1][:3]
            assert part.capacity == plan.size(number)
            if number % 3:  # some are held for longer
                buffers.release(part)
    assert b"".join(got) == b"".join(chunks)
    assert [len(part) for part in got[:-1]] == [plan.size(number) for number in range(1, len(got))]
    assert not folder.exists() or list(folder.iterdir()) == []


@both_servers
@pytest.mark.parametrize("largest_in_memory", [1 << 20, 512])
def test_a_stream_longer_than_ten_thousand_initial_parts(rig: Rig, tmp_path: Path, largest_in_memory: int) -> None:
    """The growth is scaled down with the parts: here 400 of them are what 10,000 are at Amazon."""
    plan = PartPlan(first=256, constant=100, doubling=40, largest_in_memory=largest_in_memory, parallel=2)
    content = random.Random(3).randbytes(10_001 * 256 + 17)
    storage = rig.storage(Workplace(tmp_path, WORKPLACE.patience), plan)
    assert storage.put(rig.key, pieces(content, 100_000)).size == len(content)
    parts = [request for request in rig.proxy.requests if "partNumber" in request.target]
    assert len(parts) < 400
    assert parts[-1].body_length > 8 * 256
    assert hashlib.sha256(rig.content()).digest() == hashlib.sha256(content).digest()
    assert rig.unfinished_uploads() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@requires_root
def test_a_full_disk_of_large_parts_is_named(rig: Rig, tmp_path: Path) -> None:
    plan = PartPlan(first=4 << 20, largest_in_memory=0, parallel_from_disk=1)
    with small_disk(tmp_path / "small", 4_000_000) as root:
        storage = rig.storage(Workplace(root, WORKPLACE.patience), plan)
        with pytest.raises(StorageFullError, match=r"small/spool is full.*STATE_DIR"):
            storage.put(rig.key, (bytes(100_000) for _ in range(100)))
    assert rig.keys() == rig.unfinished_uploads() == []


@both_servers
@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 2 * PART + 1])
def test_sizes_around_a_part(rig: Rig, size: int) -> None:
    content = random.Random(size).randbytes(size)
    assert rig.storage().put(rig.key, pieces(content, 1_000)).size == size
    assert rig.content() == content


# --- beginning and ending ---------------------------------------------------------------------------------------


@both_servers
def test_a_key_that_appears_during_a_multipart_upload(rig: Rig) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(PART * 2)
        rig.server.client().put_object(Bucket=rig.bucket, Key=rig.key, Body=b"theirs")
        yield bytes(PART * 2)

    with pytest.raises(ObjectExistsError, match="is never overwritten"):
        rig.storage().put(rig.key, chunks())
    assert rig.content() == b"theirs"
    assert rig.unfinished_uploads() == []


class PlannedError(Exception):
    """What the chunks of a test raise."""


@both_servers
@pytest.mark.parametrize("error", [PlannedError("planned"), KeyboardInterrupt("planned"), StorageError("planned")])
def test_chunks_that_raise_in_the_middle_abort_the_upload(rig: Rig, error: BaseException) -> None:
    under_way: list[list[str]] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(5):
            yield bytes(PART)
        under_way.append(rig.unfinished_uploads())
        raise error

    with pytest.raises(type(error)) as caught:
        rig.storage().put(rig.key, chunks())
    assert caught.value is error
    assert under_way == [[rig.key]]
    assert rig.keys() == rig.unfinished_uploads() == []


@pytest.mark.parametrize("nth", [2, 3])
def test_a_cancelled_upload_ends_and_leaves_nothing(rig: Rig, nth: int) -> None:
    """While a part, or what begins the upload, waits for an hour to be sent again."""
    cancelled = threading.Event()
    workplace = Workplace(patience=Patience(attempts=9, longest_asked_wait=9e9), cancelled=cancelled)
    rig.proxy.plan_answer(503, headers={"Retry-After": "3600"}, nth=nth, also=cancelled.set)
    with pytest.raises(StorageError, match="cancelled"):
        rig.storage(workplace).put(rig.key, pieces(bytes(PART * 6), PART))
    assert rig.keys() == rig.unfinished_uploads() == []


def test_a_service_that_does_not_know_if_none_match(rig: Rig) -> None:
    """It is asked once without; from then on always."""
    not_implemented = b"<Error><Code>NotImplemented</Code><Message>A header is not implemented</Message></Error>"
    client = S3Client(rig.server.definition(rig.bucket, ENDPOINT_URL=rig.proxy.url))
    storage = S3Storage(client, WORKPLACE, SMALL_PARTS)
    rig.proxy.plan_answer(501, not_implemented, nth=2)
    assert storage.put(rig.key, [b"x"]).size == 1
    assert [request.method for request in rig.proxy.requests] == ["HEAD", "PUT", "PUT", "HEAD"]
    assert storage.put(rig.key + "2", [bytes(PART + 1)]).size == PART + 1
    with pytest.raises(ObjectExistsError):
        storage.put(rig.key, [b"x"])


def test_clean_up_where_uploads_cannot_be_listed(rig: Rig) -> None:
    rig.proxy.plan_answer(501, b"<Error><Code>NotImplemented</Code></Error>")
    assert rig.storage().clean_up(rig.prefix) == 0


@both_servers
def test_clean_up_aborts_what_is_ours(rig: Rig) -> None:
    client = rig.server.client()
    names = ["a/key.zip", "a/100% + ü.zip", "b/key.zip"]
    for name in names:
        client.create_multipart_upload(Bucket=rig.bucket, Key=rig.prefix + name)
    assert rig.storage().clean_up(f"{rig.prefix}a/") == 2
    assert rig.unfinished_uploads() == [f"{rig.prefix}b/key.zip"]
    assert rig.storage().clean_up(f"{rig.prefix}b/") == 1


def test_clean_up_goes_through_all_pages_and_decodes_keys(rig: Rig) -> None:
    """Moto and rclone answer in one page, and encode nothing."""
    page = (
        "<ListMultipartUploadsResult><IsTruncated>{more}</IsTruncated><EncodingType>url</EncodingType>"
        "<NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
        "<Upload><Key>a/{key}</Key><UploadId>{key}</UploadId></Upload></ListMultipartUploadsResult>"
    )
    rig.proxy.plan_answer(200, page.format(more="true", key="one%2Bone+%25").encode(), nth=1)
    rig.proxy.plan_answer(200, page.format(more="false", key="two").encode(), nth=2)
    rig.proxy.plan_answer(204, nth=3, times=2)
    assert rig.storage().clean_up("a/") == 2
    targets = [request.target for request in rig.proxy.requests]
    assert "key-marker=k" in targets[1]
    assert "upload-id-marker=u" in targets[1]
    assert "a/one%2Bone%20%25?" in targets[2]


@both_servers
def test_lists_of_several_pages(rig: Rig) -> None:
    client = rig.server.client()
    page = MOTO_KEYS_OF_A_PAGE if rig.server.name == "moto" else 1_000
    names = sorted(f"{rig.prefix}{number:04d}" for number in range(page + 3))
    for name in names:
        client.put_object(Bucket=rig.bucket, Key=name, Body=b"")
    if rig.server.name == "moto":  # as consoles make them; rclone makes another thing of it
        client.put_object(Bucket=rig.bucket, Key=f"{rig.prefix}folder/", Body=b"")
    # On a busy machine moto takes longer for a list of so many than for anything else that is asked of it.
    assert [stored.key for stored in rig.storage(read_timeout=30.0).list(rig.prefix)] == names
    assert len(rig.proxy.requests) == 2


_PUT_UNTIL_KILLED = """
import sys, time
from model import StorageDefinition, StorageType
from storages.s3.storage import S3Storage
from storages.s3.client import S3Client
from storages.s3.parts import PartPlan
from storages.workplace import Workplace

def chunks():
    for _ in range(5):
        yield bytes(65536)
    print("began", flush=True)
    time.sleep(60)

names = ("BUCKET", "ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
definition = StorageDefinition("OFFSITE", StorageType.S3, dict(zip(names, sys.argv[2:])))
S3Storage(S3Client(definition), Workplace(), PartPlan(first=65536)).put(sys.argv[1], chunks())
"""


@both_servers
def test_a_killed_put_leaves_nothing_visible_and_is_cleaned_up(rig: Rig) -> None:
    server = rig.server
    place = [rig.bucket, server.endpoint_url, server.access_key_id, server.secret_access_key]
    process = subprocess.Popen(
        [sys.executable, "-c", _PUT_UNTIL_KILLED, rig.key, *place], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"began\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert rig.keys() == []
    assert rig.unfinished_uploads() == [rig.key]
    assert rig.storage().clean_up("another/") == 0
    assert rig.storage().clean_up(rig.prefix) == 1
    assert rig.unfinished_uploads() == []
    rig.storage().put(rig.key, [b"again"])
    assert rig.content() == b"again"


# --- settings of new objects ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, PART * 2])
def test_the_storage_class_is_for_archives(rig: Rig, size: int) -> None:
    storage = rig.storage(STORAGE_CLASS="STANDARD_IA")
    names = ["a.zip", "a.zip.age", "a.manifest.json", "a.index.zst", "a.index.zst.age", "HOW-TO-RESTORE.txt"]
    for name in names:
        storage.put(rig.prefix + name, [bytes(size)])
    heads = {name: head(rig, rig.prefix + name) for name in names}
    assert [name for name in names if heads[name].get("StorageClass") == "STANDARD_IA"] == ["a.zip", "a.zip.age"]


@pytest.mark.parametrize("checksum", ["MD5", "CRC32"])
@pytest.mark.parametrize("size", [10, PART * 2])
def test_encryption_at_the_service(rig: Rig, size: int, checksum: str) -> None:
    storage = rig.storage(ENCRYPTION="aws:kms", KMS_KEY_ID="alias/backups", CHECKSUM=checksum)
    storage.put(rig.key, [bytes(size)])
    assert head(rig, rig.key)["ServerSideEncryption"] == "aws:kms"
    assert head(rig, rig.key)["SSEKMSKeyId"] == "alias/backups"


@pytest.mark.parametrize("checksum", ["MD5", "CRC32"])
@pytest.mark.parametrize("size", [10, PART * 3])
def test_object_lock(moto: S3Server, checksum: str, size: int) -> None:
    bucket = moto.new_bucket(ObjectLockEnabledForBucket=True)
    definition = moto.definition(bucket, OBJECT_LOCK_MODE="COMPLIANCE", OBJECT_LOCK_DAYS="3", CHECKSUM=checksum)
    storage = S3Storage(S3Client(definition), WORKPLACE, SMALL_PARTS)
    storage.put("key.zip", [bytes(size)])
    if size > PART:
        return  # moto forgets the retention of an upload in parts
    stored = moto.client().head_object(Bucket=bucket, Key="key.zip")
    assert stored["ObjectLockMode"] == "COMPLIANCE"
    expected = datetime.now(UTC) + timedelta(days=3)
    assert abs(stored["ObjectLockRetainUntilDate"] - expected) < timedelta(minutes=5)
    storage.delete("key.zip")  # hides it; the version stays
    assert list(storage.list("")) == []
    assert len(moto.client().list_object_versions(Bucket=bucket)["Versions"]) == 1


def head(rig: Rig, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = rig.server.client().head_object(Bucket=rig.bucket, Key=key)
    return answer


# --- secrets and manners ----------------------------------------------------------------------------------------


def test_no_secret_is_logged(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")  # which the OneDrive storage silences
    token = Secret("a-canary-of-a-session-token")
    definition = rig.server.definition(rig.bucket, ENDPOINT_URL=rig.proxy.url, SESSION_TOKEN=token)
    storage = S3Storage(S3Client(definition), WORKPLACE, SMALL_PARTS)
    rig.proxy.plan(Fault.FAILED, 3)
    storage.put(rig.key, [bytes(PART * 3)])
    assert caplog.text
    assert token.reveal() not in caplog.text
    assert rig.server.secret_access_key not in caplog.text


def test_connections_are_kept_and_bodies_are_not_announced(rig: Rig) -> None:
    """A new connection, or an "Expect: 100-continue", would cost a round trip for each part."""
    rig.storage().put(rig.key, pieces(bytes(PART * 20), 100_000))
    assert len({request.connection for request in rig.proxy.requests}) <= 1 + SMALL_PARTS.parallel
    assert len(rig.proxy.requests) == 24


def test_threads_end_with_the_upload(rig: Rig) -> None:
    rig.storage().put(rig.key, pieces(bytes(PART * 5), 100_000))
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("s3-part")] == []
