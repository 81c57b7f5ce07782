"""Every request of a put meets every fault: what is called good is good, and what failed left nothing."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from errors import IntegrityError, ObjectExistsError, StorageError, StorageUnavailableError
from storages.retrying import RetryingStorage
from storages.s3.storage import S3Storage
from tests.support.fault_proxy import Fault
from tests.support.s3_fixtures import SMALL_PARTS, WORKPLACE, Rig, moto, rclone, rig, rigs
from tests.support.storage_contract import pieces

__all__ = ["moto", "rclone", "rig", "rigs"]

PART = SMALL_PARTS.first
CONTENTS = {"small": random.Random(1).randbytes(PART // 2), "multipart": random.Random(2).randbytes(PART * 5 // 2)}
# Look, store, look. And: look, begin, three parts, look, complete.
REQUESTS = {"small": 3, "multipart": 7}
WITH_A_BODY = {"small": (2,), "multipart": (3, 4, 5, 7)}
EVERY_REQUEST = [(kind, nth) for kind, count in REQUESTS.items() for nth in range(1, count + 1)]
EVERY_BODY = [(kind, nth) for kind, bodies in WITH_A_BODY.items() for nth in bodies]

MAY_PASS = [
    Fault.THROTTLED,
    Fault.FAILED,
    Fault.UNAVAILABLE,
    Fault.RESET,
    Fault.LOST_ANSWER,
    Fault.STALLED,
]

both_servers = pytest.mark.parametrize("rig", ["rclone", "moto"], indirect=True)
every_request = pytest.mark.parametrize(("kind", "nth"), EVERY_REQUEST, ids=str)


def put_and_judge(rig: Rig, content: bytes, storage: S3Storage | None = None) -> StorageError | None:
    """Put, and check what must hold however that ended; the error of it."""
    failure = None
    try:
        stored = (storage or rig.storage()).put(rig.key, pieces(content, 10_000))
        assert stored.size == len(content)
    except StorageError as error:
        failure = error
    if failure is None:
        assert rig.content() == content
    else:
        assert rig.keys() == []
    assert rig.unfinished_uploads() == []
    return failure


@both_servers
@pytest.mark.parametrize("kind", CONTENTS)
def test_without_faults_there_are_so_many_requests(rig: Rig, kind: str) -> None:
    assert put_and_judge(rig, CONTENTS[kind]) is None
    bodies = [nth for nth, request in enumerate(rig.proxy.requests, start=1) if request.body_length]
    assert len(rig.proxy.requests) == REQUESTS[kind]
    assert tuple(bodies) == WITH_A_BODY[kind]


@both_servers
@every_request
@pytest.mark.parametrize("fault", MAY_PASS)
def test_what_may_pass_is_tried_again(rig: Rig, kind: str, nth: int, fault: Fault) -> None:
    rig.proxy.plan(fault, nth)
    assert put_and_judge(rig, CONTENTS[kind]) is None


@both_servers
@every_request
@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.FORBIDDEN])
def test_what_is_refused_fails_at_once(rig: Rig, kind: str, nth: int, fault: Fault) -> None:
    rig.proxy.plan(fault, nth)
    failure = put_and_judge(rig, CONTENTS[kind])
    assert failure is not None
    assert not isinstance(failure, StorageUnavailableError)
    assert "access is denied" in str(failure)


@pytest.mark.parametrize(("kind", "nth"), EVERY_BODY, ids=str)
def test_altered_bytes_are_found_and_sent_again(rig: Rig, kind: str, nth: int) -> None:
    """Moto stores what arrives, whatever the request says of it."""
    rig.proxy.plan(Fault.ALTERED, nth)
    failure = put_and_judge(rig, CONTENTS[kind])
    assert failure is None or (kind, nth) == ("multipart", 7)  # the list of parts, which the service cannot read


@pytest.mark.parametrize("rig", ["rclone"], indirect=True)
@pytest.mark.parametrize(("kind", "nth"), EVERY_BODY, ids=str)
def test_altered_bytes_are_found_where_the_server_looks_too(rig: Rig, kind: str, nth: int) -> None:
    """Where the part was the next of its file, rclone has written it when it finds the mistake, and ends the upload."""
    rig.proxy.plan(Fault.ALTERED, nth)
    failure = put_and_judge(rig, CONTENTS[kind])
    assert failure is None or (kind == "multipart" and (isinstance(failure, IntegrityError) or nth == 7))


@pytest.mark.parametrize("nth", [3, 4, 5])
def test_altered_bytes_are_found_by_crc32(rig: Rig, nth: int) -> None:
    """Moto gives back the CRC-32 of each part as it came, and computes that of the whole."""
    rig.proxy.plan(Fault.ALTERED, nth)
    failure = put_and_judge(rig, CONTENTS["multipart"], rig.storage(CHECKSUM="CRC32"))
    assert isinstance(failure, IntegrityError)


@pytest.mark.parametrize("kind", CONTENTS)
def test_bytes_that_are_always_altered_end_in_an_error(rig: Rig, kind: str) -> None:
    rig.proxy.plan(Fault.ALTERED, times=100)
    failure = put_and_judge(rig, CONTENTS[kind])
    assert isinstance(failure, IntegrityError)
    assert f"{rig.key} in the bucket {rig.bucket} of the storage OFFSITE is not what was sent" in str(failure)


@both_servers
@every_request
def test_what_lasts_ends_in_an_error_and_is_cleaned_up_later(rig: Rig, kind: str, nth: int) -> None:
    rig.proxy.plan(Fault.UNAVAILABLE, nth, times=100)
    with pytest.raises(StorageUnavailableError, match="Service Unavailable"):
        rig.storage().put(rig.key, [CONTENTS[kind]])
    rig.proxy.settle()
    rig.storage().clean_up(rig.prefix)
    assert rig.unfinished_uploads() == []
    assert nth == REQUESTS["small"] or rig.keys() == []  # its last look at what it had stored was not answered


@both_servers
def test_two_lost_answers_in_a_row(rig: Rig) -> None:
    rig.proxy.plan(Fault.LOST_ANSWER, 2)
    rig.proxy.plan(Fault.LOST_ANSWER, 3)
    assert put_and_judge(rig, CONTENTS["small"]) is None
    assert [request.method for request in rig.proxy.requests] == ["HEAD", "PUT", "HEAD", "HEAD", "HEAD"]


def test_an_object_of_somebody_else_is_not_taken_for_ours(rig: Rig) -> None:
    """It appears while our own request is lost before it arrives."""
    client = rig.server.client()
    rig.proxy.plan_answer(500, nth=2, also=lambda: client.put_object(Bucket=rig.bucket, Key=rig.key, Body=b"theirs"))
    with pytest.raises(ObjectExistsError, match="never overwritten"):
        rig.storage().put(rig.key, [b"ours"])
    assert rig.content() == b"theirs"


@both_servers
@pytest.mark.parametrize("fault", [*MAY_PASS, Fault.TRUNCATED_ANSWER])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_download_goes_on_where_it_broke(rig: Rig, fault: Fault, nth: int) -> None:
    content = CONTENTS["multipart"]
    rig.server.client().put_object(Bucket=rig.bucket, Key=rig.key, Body=content)
    rig.proxy.plan(Fault.TRUNCATED_ANSWER, 1)
    if nth == 2:
        rig.proxy.plan(fault, 2)
    storage = RetryingStorage(rig.storage(), WORKPLACE)
    assert b"".join(storage.get(rig.key, 5)) == content[5:]
    assert len(rig.proxy.requests) == nth + 1


@both_servers
def test_an_unwrapped_download_that_ends_early_says_so(rig: Rig) -> None:
    rig.server.client().put_object(Bucket=rig.bucket, Key=rig.key, Body=CONTENTS["small"])
    rig.proxy.plan(Fault.TRUNCATED_ANSWER)
    with pytest.raises(StorageUnavailableError, match="broke"):
        list(rig.storage().get(rig.key))


@both_servers
@pytest.mark.parametrize("fault", MAY_PASS)
def test_reading_and_deleting_are_tried_again(rig: Rig, fault: Fault) -> None:
    rig.server.client().put_object(Bucket=rig.bucket, Key=rig.key, Body=b"content")
    storage = RetryingStorage(rig.storage(), WORKPLACE)
    acts: list[Callable[[], bool]] = [
        lambda: storage.stat(rig.key).key == rig.key,
        lambda: [stored.key for stored in storage.list(rig.prefix)] == [rig.key],
        lambda: storage.clean_up(rig.prefix) == 0,
    ]
    for act in acts:
        rig.proxy.plan(fault)
        assert act()
    rig.proxy.plan(fault)
    storage.delete(rig.key)
    assert rig.keys() == []
