"""The database that is measured: a shop's, of rows, documents, texts and pictures, on a server of its own."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpora import regular_files
from tests.support.postgresql import postgresql_server

_NAME = "shop"
_TEXT_BYTES = 600_000_000
_LARGEST_TEXT = 60_000
_PICTURES, _PICTURE_BYTES = 3_000, 60_000

CONTENT = (
    "5 million orders (numbers, times, a few words), 2 million events (jsonb), 0.6 GB of the machine's own text "
    "files as articles, and 180 MB of random bytes as pictures (bytea)"
)

_TABLES = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer integer NOT NULL, placed timestamptz NOT NULL, state text NOT NULL,
    items smallint NOT NULL, total numeric(10,2) NOT NULL, tax numeric(10,2) NOT NULL, weight real, reference uuid);
CREATE TABLE events (id bigint PRIMARY KEY, at timestamptz NOT NULL, detail jsonb NOT NULL);
CREATE TABLE articles (id integer PRIMARY KEY, title text NOT NULL, body text NOT NULL);
CREATE TABLE pictures (id integer PRIMARY KEY, name text NOT NULL, data bytea NOT NULL);
ALTER TABLE pictures ALTER COLUMN data SET STORAGE EXTERNAL;
SELECT setseed(0.5);
INSERT INTO orders SELECT n, (random() ^ 2 * 200000)::integer, timestamptz '2020-01-01' + n * interval '41 s',
    (ARRAY['paid', 'sent', 'delivered', 'returned', 'cancelled'])[1 + floor(random() * 5)], 1 + floor(random() * 9),
    (random() * 300)::numeric(10,2), (random() * 60)::numeric(10,2), random() * 20, md5(n::text)::uuid
    FROM generate_series(1, 5000000) n;
INSERT INTO events SELECT n, timestamptz '2024-01-01' + n * interval '17 s', jsonb_build_object(
    'kind', (ARRAY['view', 'search', 'cart', 'login', 'payment'])[1 + floor(random() * 5)],
    'session', md5((n / 7)::text), 'address', '198.51.100.' || floor(random() * 255),
    'page', '/articles/' || floor(random() * 40000), 'milliseconds', floor(random() * 900),
    'agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:' || 90 + n % 40 || '.0) Gecko/20100101')
    FROM generate_series(1, 2000000) n;
"""


@dataclass(frozen=True, slots=True)
class ShopDatabase:
    """It on its server. ``size`` is what the server says, ``dump_size`` what pg_dump writes without packing; bytes."""

    folder: Path
    binaries: Path
    environment: dict[str, str]
    user: str
    version: str
    size: int
    dump_size: int
    name: str = _NAME


@contextmanager
def shop_database() -> Iterator[ShopDatabase]:
    """A server with the database, for as long as it is needed."""
    with postgresql_server() as server:
        server.sql(f"CREATE DATABASE {_NAME}")
        server.sql(_TABLES, _NAME)
        environment = {**server.environment, "PGDATABASE": _NAME}
        for table, rows in (("articles", _articles()), ("pictures", _pictures())):
            _copy(server.binaries / "psql", environment, table, rows)
        server.sql("VACUUM ANALYZE", _NAME)
        server.sql("CHECKPOINT", _NAME)
        yield ShopDatabase(
            server.socket_folder,
            server.binaries,
            server.environment,
            server.superuser,
            server.sql("SHOW server_version").split()[0],
            int(server.sql(f"SELECT pg_database_size('{_NAME}')")),
            _dump_size(server.binaries / "pg_dump", environment),
        )


def _articles() -> Iterator[bytes]:
    """Rows for COPY: the machine's text files, in pieces as articles have them, again where they are too few."""
    number = size = 0
    while size < _TEXT_BYTES:
        for path, length in regular_files(1 << 20, 500):
            data = path.read_bytes()[:_LARGEST_TEXT]
            if size >= _TEXT_BYTES:
                return
            if b"\0" in data or not _is_text(data):
                continue
            number, size = number + 1, size + min(length, _LARGEST_TEXT)
            yield b"%d\t%b\t%b\n" % (number, _escaped(path.name.encode("utf-8", "replace")), _escaped(data))


def _escaped(text: bytes) -> bytes:
    """As COPY reads it."""
    return text.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n").replace(b"\r", b"\\r")


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _pictures() -> Iterator[bytes]:
    chance = random.Random(4)
    for number in range(_PICTURES):
        yield b"%d\tpicture-%d.jpg\t\\\\x%b\n" % (number, number, chance.randbytes(_PICTURE_BYTES).hex().encode())


def _copy(psql: Path, environment: dict[str, str], table: str, rows: Iterator[bytes]) -> None:
    command: list[str | Path] = [psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", f"COPY {table} FROM STDIN"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **environment}) as process:
        if process.stdin is None:
            raise RuntimeError("psql has no input")
        for row in rows:
            process.stdin.write(row)
        process.stdin.close()
    if process.returncode != 0:
        raise RuntimeError(f"psql ended with exit code {process.returncode}")


def _dump_size(pg_dump: Path, environment: dict[str, str]) -> int:
    command: list[str | Path] = [pg_dump, "--format=custom", "--compress=0"]
    size = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **environment}) as process:
        if process.stdout is None:
            raise RuntimeError("pg_dump has no output")
        while chunk := process.stdout.read(1 << 20):
            size += len(chunk)
    return size
