"""What a person is told of each usual mistake: what is wrong, where, and what to do."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from errors import IntegrityError, StorageError, StorageFullError, StorageUnavailableError
from model import Secret, StorageDefinition, StorageType
from storages.s3.errors import retry_after
from storages.s3.storage import S3Storage, s3_storage
from storages.workplace import Patience, Workplace
from tests.support.s3_fixtures import Rig, moto, rclone, rig, rigs
from tests.support.s3_servers import S3Server, free_port

__all__ = ["moto", "rclone", "rig", "rigs"]

IMPATIENT = Workplace(patience=Patience(attempts=1))


def opened(definition: StorageDefinition, **settings: str | Secret) -> S3Storage:
    return s3_storage(StorageDefinition("OFFSITE", StorageType.S3, {**definition.settings, **settings}), IMPATIENT)


def xml(code: str, message: str = "Said by the service.", more: str = "") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>".encode()


# code, status, what must be in the message
REFUSALS = [
    ("InvalidAccessKeyId", 403, "does not know this access key. Check ACCESS_KEY_ID"),
    ("SignatureDoesNotMatch", 403, "Check SECRET_ACCESS_KEY"),
    ("ExpiredToken", 400, "have expired. Get new ones"),
    ("InvalidToken", 400, "Check SESSION_TOKEN"),
    ("NoSuchBucket", 404, "no such bucket. Check BUCKET"),
    ("RequestTimeTooSkewed", 403, "clock of this machine"),
    ("InvalidStorageClass", 400, "STORAGE_CLASS"),
    ("KMS.NotFoundException", 400, "KMS_KEY_ID"),
    ("MethodNotAllowed", 405, "Check ENDPOINT_URL"),
    ("SomethingNew", 400, r"Said by the service. Check the settings of the storage. \(SomethingNew\)"),
]


@pytest.mark.parametrize(("code", "status", "words"), REFUSALS)
def test_refusals(rig: Rig, code: str, status: int, words: str) -> None:
    """The first request is a HEAD, whose answer names nothing; the reason is asked for in another way."""
    rig.proxy.plan_answer(status, xml(code), times=9)
    with pytest.raises(StorageError, match=words) as caught:
        rig.storage().put(rig.key, [b"x"])
    assert not isinstance(caught.value, StorageUnavailableError)
    assert "The storage OFFSITE could not" in str(caught.value)
    assert rig.bucket in str(caught.value)


# The request that is refused (from 1), and the permission that it needs. The third looks after the second.
PERMISSIONS = [
    (2, "s3:PutObject", lambda rig: rig.storage().put(rig.key, [b"x"])),
    (1, "s3:GetObject", lambda rig: list(rig.storage().get(rig.key))),
    (1, "s3:ListBucket", lambda rig: list(rig.storage().list(rig.prefix))),
    (1, "s3:ListBucketMultipartUploads", lambda rig: rig.storage().clean_up(rig.prefix)),
    (1, "s3:DeleteObject", lambda rig: rig.storage().delete(rig.key)),
    (2, "s3:PutObject and s3:PutObjectRetention", lambda rig: locking(rig).put(rig.key, [b"x"])),
    (2, r"s3:PutObject \(and kms:GenerateDataKey", lambda rig: rig.storage(ENCRYPTION="aws:kms").put(rig.key, [b"x"])),
]


def locking(rig: Rig) -> S3Storage:
    return rig.storage(OBJECT_LOCK_MODE="GOVERNANCE", OBJECT_LOCK_DAYS="3")


@pytest.mark.parametrize(("nth", "permission", "act"), PERMISSIONS)
def test_the_missing_permission_is_named(rig: Rig, nth: int, permission: str, act: object) -> None:
    rig.proxy.plan_answer(403, xml("AccessDenied", "Access Denied"), nth=nth)
    with pytest.raises(StorageError, match=f"needs the permission {permission}"):
        act(rig)  # type: ignore[operator]


def test_a_refused_head_whose_reason_nobody_tells(rig: Rig) -> None:
    rig.proxy.plan_answer(403)
    with pytest.raises(StorageError, match="needs the permission s3:GetObject and s3:ListBucket"):
        rig.storage().stat(rig.key)


@pytest.mark.parametrize(
    ("headers", "more"), [({"x-amz-bucket-region": "eu-west-3"}, ""), ({}, "<Region>eu-west-3</Region>")]
)
@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_the_right_region_is_named(rig: Rig, code: str, headers: dict[str, str], more: str) -> None:
    status = 301 if code == "PermanentRedirect" else 400
    rig.proxy.plan_answer(status, xml(code, more=more), headers, times=20)
    with pytest.raises(StorageError, match=r"in the region eu-west-3, and REGION is us-east-1. Set REGION"):
        list(rig.storage().list(""))


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (507, "XMinioStorageFull", "Storage backend has reached its minimum free drive threshold."),
        (403, "QuotaExceeded", "quota"),
        (403, "AccessDenied", "Cannot upload: storage cap exceeded"),
        (507, "", ""),
    ],
)
def test_a_full_storage(rig: Rig, status: int, code: str, message: str) -> None:
    rig.proxy.plan_answer(status, xml(code, message) if code else b"", nth=2)
    with pytest.raises(StorageFullError, match=r"no space or quota left. Make room"):
        rig.storage().put(rig.key, [b"x"])


@pytest.mark.parametrize("code", ["SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"])
def test_what_may_pass_says_so_and_how_long_to_wait(rig: Rig, code: str) -> None:
    rig.proxy.plan_answer(503 if code != "RequestTimeout" else 400, xml(code), {"Retry-After": "17"})
    with pytest.raises(StorageUnavailableError, match="Try again later") as caught:
        list(rig.storage().list(rig.prefix))
    assert caught.value.wait == 17


def test_a_wait_may_be_a_date() -> None:
    now = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
    assert retry_after(format_datetime(now + timedelta(seconds=90), usegmt=True), now) == 90
    assert retry_after(format_datetime(now - timedelta(seconds=90), usegmt=True), now) == 0
    assert retry_after("nonsense", now) is None
    assert retry_after(None, now) is None


def test_a_web_page_is_no_answer(rig: Rig) -> None:
    rig.proxy.plan_answer(200, b"<html><body>Welcome</body></html>")
    with pytest.raises(StorageError, match=r"a list that is not S3's. Check ENDPOINT_URL"):
        list(rig.storage().list(rig.prefix))
    rig.proxy.plan_answer(200, b"<ListBucketResult><Contents><Size>large</Size></Contents></ListBucketResult>")
    with pytest.raises(StorageError, match=r"invalid literal.*Check ENDPOINT_URL"):
        list(rig.storage().list(rig.prefix))


def test_an_object_that_must_be_thawed(rig: Rig) -> None:
    storage = rig.storage(STORAGE_CLASS="GLACIER")
    key = f"{rig.prefix}it's.zip"
    storage.put(key, [b"x"])
    with pytest.raises(StorageError, match="lies in GLACIER and must be restored before it can be read") as caught:
        list(storage.get(key))
    command = (
        f"aws s3api restore-object --bucket {rig.bucket} --key '{rig.prefix}it'\"'\"'s.zip' --restore-request Days=7"
    )
    assert command in str(caught.value)
    rig.proxy.plan_answer(
        200, headers={"x-amz-restore": 'ongoing-request="true"', "x-amz-storage-class": "GLACIER"}, nth=2
    )
    with pytest.raises(StorageError, match=r"is being restored from GLACIER.*try again later"):
        list(storage.get(key))
    rig.server.client().restore_object(Bucket=rig.bucket, Key=key, RestoreRequest={"Days": 7})
    assert b"".join(storage.get(key)) == b"x"


def test_rclone_refuses_a_wrong_key_and_a_wrong_secret(rclone: S3Server) -> None:
    definition = rclone.definition(rclone.new_bucket())
    with pytest.raises(StorageError, match="ACCESS_KEY_ID"):
        opened(definition, ACCESS_KEY_ID="ANOTHERKEY0000000001").put("key", [b"x"])
    wrong = Secret("a-canary-that-must-not-be-shown")
    with pytest.raises(StorageError, match="Check SECRET_ACCESS_KEY") as caught:
        opened(definition, SECRET_ACCESS_KEY=wrong).put("key", [b"x"])
    assert wrong.reveal() not in str(caught.value)


@pytest.mark.parametrize("server", ["rclone", "moto"])
def test_a_missing_bucket(server: str, request: pytest.FixtureRequest) -> None:
    definition = request.getfixturevalue(server).definition("no-such-bucket")
    with pytest.raises(StorageError, match=r"bucket no-such-bucket: there is no such bucket. Check BUCKET"):
        list(opened(definition).list(""))
    with pytest.raises(StorageError, match="there is no such bucket"):
        opened(definition).put("key", [b"x"])


def test_nobody_listens(moto: S3Server) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(StorageUnavailableError, match=f"nothing takes connections at {url}. Check ENDPOINT_URL"):
        opened(moto.definition("bucket"), ENDPOINT_URL=url).stat("key")


def test_an_unknown_name(moto: S3Server) -> None:
    with pytest.raises(
        StorageUnavailableError, match=r"(name of http://no-such-host.invalid is not known|no connection)"
    ):
        opened(moto.definition("bucket"), ENDPOINT_URL="http://no-such-host.invalid").stat("key")


@pytest.fixture
def https_url(tmp_path: Path) -> Iterator[str]:
    """A server whose certificate it signed itself. It ends every connection after the handshake."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_certificate_that_nobody_knows(moto: S3Server, https_url: str, tmp_path: Path) -> None:
    definition = moto.definition("bucket")
    with pytest.raises(StorageError, match=r"cannot be trusted.*CA_FILE") as caught:
        opened(definition, ENDPOINT_URL=https_url).stat("key")
    assert not isinstance(caught.value, StorageUnavailableError)
    with pytest.raises(StorageUnavailableError, match=r"connection to .* broke"):  # trusted; then the server hangs up
        opened(definition, ENDPOINT_URL=https_url, CA_FILE=str(tmp_path / "certificate.pem")).stat("key")
    with pytest.raises(StorageError, match=r"has no file .*absent.pem. Check CA_FILE"):
        opened(definition, ENDPOINT_URL=https_url, CA_FILE=str(tmp_path / "absent.pem")).stat("key")


