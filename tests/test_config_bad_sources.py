"""Databases, commands and programs around a backup that cannot be: each with the place and words of its problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configurations import command_backup, db_backup, errors_of, file_backup

POSTGRES_KEYS = (
    "It knows TYPE, NAME, USERNAME, PASSWORD, HOST, PORT, SSLMODE, SSLROOTCERT, SSLCERT, SSLKEY, SERVICE, DOCKER."
)
MYSQL_KEYS = "It knows TYPE, NAME, USERNAME, PASSWORD, HOST, PORT, SSL_CA, SSL_CERT, SSL_KEY, DOCKER."
NO_PROGRAM = (
    "begins with the program, and here blanks stand in it. Write the program and each argument by itself, as in "
    "[systemctl, stop, shop]; a line for a shell is [sh, -c, line]."
)
NO_VARIABLE_NAME = (
    "A name in ENVIRONMENT must consist of the letters A to Z and a to z, digits and `_`, and not begin with a digit."
)
NO_DURATION = "TIMEOUT must be a number and a unit such as 90s, 30m, 2h or 1d."
NUL = "must not hold the character U+0000: no program can take it over."

BAD: list[tuple[str, str, list[str]]] = [
    # --- databases
    *[
        (
            f"the database {kind}",
            db_backup(DB_INFO=f"{{NAME: shop, TYPE: {kind}}}"),
            ["6:41: TYPE must be postgres, mariadb, mysql or sqlite; for another database there is COMMAND_BACKUP."],
        )
        for kind in ("postgresql", "mongodb")
    ],
    ("a type that is a list", db_backup(DB_INFO="{TYPE: [mysql]}"), ["6:29: TYPE must be one value, not a list."]),
    (
        "all databases and one",
        db_backup(DB_INFO='{NAME: ["*", shop]}'),
        ['6:29: NAME has "*", which is all databases, and others beside it. Remove "*" or the others.'],
    ),
    ("a database twice", db_backup(DB_INFO="{NAME: [a, b, a]}"), ["6:36: NAME holds this database twice. Remove one."]),
    (
        "all databases twice",
        db_backup(DB_INFO='{NAME: ["*", "*"]}'),
        ["6:35: NAME holds this database twice. Remove one."],
    ),
    (
        "all databases without quotes",
        db_backup(DB_INFO="{NAME: *}"),
        [
            "6:29: A value cannot begin with `*` in YAML. Put quotes around the whole value, for example "
            '"*" or "*/5 * * * *".'
        ],
    ),
    ("no database", db_backup(DB_INFO="{NAME: []}"), ["6:29: NAME is an empty list. Write it like this: NAME: shop"]),
    ("an empty name of a database", db_backup(DB_INFO='{NAME: ""}'), ["6:29: NAME must not be empty."]),
    (
        "a database in a list in a list",
        db_backup(DB_INFO="{NAME: [[a]]}"),
        ["6:30: Each entry of NAME must be one value, not a list."],
    ),
    (
        "a service and where it leads",
        db_backup(DB_INFO="{NAME: a, SERVICE: b, HOST: c, PORT: 5432, USERNAME: d}"),
        [
            "6:50: SERVICE takes the place of HOST. Keep one of the two.",
            "6:59: SERVICE takes the place of PORT. Keep one of the two.",
            "6:75: SERVICE takes the place of USERNAME. Keep one of the two.",
        ],
    ),
    (
        "a protection of the connection that is not there",
        db_backup(DB_INFO="{NAME: a, SSLMODE: yes}"),
        ["6:41: SSLMODE must be disable, allow, prefer, require, verify-ca or verify-full."],
    ),
    *[
        (
            f"a database that listens at {host}",
            db_backup(DB_INFO=f"{{NAME: a, HOST: {host}}}"),
            ["6:38: HOST must be a host name, an IP address, or a path from `/` on."],
        )
        for host in ("run/mysqld.sock", "~/mysqld.sock", "./socket")
    ],
    (
        "a database at an address with its port",
        db_backup(DB_INFO='{NAME: a, HOST: "localhost:5432"}'),
        ["6:38: HOST must be a host name or an IP address; a port goes into PORT."],
    ),
    (
        "a socket behind ..",
        db_backup(DB_INFO="{NAME: a, HOST: /run/../x}"),
        ["6:38: HOST must not hold `..`. Write the path that is meant."],
    ),
    (
        "a file of SQLite without its type",
        db_backup(DB_INFO="{FILE_PATH: /a}"),
        [f"6:23: DB_INFO (postgres) does not know FILE_PATH: it goes with TYPE sqlite. {POSTGRES_KEYS}"],
    ),
    (
        "a file of SQLite with the wrong type",
        db_backup(DB_INFO="{TYPE: postgres, FILE_PATH: /a}"),
        [
            "6:22: NAME is missing. Write it like this: NAME: shop",
            f"6:39: DB_INFO (postgres) does not know FILE_PATH: it goes with TYPE sqlite. {POSTGRES_KEYS}",
        ],
    ),
    (
        "a name for SQLite",
        db_backup(DB_INFO="{TYPE: sqlite, NAME: /a}"),
        [
            "6:22: FILE_PATH is missing. Write it like this: FILE_PATH: /srv/shop/shop.db",
            "6:37: DB_INFO (sqlite) does not know NAME: it goes with TYPE postgres, mariadb or mysql. It knows TYPE, "
            "FILE_PATH, DOCKER.",
        ],
    ),
    (
        "a setting of MariaDB for PostgreSQL",
        db_backup(DB_INFO="{NAME: a, SSL_CA: /a}"),
        [f"6:32: DB_INFO (postgres) does not know SSL_CA: it goes with TYPE mariadb or mysql. {POSTGRES_KEYS}"],
    ),
    (
        "a setting of MariaDB that PostgreSQL spells otherwise",
        db_backup(DB_INFO="{NAME: a, SSL_KEY: /a}"),
        ["6:32: DB_INFO (postgres) does not know SSL_KEY: did you mean SSLKEY?"],
    ),
    (
        "a setting of PostgreSQL for MySQL",
        db_backup(DB_INFO="{TYPE: mysql, NAME: a, SSLMODE: require}"),
        [f"6:45: DB_INFO (mysql) does not know SSLMODE: it goes with TYPE postgres. {MYSQL_KEYS}"],
    ),
    (
        "a relative path of SQLite",
        db_backup(DB_INFO="{TYPE: sqlite, FILE_PATH: shop.db}"),
        [
            "6:48: FILE_PATH must be an absolute path. Write it from `/` on, from `~/` on (the home folder), or from "
            "${CONFIG_DIR}/ on (the folder of this file)."
        ],
    ),
    # --- commands
    (
        "no command",
        command_backup(COMMAND=""),
        ["6:13: COMMAND is missing. Write it like this: COMMAND: [slapcat, -n, '1']"],
    ),
    (
        "an empty command",
        command_backup(COMMAND="[]"),
        ["6:22: COMMAND is an empty list. Write it like this: COMMAND: [slapcat, -n, '1']"],
    ),
    ("a command as a line", command_backup(COMMAND="slapcat -n 1"), [f"6:22: COMMAND {NO_PROGRAM}"]),
    (
        "no name for the output",
        command_backup(FILENAME=""),
        ["7:13: FILENAME is missing. Write it like this: FILENAME: directory.ldif"],
    ),
    ("a path for the output", command_backup(FILENAME="a/b"), ["7:23: FILENAME must be a file name without `/`."]),
    *[
        (
            f"the folder {name} for the output",
            command_backup(FILENAME=name),
            ["7:23: FILENAME must be a file name: `.` and `..` are folders."],
        )
        for name in (".", "..")
    ],
    (
        "too long a name for the output",
        command_backup(FILENAME="é" * 128),
        ["7:23: FILENAME must not be longer than 255 bytes, the most that a file name has."],
    ),
    (
        "a NUL in the name of the output",
        command_backup(FILENAME='"a\\0"'),
        ["7:23: FILENAME must not hold the control character U+0000."],
    ),
    (
        "variables with names that cannot be",
        command_backup(ENVIRONMENT='{a-b: c, 1a: c, "": c, É: c, "A\\n": c, OK: c}'),
        [f"9:{column}: {NO_VARIABLE_NAME}" for column in (27, 35, 42, 49, 55)],
    ),
    (
        "variables as a list",
        command_backup(ENVIRONMENT="[A=b]"),
        ["9:26: ENVIRONMENT must be one map, not a list. Write its keys without dashes."],
    ),
    (
        "variables as a text",
        command_backup(ENVIRONMENT="A=b"),
        ["9:26: ENVIRONMENT must be a map: `KEY: value` lines."],
    ),
    (
        "variables whose values cannot be",
        command_backup(ENVIRONMENT='{A: {b: c}, B: [c], C: "c\\0", D: "${MISSING}"}'),
        [
            "9:30: A must be one value, not a map.",
            "9:41: B must be one value, not a list.",
            f"9:49: C {NUL}",
            "9:59: The variable MISSING is not set. Set it in the environment or in .env, or write a default: "
            "${MISSING:-default}.",
        ],
    ),
    (
        "variables of a backup of files",
        file_backup(ENVIRONMENT="{A: b}"),
        ["8:13: FILE_BACKUP does not know ENVIRONMENT: it belongs under COMMAND_BACKUP."],
    ),
    # --- around a backup
    *[
        (f"{key} as a line", file_backup(**{key: "systemctl stop shop"}), [f"8:{15 + len(key)}: {key} {NO_PROGRAM}"])
        for key in ("BEFORE", "AFTER", "ON_FAILURE")
    ],
    (
        "several lines in place of a program",
        file_backup(BEFORE="[systemctl stop shop, systemctl stop blog]"),
        [f"8:22: BEFORE {NO_PROGRAM}"],
    ),
    (
        "several programs",
        file_backup(BEFORE="[[a, b], [c]]"),
        [f"8:{column}: Each entry of BEFORE must be one value, not a list." for column in (22, 30)],
    ),
    (
        "a program that is a map",
        file_backup(AFTER="{a: b}"),
        ["8:20: AFTER must be a value or a list of values, not a map."],
    ),
    *[
        (
            f"an empty program, {written}",
            file_backup(BEFORE=written),
            [f"8:{column}: BEFORE begins with an empty text. Write the program first."],
        )
        for written, column in (('""', 21), ('["", a]', 22), ("[' ']", 22))
    ],
    ("a program with a NUL", file_backup(BEFORE='[a, "b\\0"]'), [f"8:25: BEFORE {NUL}"]),
    (
        "a program whose name could not be read",
        file_backup(BEFORE='["${MISSING}", a b]'),
        [
            "8:22: The variable MISSING is not set. Set it in the environment or in .env, or write a default: "
            "${MISSING:-default}."
        ],
    ),
    (
        "a line in DEFAULTS, said once",
        "DEFAULTS: {BEFORE: a b}\n" + file_backup() + db_backup().split("BACKUPS:\n")[1],
        [f"1:20: BEFORE {NO_PROGRAM}"],
    ),
    (
        "a program of a project",
        "PROJECTS: {NAME: shop, BEFORE: [a]}\n",
        ["1:24: PROJECTS does not know BEFORE. It knows NAME, BACKUPS, ENABLED, NOTIFY, PING."],
    ),
    *[
        (f"a time limit of {written}", file_backup(TIMEOUT=written), [f"8:22: {NO_DURATION}"])
        for written in ("30", "1.5h", "1h30m", "2 hours", "2H", "-1m", "h", '""', "٣m")
    ],
    *[
        (f"a time limit of {written}", file_backup(TIMEOUT=written), ["8:22: TIMEOUT must be from 1s to 30d."])
        for written in ("0s", "31d", "999999h")
    ],
    ("a time limit that is a list", file_backup(TIMEOUT="[2h]"), ["8:22: TIMEOUT must be one value, not a list."]),
    *[
        (
            f"{written} more tries",
            file_backup(RETRIES=written),
            ["8:22: RETRIES must be a whole number from 0 to 10."],
        )
        for written in ("11", "-1", "1.5", "many")
    ],
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_configuration_is_named_with_its_place(text: str, problems: list[str], tmp_path: Path) -> None:
    assert errors_of(tmp_path, text) == problems
