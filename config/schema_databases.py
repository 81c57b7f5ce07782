"""The databases of the schema: what each ``TYPE`` of ``DB_INFO`` can be told. A new one is one more section here."""

from __future__ import annotations

from config import scalars
from config.schema_hosts import DOCKER
from config.schema_variants import variants
from config.shapes import Key, ListOf, MapOf, Section

_DOCKER = Key(
    "DOCKER",
    MapOf(DOCKER),
    "The container of the database; the same as `DOCKER` beside `DB_INFO`.",
    "{CONTAINER_NAME: shop-db}",
    default="no container",
)


def _server_keys(program: str, port: int, socket: str) -> tuple[Key, ...]:
    """What every database that is a server can be told."""
    return (
        Key(
            "NAME",
            ListOf(scalars.TEXT),
            'The database, or several, or `"*"` for all of them.',
            "shop",
            required=True,
        ),
        Key("USERNAME", scalars.TEXT, "The database user.", "shop", default=f"what {program} itself chooses"),
        Key(
            "PASSWORD",
            scalars.SECRET,
            "The password of this user.",
            '"${SHOP_DB_PASSWORD}"',
            default=f"what {program} itself finds",
        ),
        Key(
            "HOST",
            scalars.DATABASE_HOST,
            f"Where the database listens, seen from where the backup is read: an address, or the path of {socket}.",
            "localhost",
            default="the local socket",
        ),
        Key("PORT", scalars.whole_number(1, 65535), "Its port.", str(port), default=str(port)),
    )


POSTGRES = Section(
    "postgres",
    "PostgreSQL databases of one server, with its roles and tablespaces. Each is dumped by `pg_dump` in its custom "
    "format, which `pg_restore` reads.",
    (
        *_server_keys("PostgreSQL", 5432, "the folder of its socket"),
        Key(
            "SSLMODE",
            scalars.one_of("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
            "How the connection is protected, in PostgreSQL's words.",
            "verify-full",
            default="`prefer`",
        ),
        Key("SSLROOTCERT", scalars.PATH, "The certificates that are trusted.", "/etc/ssl/shop/ca.crt", default="none"),
        Key("SSLCERT", scalars.PATH, "The certificate of this user.", "/etc/ssl/shop/user.crt", default="none"),
        Key("SSLKEY", scalars.PATH, "The key of this certificate.", "/etc/ssl/shop/user.key", default="none"),
        Key(
            "SERVICE",
            scalars.THING,
            "A section of PostgreSQL's service file, in place of `HOST`, `PORT` and `USERNAME`.",
            "shop",
            default="none",
        ),
        _DOCKER,
    ),
)

_MARIADB_KEYS = (
    *_server_keys("the client", 3306, "its socket"),
    Key("SSL_CA", scalars.PATH, "The certificates that are trusted.", "/etc/ssl/shop/ca.crt", default="none"),
    Key("SSL_CERT", scalars.PATH, "The certificate of this user.", "/etc/ssl/shop/user.crt", default="none"),
    Key("SSL_KEY", scalars.PATH, "The key of this certificate.", "/etc/ssl/shop/user.key", default="none"),
    _DOCKER,
)

MARIADB = Section(
    "mariadb",
    "MariaDB databases of one server, with its users and grants: one consistent state of each database, with routines, "
    "triggers and events, as `mariadb-dump` writes it.",
    _MARIADB_KEYS,
)

MYSQL = Section(
    "mysql",
    "MySQL databases of one server; the same as `mariadb`, by MySQL's own client where it is there.",
    _MARIADB_KEYS,
)

SQLITE = Section(
    "sqlite",
    "SQLite databases: consistent copies, made while programs write to them, and checked. Not on this machine it takes "
    "the program `sqlite3` there.",
    (
        Key(
            "FILE_PATH",
            ListOf(scalars.PATH),
            "The file of the database, or several.",
            "/srv/shop/shop.db",
            required=True,
        ),
        _DOCKER,
    ),
)

DATABASE = variants(
    "DB_INFO",
    "The database and how to reach it.",
    {"postgres": POSTGRES, "mariadb": MARIADB, "mysql": MYSQL, "sqlite": SQLITE},
    default="postgres",
    otherwise="; for another database there is COMMAND_BACKUP",
)