def without(definition: StorageDefinition, *names: str) -> StorageDefinition:
    kept = {name: value for name, value in definition.settings.items() if name not in names}
    return StorageDefinition(definition.name, definition.type, kept)


def test_no_credentials(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    definition = without(moto.definition("bucket"), "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    with pytest.raises(StorageError, match=r"no credentials were found. Set ACCESS_KEY_ID and SECRET_ACCESS_KEY"):
        opened(definition).stat("key")
    with pytest.raises(StorageError, match="Check PROFILE"):
        opened(definition, PROFILE="absent").stat("key")


def test_a_profile(rclone: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        f"[backups]\naws_access_key_id={rclone.access_key_id}\naws_secret_access_key={rclone.secret_access_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    definition = without(rclone.definition(rclone.new_bucket()), "ACCESS_KEY_ID", "SECRET_ACCESS_KEY")
    assert opened(definition, PROFILE="backups").put("key", [b"x"]).size == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"SECRET_ACCESS_KEY": ""}, "only one of ACCESS_KEY_ID and SECRET_ACCESS_KEY"),
        ({"KMS_KEY_ID": "alias/x"}, "KMS_KEY_ID without ENCRYPTION: aws:kms"),
        ({"OBJECT_LOCK_MODE": "COMPLIANCE"}, "OBJECT_LOCK_MODE without OBJECT_LOCK_DAYS"),
        ({"OBJECT_LOCK_DAYS": "3"}, "OBJECT_LOCK_DAYS without OBJECT_LOCK_MODE"),
    ],
)
def test_settings_that_do_not_agree(moto: S3Server, settings: dict[str, str], words: str) -> None:
    with pytest.raises(StorageError, match=f"OFFSITE has {words}"):
        opened(moto.definition("bucket"), **settings)


def test_a_missing_bucket_setting() -> None:
    with pytest.raises(StorageError, match="OFFSITE has no BUCKET"):
        s3_storage(StorageDefinition("OFFSITE", StorageType.S3), IMPATIENT)


def test_crc32_where_the_service_does_not_tell_it(rclone: S3Server) -> None:
    storage = opened(rclone.definition(rclone.new_bucket()), CHECKSUM="CRC32")
    with pytest.raises(StorageError, match=r"does not tell the CRC-32 of what it stored. Set CHECKSUM: MD5"):
        storage.put("key", [bytes(5 << 20), bytes(5 << 20)])
    assert list(storage.list("")) == []


def test_what_a_service_says_of_a_lock(rig: Rig) -> None:
    rig.proxy.plan_answer(400, xml("InvalidRequest", "Object is WORM protected and cannot be overwritten"))
    with pytest.raises(StorageError, match=r"locked until its retention ends.*OBJECT_LOCK_DAYS"):
        rig.storage().delete(rig.key)
    with pytest.raises(StorageError, match="Check OBJECT_LOCK_MODE") as caught:  # moto: the bucket has no Object Lock
        locking(rig).put(rig.key, [b"x"])
    assert not isinstance(caught.value, IntegrityError)
