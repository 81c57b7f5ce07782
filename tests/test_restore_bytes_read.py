"""One file out of an archive on a server costs that file, the index and little else: counted on the wire."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.age_keys import make_key_pair
from tests.support.counting_proxy import CountingProxy, counting_proxy
from tests.support.holdfast import BACKUP_ID, Holdfast
from tests.support.s3_fixtures import rclone
from tests.support.s3_servers import S3Server
from tests.support.whole_trees import restored

__all__ = ["rclone"]

FILES = 40
SIZE = 512 << 10
LARGE = 12 << 20

# Answers without content and the headers of all: listings, the size, what age has before its payload; and what the
# kernel has sent already when a connection is closed.
REST = 64 << 10
# age's chunks of 64 KiB are read whole: one more at each end.
OF_AGE = 2 * (64 << 10) + (8 << 10)


@pytest.fixture
def proxy(rclone: S3Server) -> Iterator[CountingProxy]:
    with counting_proxy(("127.0.0.1", int(rclone.endpoint_url.rpartition(":")[2]))) as proxy:
        yield proxy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    content = random.Random(7)
    for number in range(FILES):
        (folder / f"file {number}").write_bytes(content.randbytes(SIZE))
    (folder / "large").write_bytes(content.randbytes(LARGE))
    return folder


@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
def test_what_is_read_for_one_file(
    is_encrypted: bool, rclone: S3Server, proxy: CountingProxy, source: Path, tmp_path: Path
) -> None:
    bucket = rclone.new_bucket()
    installation = Holdfast(tmp_path / "installation")
    keys: dict[str, object] = {}
    options: list[str] = []
    if is_encrypted:
        pair = make_key_pair("age", tmp_path)
        keys["ENCRYPT_TO"] = [pair.public]
        options = ["--identity", str(pair.file)]
    storage = {
        "NAME": "OFFSITE",
        "TYPE": "S3",
        "BUCKET": bucket,
        "ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
        "REGION": "us-east-1",
        "ACCESS_KEY_ID": rclone.access_key_id,
        "SECRET_ACCESS_KEY": rclone.secret_access_key,
    }
    backup = {**keys, "NAME": "files", "INTERVALS": "@daily", "FILE_PATH": str(source)}
    backup["UPLOAD_TO"] = [{"STORAGE_NAME": "OFFSITE"}]
    project = {"NAME": "shop", "BACKUPS": [{"FILE_BACKUP": [backup]}]}
    installation.write({"STORAGES": [storage], "PROJECTS": [project]})
    installation.back_up()
    objects = {key: len(rclone.content(bucket, key)) for key in rclone.keys(bucket)}
    aside = sum(size for key, size in objects.items() if ".zip" not in key)

    def read_for(name: str, *arguments: str) -> int:
        proxy.reset()
        to = tmp_path / f"to {name.replace('*', '')}"
        finished = installation.restore(to, str(source / name), *options, *arguments)
        assert finished.returncode == 0, finished.stderr
        (path,) = [path for path in restored(to, source).iterdir() if path.is_file()]
        assert path.read_bytes() == (source / path.name).read_bytes()
        return proxy.received

    more = OF_AGE if is_encrypted else 0
    assert SIZE < read_for("file 20") < SIZE + aside + more + REST
    assert SIZE < read_for("f*e 3[3]") < SIZE + aside + more + REST
    # Of a large file all of its own blocks are read, and nothing of its neighbours.
    assert LARGE < read_for("large") < LARGE * 1.02 + aside + more + REST
    proxy.reset()
    shown = installation.run("restore.py", "show", BACKUP_ID, os.fspath(source / "large"), *options)
    assert shown.returncode == 0, shown.stderr
    assert proxy.received < aside + REST
