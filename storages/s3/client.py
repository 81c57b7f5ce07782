"""boto3, and nothing else of Amazon's, behind a few calls that raise ``errors.StorageError``.

Its own repetitions are off, because ``storages.workplace`` decides what is tried again, and its own checksums are
taken only where a request must have one: the default ones of 2025 broke many compatible services
(https://github.com/boto/boto3/issues/4435), and ``storages.s3.checksums`` sends what each service understands.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from errors import ObjectNotFoundError, StorageError, StorageUnavailableError
from model import StorageDefinition
from storages.s3.errors import NotImplementedByServiceError, Place, Refusal, object_exists, storage_error
from storages.s3.options import S3Options, s3_options
from storages.settings import setting
from utils import redact, utc_now

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 60.0

# Parts of an upload, and a few requests beside them: each keeps its connection.
_LARGEST_POOL = 10

# A connection on which nothing moves must not be dropped silently by a firewall between two parts.
_CONFIG: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "tcp_keepalive": True,
    "max_pool_connections": _LARGEST_POOL,
    "retries": {"total_max_attempts": 1, "mode": "standard"},
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}

Answer = Mapping[str, Any]


class S3Client:
    """Requests to one bucket. It connects, and loads boto3, when it is first used. Threads may share it."""

    def __init__(self, definition: StorageDefinition, read_timeout: float = READ_TIMEOUT) -> None:
        """Raises StorageError where the settings cannot be used."""
        self.options: S3Options = s3_options(definition)
        self.place = Place(definition.name, self.options)
        self._definition = definition
        self._read_timeout = read_timeout
        self._lock = threading.Lock()
        self._client: Any = None
        self._knows_if_none_match = True
        if bool(setting(definition, "ACCESS_KEY_ID")) != bool(setting(definition, "SECRET_ACCESS_KEY")):
            raise StorageError(
                f"The storage {definition.name} has only one of ACCESS_KEY_ID and SECRET_ACCESS_KEY. Set both, or "
                "neither: then boto3 looks in PROFILE, ~/.aws and the role of the machine."
            )

    def call(self, operation: str, key: str | None = None, **parameters: Any) -> Answer:
        """What the service answers to one request, sent once. Raises StorageError."""
        if key is not None:
            parameters["Key"] = key
        try:
            method = getattr(self._boto3_client(), operation)
            answer: Answer = method(Bucket=self.options.bucket, **parameters)
        except Exception as error:
            raise self._translated(operation, key, error) from error
        return answer

    def publish(self, operation: str, key: str, **parameters: Any) -> Answer:
        """As :meth:`call`, only where the key is free; without that where the service does not know it (501)."""
        if self._knows_if_none_match:
            try:
                return self.call(operation, key, IfNoneMatch="*", **parameters)
            except NotImplementedByServiceError:
                if body := parameters.get("Body"):
                    body.seek(0)
                answer = self.call(operation, key, **parameters)
                self._knows_if_none_match = False
                return answer
        return self.call(operation, key, **parameters)

    def head(self, key: str) -> Answer:
        """HeadObject with the stored checksum. Raises ObjectNotFoundError."""
        try:
            return self.call("head_object", key, ChecksumMode="ENABLED")
        except (ObjectNotFoundError, StorageUnavailableError):
            raise
        except StorageError:
            # The answer to HEAD has no body, so it names no reason. The same mistake in another request does.
            self.call("list_objects_v2", Prefix=key, MaxKeys=1)
            raise

    def pages(self, operation: str, markers: Mapping[str, str], **parameters: Any) -> Iterator[Answer]:
        """All pages of a listing. ``markers`` names for each parameter of the next page where the answer has it."""
        while True:
            page = self.call(operation, **parameters)
            yield page
            if not page.get("IsTruncated"):
                return
            parameters |= {parameter: page[name] for parameter, name in markers.items() if page.get(name)}

    def blocks(self, key: str, body: Any, length: int) -> Iterator[bytes]:
        """The body of an answer in blocks of ``length`` bytes. Raises StorageUnavailableError where it ends early."""
        try:
            while block := body.read(length):
                yield block
        except GeneratorExit:
            raise
        except Exception as error:
            raise self._translated("get_object", key, error) from error
        finally:
            body.close()

    def exists(self, key: str) -> StorageError:
        """The error that says so."""
        return object_exists(self.place, key)

    def _boto3_client(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._make_boto3_client()
            return self._client

    def _make_boto3_client(self) -> Any:
        from boto3.session import Session
        from botocore.config import Config
        from botocore.handlers import add_expect_header

        # At DEBUG botocore writes the headers of each request, with the session token among them.
        logging.getLogger("botocore").setLevel(logging.INFO)
        session = Session(
            aws_access_key_id=setting(self._definition, "ACCESS_KEY_ID"),
            aws_secret_access_key=setting(self._definition, "SECRET_ACCESS_KEY"),
            aws_session_token=setting(self._definition, "SESSION_TOKEN"),
            region_name=self.options.region,
            profile_name=setting(self._definition, "PROFILE"),
        )
        addressing = setting(self._definition, "ADDRESSING") or "auto"
        if addressing == "auto" and self.options.endpoint_url:
            addressing = "path"
        s3_settings: Any = {"addressing_style": addressing}
        if not (self.options.endpoint_url or "").startswith("http:"):
            # Over HTTPS nobody can alter a body on its way, so its SHA-256 need not be part of the signature.
            s3_settings["payload_signing_enabled"] = False
        config = Config(**_CONFIG, read_timeout=self._read_timeout, s3=s3_settings)
        client = session.client(
            "s3",
            endpoint_url=self.options.endpoint_url,
            verify=self._certificates(),
            config=config,
        )
        # "Expect: 100-continue" costs each part a round trip more. A HEAD before any body has tried the credentials.
        client.meta.events.unregister("before-call.s3", add_expect_header)
        return client

    def _certificates(self) -> str | None:
        file = setting(self._definition, "CA_FILE")
        if file and not Path(file).is_file():
            raise StorageError(f"The storage {self.place.storage_name} has no file {file}. Check CA_FILE.")
        return file

    def _translated(self, operation: str, key: str | None, error: Exception) -> StorageError:
        from botocore.exceptions import ClientError

        if isinstance(error, StorageError):
            return error
        if isinstance(error, ClientError):
            return storage_error(self.place, _refusal(operation, key, error.response))
        from storages.s3.connection_errors import connection_error

        return connection_error(self.place, error)


def time_of(answer: Answer) -> datetime:
    """When the service gave this answer, by its own clock."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return utc_now()


def _refusal(operation: str, key: str | None, answer: Mapping[str, Any]) -> Refusal:
    error, metadata = answer.get("Error", {}), answer.get("ResponseMetadata", {})
    return Refusal(
        operation=operation,
        key=key,
        status=int(metadata.get("HTTPStatusCode", 0)),
        code=str(error.get("Code", "")),
        text=redact(str(error.get("Message", ""))),
        headers=metadata.get("HTTPHeaders", {}),
        region=error.get("Region"),
    )
