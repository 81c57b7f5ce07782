"""Values that cannot be: each with the place and the words of its problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configurations import db_backup, errors_of, file_backup

NO_ABSOLUTE_PATH = (
    "must be an absolute path. Write it from `/` on, from `~/` on (the home folder), or from "
    "${CONFIG_DIR}/ on (the folder of this file)."
)
NO_VARIABLE = (
    "After `${` must stand NAME} or NAME:-default}, without another variable inside. Write "
    "`$${` where the characters `${` themselves are meant."
)

BAD: list[tuple[str, str | bytes, list[str]]] = [
    ("a relative path", file_backup(FILE_PATH="uploads"), [f"6:24: FILE_PATH {NO_ABSOLUTE_PATH}"]),
    ("a relative path with a dot", file_backup(FILE_PATH="./uploads"), [f"6:24: FILE_PATH {NO_ABSOLUTE_PATH}"]),
    (
        "a path with ..",
        file_backup(FILE_PATH="/srv/../etc"),
        ["6:24: FILE_PATH must not hold `..`. Write the path that is meant."],
    ),
    (
        "a path from the home with ..",
        file_backup(FILE_PATH="~/../etc"),
        ["6:24: FILE_PATH must not hold `..`. Write the path that is meant."],
    ),
    (
        "a path that ends in ..",
        file_backup(FILE_PATH="/srv/.."),
        ["6:24: FILE_PATH must not hold `..`. Write the path that is meant."],
    ),
    ("an empty path", file_backup(FILE_PATH='""'), ["6:24: FILE_PATH must not be empty."]),
    ("a path with a NUL", file_backup(FILE_PATH='"/srv\\0"'), ["6:24: FILE_PATH must not hold the character U+0000."]),
    ("the second of two paths", file_backup(FILE_PATH="[/srv, etc]"), [f"6:31: FILE_PATH {NO_ABSOLUTE_PATH}"]),
    (
        "a path that is a map",
        file_backup(FILE_PATH="{/srv: 1}"),
        ["6:24: FILE_PATH must be a value or a list of values, not a map."],
    ),
    (
        "the home of nobody",
        file_backup(FILE_PATH="~nobody-of-this-name/x"),
        ["6:24: FILE_PATH begins with `~`, but this user has no home folder on this machine."],
    ),
    (
        "a home over SSH",
        file_backup(FILE_PATH="~/x", SSH="{IP_ADDRESS: 192.0.2.7}"),
        ["6:24: FILE_PATH cannot begin with `~` over SSH or in a container. Write the path from `/` on."],
    ),
    (
        "a home in a container",
        file_backup(FILE_PATH="~", DOCKER="{CONTAINER_NAME: web}"),
        ["6:24: FILE_PATH cannot begin with `~` over SSH or in a container. Write the path from `/` on."],
    ),
    (
        "a target path with ..",
        file_backup(UPLOAD_TO="{STORAGE_NAME: LOCAL, PATH: ../other}"),
        ["7:52: PATH must not hold `..`: a target lies inside of its storage."],
    ),
    (
        "a target path with a control character",
        file_backup(UPLOAD_TO='{STORAGE_NAME: LOCAL, PATH: "a\\tb"}'),
        ["7:52: PATH must not hold the control character U+0009."],
    ),
    (
        "an unknown storage that is near",
        file_backup(UPLOAD_TO="{STORAGE_NAME: ONEDRVE}"),
        ["7:39: STORAGE_NAME names no known storage. Did you mean ONEDRIVE?"],
    ),
    (
        "a storage in lower case",
        file_backup(UPLOAD_TO="{STORAGE_NAME: local}"),
        ["7:39: STORAGE_NAME names no known storage. Did you mean LOCAL?"],
    ),
    (
        "an unknown storage that is far",
        file_backup(UPLOAD_TO="{STORAGE_NAME: tape}"),
        ["7:39: STORAGE_NAME names no known storage. There are LOCAL, ONEDRIVE, S3; others are defined in STORAGES."],
    ),
    (
        "the folder of another backup",
        file_backup(UPLOAD_TO="{STORAGE_NAME: LOCAL}")
        + db_backup(UPLOAD_TO="{STORAGE_NAME: LOCAL, PATH: Shop/files/deeper}").removeprefix("PROJECTS:\n"),
        [
            "13:24: This PATH puts the copies of shop/db into the folder of shop/files (in line 7), which its runs "
            "tidy up. Give it a PATH outside of it."
        ],
    ),
    (
        "one place twice",
        file_backup(UPLOAD_TO="[{STORAGE_NAME: LOCAL, PATH: a}, {STORAGE_NAME: LOCAL, PATH: /a/}]"),
        ["7:57: UPLOAD_TO has this storage and path already, in line 7. Remove one."],
    ),
    (
        "a target that is a text",
        file_backup(UPLOAD_TO="LOCAL"),
        ["7:24: UPLOAD_TO must hold maps: `KEY: value` lines."],
    ),
    (
        "a target that is a text in a list",
        file_backup(UPLOAD_TO="[LOCAL]"),
        ["7:25: Each entry of UPLOAD_TO must be a map: `KEY: value` lines."],
    ),
    (
        "a target whose colon lacks a blank",
        file_backup(UPLOAD_TO="[STORAGE_NAME:LOCAL]"),
        [
            "7:25: Each entry of UPLOAD_TO must be a map: `KEY: value` lines. Write a blank after the "
            "colon of STORAGE_NAME."
        ],
    ),
    (
        "SSH that is a list",
        file_backup(SSH="[{IP_ADDRESS: 192.0.2.7}]"),
        ["8:18: SSH must be one map, not a list. Write its keys without dashes."],
    ),
    ("SSH that is a text", file_backup(SSH="deploy@192.0.2.7"), ["8:18: SSH must be a map: `KEY: value` lines."]),
    (
        "an address of four numbers, one too high",
        file_backup(SSH="{IP_ADDRESS: 192.0.2.256}"),
        ["8:31: IP_ADDRESS must be an IP address of four numbers from 0 to 255."],
    ),
    (
        "an address of three numbers",
        file_backup(SSH="{IP_ADDRESS: 192.0.2}"),
        ["8:31: IP_ADDRESS must be an IP address of four numbers from 0 to 255."],
    ),
    (
        "an address with a leading zero, as in the notes",
        file_backup(SSH="{IP_ADDRESS: 10.010.110.1}"),
        ["8:31: IP_ADDRESS has a number that begins with 0, which programs read in two ways. Leave the 0 out."],
    ),
    (
        "an address with its port",
        file_backup(SSH='{HOST: "example.com:22"}'),
        ["8:25: HOST must be a host name or an IP address; a port goes into PORT."],
    ),
    (
        "an address with a user",
        file_backup(SSH="{HOST: root@example.com}"),
        ["8:25: HOST must be a host name or an IP address: letters, digits, `.`, `-` and `_`."],
    ),
    (
        "an address that is an option",
        file_backup(SSH="{HOST: -oProxyCommand=x}"),
        ["8:25: HOST must be a host name or an IP address: letters, digits, `.`, `-` and `_`."],
    ),
    (
        "an address with two dots",
        file_backup(SSH="{HOST: example..com}"),
        ["8:25: HOST must be a host name or an IP address: letters, digits, `.`, `-` and `_`."],
    ),
    (
        "an empty address",
        file_backup(SSH='{HOST: ""}'),
        ["8:25: HOST must be a host name or an IP address: letters, digits, `.`, `-` and `_`."],
    ),
    (
        "an address with a shell's words",
        file_backup(SSH='{HOST: "a; reboot"}'),
        ["8:25: HOST must be a host name or an IP address: letters, digits, `.`, `-` and `_`."],
    ),
    (
        "a user that is an option",
        file_backup(SSH="{HOST: a, USERNAME: -l}"),
        ["8:38: USERNAME must not begin with `-`."],
    ),
    ("a user with a blank", file_backup(SSH="{HOST: a, USERNAME: john doe}"), ["8:38: USERNAME must not hold blanks."]),
    ("a relative key file", file_backup(SSH="{HOST: a, KEY_FILE: id_rsa}"), [f"8:38: KEY_FILE {NO_ABSOLUTE_PATH}"]),
    (
        "the key file of nobody",
        file_backup(SSH="{HOST: a, KEY_FILE: ~nobody-of-this-name/id}"),
        ["8:38: KEY_FILE begins with `~`, but this user has no home folder on this machine."],
    ),
    ("a port of 0", file_backup(SSH="{HOST: a, PORT: 0}"), ["8:34: PORT must be a whole number from 1 to 65,535."]),
    (
        "a port of 65536",
        file_backup(SSH="{HOST: a, PORT: 65536}"),
        ["8:34: PORT must be a whole number from 1 to 65,535."],
    ),
    (
        "a port that is a word",
        db_backup(DB_INFO="{NAME: a, PORT: ssh}"),
        ["6:38: PORT must be a whole number from 1 to 65,535."],
    ),
    (
        "a port in hexadecimal",
        db_backup(DB_INFO="{NAME: a, PORT: 0x16}"),
        ["6:38: PORT must be a whole number from 1 to 65,535."],
    ),
    (
        "a port with a sign",
        db_backup(DB_INFO="{NAME: a, PORT: +22}"),
        ["6:38: PORT must be a whole number from 1 to 65,535."],
    ),
    (
        "a port that is a list",
        db_backup(DB_INFO="{NAME: a, PORT: [22]}"),
        ["6:38: PORT must be one value, not a list."],
    ),
    (
        "a port in other digits",
        db_backup(DB_INFO="{NAME: a, PORT: ٢٢}"),
        ["6:38: PORT must be a whole number from 1 to 65,535."],
    ),
    (
        "a container that is an option",
        db_backup(DOCKER="{CONTAINER_NAME: --privileged}"),
        ["8:38: CONTAINER_NAME must not begin with `-`."],
    ),
    (
        "a container that is a map",
        db_backup(DOCKER="{CONTAINER_NAME: {a: b}}"),
        ["8:38: CONTAINER_NAME must be one value, not a map."],
    ),
    (
        "a database with a control character",
        db_backup(DB_INFO='{NAME: "a\\nb"}'),
        ["6:29: NAME must not hold the control character U+000A."],
    ),
    ("DB_INFO that is a text", db_backup(DB_INFO="shop"), ["6:22: DB_INFO must be a map: `KEY: value` lines."]),
    (
        "a password that is a list",
        db_backup(DB_INFO="{NAME: a, PASSWORD: [b]}"),
        ["6:42: PASSWORD must be one value, not a list."],
    ),
    (
        "a password that is a map",
        db_backup(DB_INFO="{NAME: a, PASSWORD: {b: c}}"),
        ["6:42: PASSWORD must be one value, not a map."],
    ),
    (
        "a password with a NUL",
        db_backup(DB_INFO='{NAME: a, PASSWORD: "b\\0"}'),
        ["6:42: PASSWORD must not hold the character U+0000: no program can take it over."],
    ),
    (
        "a password file that is not there",
        db_backup(DB_INFO="{NAME: a, PASSWORD_FILE: /nowhere/at/all}"),
        ["6:47: PASSWORD_FILE names a file that does not exist."],
    ),
    (
        "a password file that is a folder",
        db_backup(DB_INFO="{NAME: a, PASSWORD_FILE: /}"),
        ["6:47: PASSWORD_FILE names a file that is not a file."],
    ),
    (
        "a relative password file",
        db_backup(DB_INFO="{NAME: a, PASSWORD_FILE: secret}"),
        [f"6:47: PASSWORD_FILE {NO_ABSOLUTE_PATH}"],
    ),
    (
        "a password file of the home of nobody",
        db_backup(DB_INFO="{NAME: a, PASSWORD_FILE: ~nobody-of-this-name/x}"),
        ["6:47: PASSWORD_FILE begins with `~`, but this user has no home folder on this machine."],
    ),
    ("ENABLED maybe", file_backup(ENABLED="maybe"), ["8:22: ENABLED must be yes or no."]),
    ("ENABLED 1", file_backup(ENABLED="1"), ["8:22: ENABLED must be yes or no."]),
    ("ENABLED a list", file_backup(ENABLED="[yes]"), ["8:22: ENABLED must be one value, not a list."]),
    *[
        (
            f"a bandwidth of {written}",
            file_backup(BANDWIDTH=written),
            ["8:24: BANDWIDTH must be a number and a unit such as 20MB/s or 500kB/s (bytes, not bits)."],
        )
        for written in ("20", "fast", "20Mbit/s", "20mb/s", "-1MB/s", "1iB/s", "1e3MB/s")
    ],
    ("hardly any bandwidth", file_backup(BANDWIDTH="999B/s"), ["8:24: BANDWIDTH must be at least 1kB/s."]),
    ("KEEP of none", file_backup(KEEP="{LAST: 0}"), ["8:26: LAST must be a whole number from 1 to 100,000."]),
    (
        "KEEP of fewer than none",
        file_backup(KEEP="{DAILY: -1}"),
        ["8:27: DAILY must be a whole number from 1 to 100,000."],
    ),
    (
        "KEEP of a minimum alone",
        file_backup(KEEP="{MIN_COUNT: 3}"),
        ["8:31: MIN_COUNT alone removes nothing. Write beside it which copies stay, such as LAST or DAILY."],
    ),
    *(
        (
            f"KEEP within {text}",
            file_backup(KEEP=f"{{WITHIN: {text}}}"),
            [
                "8:28: WITHIN must be numbers with units, the longest first: y, m (months), w, d, h, as in 36h, 30d, "
                "8w, 6m or 1y6m."
            ],
        )
        for text in ("30", "0d", "30 days", "6m1y", "-1d", "1.5d", "30s", "d")
    ),
    ("KEEP of a number", file_backup(KEEP="7"), ["8:19: KEEP must be a map: `KEY: value` lines."]),
    (
        "a compression that is not there",
        file_backup(COMPRESSION="{METHOD: lzma}"),
        ["8:35: METHOD must be deflate, zstd or store."],
    ),
    (
        "a compression that is a text",
        file_backup(COMPRESSION="zstd"),
        ["8:26: COMPRESSION must be a map: `KEY: value` lines."],
    ),
    (
        "a level too high for deflate",
        file_backup(COMPRESSION="{METHOD: deflate, LEVEL: 9}"),
        ["8:51: LEVEL must be 0 to 3 for deflate."],
    ),
    (
        "a level too high for the default",
        file_backup(COMPRESSION="{LEVEL: 4}"),
        ["8:34: LEVEL must be 0 to 3 for deflate."],
    ),
    (
        "a level too low for zstd",
        file_backup(COMPRESSION="{METHOD: zstd, LEVEL: 0}"),
        ["8:48: LEVEL must be 1 to 19 for zstd."],
    ),
    (
        "a level too high for zstd",
        file_backup(COMPRESSION="{METHOD: zstd, LEVEL: 20}"),
        ["8:48: LEVEL must be a whole number from 0 to 19."],
    ),
    (
        "a level for store",
        file_backup(COMPRESSION="{METHOD: store, LEVEL: 1}"),
        ["8:49: LEVEL must be left out for store."],
    ),
    ("an empty pattern", file_backup(EXCLUDE='""'), ["8:22: EXCLUDE must not be empty."]),
    (
        "a pattern that is only an exclamation mark",
        file_backup(EXCLUDE='"!"'),
        ["8:22: EXCLUDE must be a pattern as in .gitignore: `!`, `\\` or a range in brackets is left open."],
    ),
    (
        "a pattern that ends in a backslash",
        file_backup(EXCLUDE="['a\\']"),
        ["8:23: EXCLUDE must be a pattern as in .gitignore: `!`, `\\` or a range in brackets is left open."],
    ),
    (
        "a pattern with a range that runs backwards",
        file_backup(EXCLUDE='"[z-a]"'),
        ["8:22: EXCLUDE must be a pattern as in .gitignore: `!`, `\\` or a range in brackets is left open."],
    ),
    (
        "two patterns in one text",
        file_backup(EXCLUDE='"*.tmp\\ncache/"'),
        ["8:22: EXCLUDE must be one line: write each pattern as an entry of the list."],
    ),
    (
        "a marker with a slash",
        file_backup(EXCLUDE_IF_PRESENT="a/b"),
        ["8:33: EXCLUDE_IF_PRESENT must be a file name without `/`."],
    ),
    ("a name of dots", file_backup(NAME="..."), ["8:19: NAME must hold a letter or a digit."]),
    ("a name of blanks", file_backup(NAME='"  "'), ["8:19: NAME must not be empty."]),
    (
        "a name with a control character",
        file_backup(NAME='"a\\eb"'),
        ["8:19: NAME must not hold the control character U+001B."],
    ),
    (
        "a name that is too long",
        file_backup(NAME="a" * 101),
        ["8:19: NAME must not be longer than 100 bytes, because it becomes part of file names."],
    ),
    (
        "a name that is too long in UTF-8",
        file_backup(NAME="é" * 51),
        ["8:19: NAME must not be longer than 100 bytes, because it becomes part of file names."],
    ),
    ("a name that is a list", file_backup(NAME="[a]"), ["8:19: NAME must be one value, not a list."]),
    ("a project name of signs", 'PROJECTS: {NAME: "///"}\n', ["1:18: NAME must hold a letter or a digit."]),
    (
        "an endpoint without https://",
        "STORAGES: {NAME: s, TYPE: S3, BUCKET: b, ENDPOINT_URL: s3.example.com}\nPROJECTS:\n",
        ["1:56: ENDPOINT_URL must be a URL that begins with https:// or http://."],
    ),
    (
        "a relative root",
        "STORAGES: {NAME: s, TYPE: LOCAL, ROOT: backups}\nPROJECTS:\n",
        [f"1:40: ROOT {NO_ABSOLUTE_PATH}"],
    ),
    (
        "the root of nobody",
        "STORAGES: {NAME: s, TYPE: LOCAL, ROOT: ~nobody-of-this-name/b}\nPROJECTS:\n",
        ["1:40: ROOT begins with `~`, but this user has no home folder on this machine."],
    ),
    (
        "a storage name that is a list",
        "STORAGES: {NAME: [s], TYPE: LOCAL, ROOT: /b}\nPROJECTS:\n",
        ["1:18: NAME must be one value, not a list."],
    ),
    (
        "a variable that is not set",
        file_backup(FILE_PATH="/srv/${SHOP}"),
        [
            "6:24: The variable SHOP is not set. Set it in the environment or in .env, or write a "
            "default: ${SHOP:-default}."
        ],
    ),
    (
        "a variable that is not set, as a password",
        db_backup(DB_INFO='{NAME: a, PASSWORD: "${SHOP_DB_PASSWORD}"}'),
        [
            "6:42: The variable SHOP_DB_PASSWORD is not set. Set it in the environment or in .env, or "
            "write a default: ${SHOP_DB_PASSWORD:-default}."
        ],
    ),
    ("a variable that is never closed", file_backup(FILE_PATH="/srv/${SHOP"), [f"6:24: {NO_VARIABLE}"]),
    ("a variable without a name", file_backup(FILE_PATH="/srv/${}"), [f"6:24: {NO_VARIABLE}"]),
    ("a variable whose name has a dash", file_backup(FILE_PATH="/srv/${MY-SHOP}"), [f"6:24: {NO_VARIABLE}"]),
    ("a variable in a default", file_backup(FILE_PATH="/srv/${SHOP:-${HOME}}"), [f"6:24: {NO_VARIABLE}"]),
    (
        "a number from a variable that is none",
        file_backup(SSH='{HOST: a, PORT: "${HOME}"}'),
        ["8:34: PORT must be a whole number from 1 to 65,535."],
    ),
    (
        "a path from a variable that is relative",
        file_backup(FILE_PATH="${SHOP:-shop}"),
        [f"6:24: FILE_PATH {NO_ABSOLUTE_PATH}"],
    ),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_configuration_is_named_with_its_place(text: str | bytes, problems: list[str], tmp_path: Path) -> None:
    assert errors_of(tmp_path, text) == problems
