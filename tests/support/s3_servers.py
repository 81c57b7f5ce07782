"""Two S3 servers that were not written by one another's authors, as processes of this test session.

``rclone serve s3`` keeps objects in a folder, checks signatures and Content-MD5, and knows neither ``If-None-Match``
nor Amazon's checksums. ``moto_server`` imitates Amazon in memory, and checks neither signatures nor Content-MD5.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from model import Secret, StorageDefinition, StorageType

_PROGRAMS = Path(sys.executable).parent
_START_SECONDS = 30.0

MOTO_KEYS_OF_A_PAGE = 100


@dataclass(frozen=True)
class S3Server:
    """A server at ``endpoint_url`` that knows this one pair of keys."""

    name: str
    endpoint_url: str
    access_key_id: str = "HOLDFASTTESTKEY00001"
    secret_access_key: str = "a-secret-of-the-tests-that-nobody-may-see"

    @cache  # noqa: B019 - a server lives as long as the tests do
    def client(self) -> Any:
        """A plain boto3 client, for what a test does or looks at beside the storage."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
        )

    def new_bucket(self, **parameters: Any) -> str:
        """A new, empty bucket; its name."""
        bucket = f"bucket-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=bucket, **parameters)
        return bucket

    def definition(self, bucket: str, **settings: str | Secret) -> StorageDefinition:
        """The storage of a bucket here, as config.yaml would define it."""
        usual: dict[str, str | Secret] = {
            "BUCKET": bucket,
            "ENDPOINT_URL": self.endpoint_url,
            "REGION": "us-east-1",
            "ACCESS_KEY_ID": self.access_key_id,
            "SECRET_ACCESS_KEY": Secret(self.secret_access_key),
        }
        return StorageDefinition("OFFSITE", StorageType.S3, {**usual, **settings})

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The objects below a prefix."""
        answer = self.client().list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]

    def content(self, bucket: str, key: str) -> bytes:
        """All of an object."""
        return bytes(self.client().get_object(Bucket=bucket, Key=key)["Body"].read())

    def unfinished_uploads(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of the multipart uploads under way."""
        client = self.client()
        try:
            answer = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)
        except client.exceptions.NoSuchUpload:  # rclone's way to say that there is none in this bucket
            return []
        return [upload["Key"] for upload in answer.get("Uploads", [])]


def free_port() -> int:
    """A TCP port of the loopback interface that was free just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def rclone_server(root: Path | None = None) -> Iterator[S3Server]:
    """``rclone serve s3`` over a folder, each of whose folders is a bucket; without ``root`` over a temporary one."""
    server = S3Server("rclone", f"http://127.0.0.1:{free_port()}")
    if root is not None:
        root.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="holdfast-rclone-") as temporary:
        folder = str(root or temporary)
        command = [
            str(_PROGRAMS / "rclone"), "serve", "s3", folder,
            "--addr", server.endpoint_url.removeprefix("http://"),
            "--auth-key", f"{server.access_key_id},{server.secret_access_key}",
            "--config", os.devnull,
        ]  # fmt: skip
        with _running(command, server):
            yield server


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """``moto_server``, which here takes parts of any size and lists a hundred keys on a page: Amazon's least of 5 MiB
    and most of 1,000 keys would make tests slow."""
    server = S3Server("moto", f"http://127.0.0.1:{free_port()}")
    port = server.endpoint_url.rpartition(":")[2]
    command = [str(_PROGRAMS / "moto_server"), "-H", "127.0.0.1", "-p", port]
    with _running(command, server, S3_UPLOAD_PART_MIN_SIZE="1", MOTO_S3_DEFAULT_MAX_KEYS=str(MOTO_KEYS_OF_A_PAGE)):
        yield server


@contextmanager
def _running(command: list[str], server: S3Server, **environment: str) -> Iterator[None]:
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env={**os.environ, **environment}
        )
        try:
            if not _answers(server.endpoint_url, process):
                output.seek(0)
                raise RuntimeError(f"{command[0]} did not start: {output.read().decode(errors='replace')}")
            yield
        finally:
            process.kill()
            process.wait()


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False
