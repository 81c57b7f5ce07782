"""Keys that are unknown, missing, doubled or in the wrong map: each with the place and the words of its problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configurations import db_backup, errors_of, file_backup

FILE_BACKUP_KEYS = (
    "It knows NAME, FILE_PATH, INTERVALS, UPLOAD_TO, SSH, DOCKER, EXCLUDE, EXCLUDE_CACHES, "
    "EXCLUDE_IF_PRESENT, ONE_FILE_SYSTEM, STOP_CONTAINERS, BEFORE, AFTER, ON_FAILURE, TIMEOUT, RETRIES, KEEP, "
    "ENCRYPT_TO, ENCRYPT_PASSPHRASE, VERIFY, NOTIFY, PING, COMPRESSION, BANDWIDTH, ENABLED."
)
MIXED = (
    "mixes whole maps and single keys: it is not clear whether this belongs to the entry "
    "above. Give each entry one dash, with all of its keys in the same column."
)
NO_ABSOLUTE_PATH = (
    "must be an absolute path. Write it from `/` on, from `~/` on (the home folder), or from "
    "${CONFIG_DIR}/ on (the folder of this file)."
)
NO_MINUTE = (
    "has a minute (field 1) that cron does not know: it can be 0 to 59, `*`, a list `1,2`, a "
    "range `1-5`, or a step `*/2` or `10-50/5`."
)

NO_CONTAINER = "names no container. Write CONTAINER_NAME, COMPOSE_SERVICE, LABEL or VOLUME below it."

BAD: list[tuple[str, str | bytes, list[str]]] = [
    (
        "an unknown key at the top",
        "PROJECTS: []\nPROJECTZ: []\n",
        ["2:1: config.yaml does not know PROJECTZ: did you mean PROJECTS?"],
    ),
    ("keys in lower case", "projects: []\n", ["1:1: config.yaml does not know projects: did you mean PROJECTS?"]),
    ("PROJECTS missing", "DEFAULTS: {}\n", ["1:1: PROJECTS is missing. Write `PROJECTS:` and its entries below it."]),
    (
        "an unknown key of a project",
        "PROJECTS:\n  - NAMES: shop\n    NAME: shop\n",
        ["2:5: PROJECTS does not know NAMES: did you mean NAME?"],
    ),
    ("a project without a name", "PROJECTS:\n  - BACKUPS:\n", ["2:5: NAME is missing. Write it like this: NAME: shop"]),
    (
        "a project with an empty name",
        "PROJECTS:\n  - NAME:\n",
        ["2:5: NAME is missing. Write it like this: NAME: shop"],
    ),
    (
        "a project that is a text",
        "PROJECTS:\n  - shop\n",
        ["2:5: Each entry of PROJECTS must be a map: `KEY: value` lines."],
    ),
    (
        "a project that is a list",
        "PROJECTS:\n  - - NAME: shop\n",
        ["2:5: Each entry of PROJECTS must be a map, not a list. Remove one of the dashes."],
    ),
    (
        "a project that is nothing",
        "PROJECTS:\n  -\n",
        ["2:4: This entry of PROJECTS is empty. Write its keys, or remove it."],
    ),
    (
        "a project that is an empty map",
        "PROJECTS: [{}]\n",
        ["1:12: This entry of PROJECTS is empty. Write its keys, or remove it."],
    ),
    ("PROJECTS that is a text", "PROJECTS: shop\n", ["1:11: PROJECTS must hold maps: `KEY: value` lines."]),
    (
        "BACKUPS that is a text",
        "PROJECTS:\n  - NAME: shop\n    BACKUPS: files\n",
        ["3:14: BACKUPS must hold maps: `KEY: value` lines."],
    ),
    (
        "FILE_BACKUP beside BACKUPS",
        "PROJECTS:\n  - NAME: shop\n    FILE_BACKUP:\n",
        ["3:5: PROJECTS does not know FILE_BACKUP: it belongs under BACKUPS."],
    ),
    (
        "an unknown kind of backup",
        "PROJECTS:\n  - NAME: shop\n    BACKUPS:\n      - FILES_BACKUP:\n",
        ["4:9: BACKUPS does not know FILES_BACKUP: did you mean FILE_BACKUP?"],
    ),
    (
        "a kind of backup in both spellings",
        "PROJECTS:\n  - NAME: shop\n    BACKUPS:\n      FILE_BACKUP:\n      FILE_BACKUPS:\n",
        ["5:7: FILE_BACKUPS says the same as FILE_BACKUP in line 4. Keep one of them."],
    ),
    (
        "a FILE_BACKUP that is a path",
        "PROJECTS:\n  - NAME: shop\n    BACKUPS:\n      - FILE_BACKUP: /srv\n",
        ["4:22: FILE_BACKUP must hold maps: `KEY: value` lines."],
    ),
    (
        "an unknown key with blanks",
        file_backup(**{"FILE PATH": "/srv"}),
        ["8:13: FILE_BACKUP does not know FILE PATH: did you mean FILE_PATH?"],
    ),
    (
        "an unknown key with dashes",
        file_backup(**{"one-file-system": "yes"}),
        ["8:13: FILE_BACKUP does not know one-file-system: did you mean ONE_FILE_SYSTEM?"],
    ),
    (
        "an unknown key like no other",
        file_backup(COLOUR="red"),
        [f"8:13: FILE_BACKUP does not know COLOUR. {FILE_BACKUP_KEYS}"],
    ),
    (
        "PATH in a backup",
        file_backup(PATH="/srv"),
        ["8:13: FILE_BACKUP does not know PATH: did you mean FILE_PATH? PATH itself belongs under UPLOAD_TO."],
    ),
    (
        "CONTAINER_NAME in a backup",
        file_backup(CONTAINER_NAME="web"),
        ["8:13: FILE_BACKUP does not know CONTAINER_NAME: it belongs under DOCKER or STOP_CONTAINERS."],
    ),
    (
        "STORAGE_NAME in a backup",
        file_backup(STORAGE_NAME="LOCAL"),
        ["8:13: FILE_BACKUP does not know STORAGE_NAME: it belongs under UPLOAD_TO."],
    ),
    (
        "DB_INFO in a FILE_BACKUP",
        file_backup(DB_INFO="{NAME: shop}"),
        ["8:13: FILE_BACKUP does not know DB_INFO: it belongs under DB_BACKUP."],
    ),
    (
        "FILE_PATH in a DB_BACKUP",
        db_backup(FILE_PATH="/srv"),
        ["8:13: DB_BACKUP does not know FILE_PATH: it belongs under FILE_BACKUP or DB_INFO."],
    ),
    (
        "EXCLUDE in a DB_BACKUP",
        db_backup(EXCLUDE="tmp"),
        ["8:13: DB_BACKUP does not know EXCLUDE: it belongs under DEFAULTS or FILE_BACKUP."],
    ),
    (
        "a key with a no-break space",
        file_backup(**{"\u00a0ENABLED": "no"}),
        ["8:13: An invisible character stands at an end of this key. Replace it by an ordinary blank, or remove it."],
    ),
    (
        "a key that is odd",
        file_backup(**{'"/srv/shop"': "1"}),
        [f"8:13: This is not a key that FILE_BACKUP knows. {FILE_BACKUP_KEYS}"],
    ),
    (
        "a key and its value without a blank",
        db_backup(DB_INFO="{NAME: shop, PASSWORD:hidden}"),
        ["6:35: Write a blank after the colon of PASSWORD."],
    ),
    (
        "an unknown key of SSH",
        file_backup(SSH="{IP_ADDRESS: 192.0.2.7, USER: deploy}"),
        ["8:42: SSH does not know USER: did you mean USERNAME?"],
    ),
    (
        "an unknown key of DOCKER",
        db_backup(DOCKER="{CONTAINER: db}"),
        ["8:22: DOCKER does not know CONTAINER: did you mean CONTAINER_NAME?"],
    ),
    (
        "an unknown key of KEEP",
        file_backup(KEEP="{SECONDLY: 3}"),
        [
            "8:20: KEEP does not know SECONDLY. It knows LAST, HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY, WITHIN, "
            "MIN_COUNT."
        ],
    ),
    (
        "an unknown key of COMPRESSION",
        file_backup(COMPRESSION="{METOD: zstd}"),
        ["8:27: COMPRESSION does not know METOD: did you mean METHOD?"],
    ),
    (
        "an unknown key of UPLOAD_TO",
        file_backup(UPLOAD_TO="{STORAGE: LOCAL}"),
        ["7:25: UPLOAD_TO does not know STORAGE: did you mean STORAGE_NAME?"],
    ),
    (
        "an unknown key of DB_INFO",
        db_backup(DB_INFO="{NAME: shop, USER_NAME: shop}"),
        ["6:35: DB_INFO (postgres) does not know USER_NAME: did you mean USERNAME?"],
    ),
    (
        "an unknown key of DEFAULTS",
        "DEFAULTS: {NAME: shop}\nPROJECTS:\n",
        [
            "1:12: DEFAULTS does not know NAME. It knows INTERVALS, UPLOAD_TO, SSH, EXCLUDE, "
            "EXCLUDE_CACHES, EXCLUDE_IF_PRESENT, ONE_FILE_SYSTEM, BEFORE, AFTER, ON_FAILURE, TIMEOUT, RETRIES, KEEP, "
            "ENCRYPT_TO, ENCRYPT_PASSPHRASE, VERIFY, NOTIFY, PING, COMPRESSION, BANDWIDTH."
        ],
    ),
    (
        "an unknown key of an S3 storage",
        "STORAGES: {NAME: s, TYPE: S3, BUKET: b, BUCKET: b}\nPROJECTS:\n",
        ["1:31: STORAGES (S3) does not know BUKET: did you mean BUCKET?"],
    ),
    (
        "a key of another type of storage",
        "STORAGES: {NAME: s, TYPE: LOCAL, ROOT: /mnt, BUCKET: b}\nPROJECTS:\n",
        ["1:46: STORAGES (LOCAL) does not know BUCKET: it goes with TYPE S3. It knows TYPE, NAME, ROOT, BANDWIDTH."],
    ),
    (
        "a storage without a type",
        "STORAGES: {NAME: s}\nPROJECTS:\n",
        ["1:11: TYPE is missing. It can be LOCAL, S3, ONEDRIVE or SFTP."],
    ),
    (
        "a storage of an unknown type",
        "STORAGES: {NAME: s, TYPE: FTP, HOST: h}\nPROJECTS:\n",
        ["1:27: TYPE must be LOCAL, S3, ONEDRIVE or SFTP."],
    ),
    (
        "a storage without what it needs",
        "STORAGES:\n  - {NAME: o, TYPE: ONEDRIVE}\n  - {TYPE: LOCAL}\nPROJECTS:\n",
        [
            "2:5: TENANT_ID is missing. Write it like this: TENANT_ID: 11111111-1111-1111-1111-111111111111",
            "2:5: CLIENT_ID is missing. Write it like this: CLIENT_ID: 22222222-2222-2222-2222-222222222222",
            "2:5: DRIVE is missing. Write it like this: DRIVE: backups@example.com",
            "2:5: The app signs in with CLIENT_SECRET or CERTIFICATE_FILE. Write one of the two.",
            "3:5: NAME is missing. Write it like this: NAME: disk",
            "3:5: ROOT is missing. Write it like this: ROOT: /mnt/disk/backups",
        ],
    ),
    (
        "a secret and a certificate",
        "STORAGES: {NAME: o, TYPE: ONEDRIVE, TENANT_ID: t, CLIENT_ID: c, CLIENT_SECRET: s, CERTIFICATE_FILE: /c.pem, "
        "DRIVE: d}\nPROJECTS:\n",
        ["1:11: The app signs in with CLIENT_SECRET or CERTIFICATE_FILE. Write one of the two."],
    ),
    (
        "half of an Object Lock",
        "STORAGES: {NAME: s, TYPE: S3, BUCKET: b, OBJECT_LOCK_DAYS: 3}\nPROJECTS:\n",
        ["1:11: OBJECT_LOCK_MODE and OBJECT_LOCK_DAYS belong together. Write both, or none."],
    ),
    (
        "a profile and a key",
        "STORAGES: {NAME: s, TYPE: S3, BUCKET: b, ACCESS_KEY_ID: a, SECRET_ACCESS_KEY: a, PROFILE: p}\nPROJECTS:\n",
        ["1:91: PROFILE takes the place of ACCESS_KEY_ID. Remove one of the two."],
    ),
    (
        "a key of KMS without KMS",
        "STORAGES: {NAME: s, TYPE: S3, BUCKET: b, ENCRYPTION: AES256, KMS_KEY_ID: k}\nPROJECTS:\n",
        ["1:74: KMS_KEY_ID needs ENCRYPTION: aws:kms."],
    ),
    (
        "half of an S3 key",
        "STORAGES: {NAME: s, TYPE: S3, BUCKET: b, ACCESS_KEY_ID: a}\nPROJECTS:\n",
        ["1:11: ACCESS_KEY_ID and SECRET_ACCESS_KEY belong together. Write both, or none."],
    ),
    (
        "two storages of one name",
        "STORAGES:\n  - {NAME: s, TYPE: LOCAL, ROOT: /a}\n  - {NAME: s, TYPE: LOCAL, ROOT: /b}\nPROJECTS:\n",
        ["3:12: Another storage has this NAME, in line 2. Give each its own."],
    ),
    (
        "a database that is not known",
        db_backup(DB_INFO="{NAME: shop, TYPE: mongodb}"),
        ["6:41: TYPE must be postgres, mariadb, mysql or sqlite; for another database there is COMMAND_BACKUP."],
    ),
    (
        "INTERVALS missing",
        "PROJECTS:\n"
        "  - NAME: shop\n"
        "    BACKUPS:\n"
        "      - FILE_BACKUP:\n"
        "          FILE_PATH: /srv\n"
        "          UPLOAD_TO: {STORAGE_NAME: LOCAL}\n",
        ['5:11: INTERVALS is missing. Write it like this: INTERVALS: ["0 2 * * *"]'],
    ),
    (
        "FILE_PATH without a value",
        file_backup(FILE_PATH=""),
        ["6:13: FILE_PATH is missing. Write it like this: FILE_PATH: [/srv/shop/uploads, /etc/nginx]"],
    ),
    (
        "FILE_PATH an empty list",
        file_backup(FILE_PATH="[]"),
        ["6:24: FILE_PATH is an empty list. Write it like this: FILE_PATH: [/srv/shop/uploads, /etc/nginx]"],
    ),
    (
        "INTERVALS an empty list",
        file_backup(INTERVALS="[]"),
        ['5:24: INTERVALS is an empty list. Write it like this: INTERVALS: ["0 2 * * *"]'],
    ),
    (
        "UPLOAD_TO an empty list",
        file_backup(UPLOAD_TO="[]"),
        ["7:24: UPLOAD_TO is an empty list. Write it like this: UPLOAD_TO: [{STORAGE_NAME: LOCAL, PATH: shop}]"],
    ),
    (
        "UPLOAD_TO null",
        file_backup(UPLOAD_TO="null"),
        ["7:13: UPLOAD_TO is missing. Write it like this: UPLOAD_TO: [{STORAGE_NAME: LOCAL, PATH: shop}]"],
    ),
    (
        "DB_INFO without a value",
        db_backup(DB_INFO=""),
        [
            "6:13: DB_INFO is missing. Write it like this: DB_INFO: {NAME: shop, USERNAME: shop, "
            'PASSWORD: "${SHOP_DB_PASSWORD}"}'
        ],
    ),
    (
        "DB_INFO without NAME",
        db_backup(DB_INFO="{USERNAME: shop}"),
        ["6:22: NAME is missing. Write it like this: NAME: shop"],
    ),
    (
        "DOCKER without a container",
        db_backup(DOCKER="{}"),
        [f"8:21: DOCKER {NO_CONTAINER}"],
    ),
    (
        "SSH without an address",
        file_backup(SSH="{USERNAME: deploy}"),
        ["8:18: IP_ADDRESS is missing. Write it like this: IP_ADDRESS: 192.0.2.7"],
    ),
    (
        "UPLOAD_TO without STORAGE_NAME",
        file_backup(UPLOAD_TO="{PATH: shop}"),
        ["7:24: STORAGE_NAME is missing. Write it like this: STORAGE_NAME: LOCAL"],
    ),
    (
        "the address under both names",
        file_backup(SSH="{IP_ADDRESS: 192.0.2.7, HOST: example.com}"),
        ["8:42: HOST says the same as IP_ADDRESS in line 8. Keep one of them."],
    ),
    (
        "DOCKER inside of DB_INFO and beside it",
        db_backup(DB_INFO="{NAME: shop, DOCKER: {CONTAINER_NAME: a}}", DOCKER="{CONTAINER_NAME: a}"),
        ["6:43: DOCKER stands beside DB_INFO too, in line 8. Keep one of the two."],
    ),
    (
        "PASSWORD and PASSWORD_FILE",
        db_backup(DB_INFO="{NAME: shop, PASSWORD: a, PASSWORD_FILE: /b}"),
        ["6:48: PASSWORD_FILE says the same as PASSWORD in line 6. Keep one of them."],
    ),
    (
        "whole maps and single keys mixed",
        "PROJECTS:\n"
        "  - NAME: shop\n"
        "    BACKUPS:\n"
        "      - FILE_BACKUP:\n"
        '          - INTERVALS: "0 2 * * *"\n'
        "          - UPLOAD_TO: {STORAGE_NAME: LOCAL}\n"
        "            FILE_PATH: /srv\n",
        [f"6:13: FILE_BACKUP {MIXED}"],
    ),
    (
        "single keys after whole maps",
        file_backup(UPLOAD_TO="[{STORAGE_NAME: LOCAL, PATH: a}, {ENABLED: no}]"),
        [f"7:57: UPLOAD_TO {MIXED}"],
    ),
    (
        "a repeated key by mistake",
        file_backup(UPLOAD_TO="[{STORAGE_NAME: LOCAL}, {PATH: a}, {PATH: b}]"),
        [
            "7:59: STORAGE_NAME is missing. Write it like this: STORAGE_NAME: LOCAL (The repeated PATH "
            "began a new entry here.)"
        ],
    ),
    (
        "problems of several kinds at once",
        file_backup(
            INTERVALS='"61 * * * *"', FILE_PATH="shop", UPLOAD_TO="{STORAGE_NAME: LOCL}", COLOUR="red", ENABLED="maybe"
        ),
        [
            f"5:24: INTERVALS {NO_MINUTE}",
            f"6:24: FILE_PATH {NO_ABSOLUTE_PATH}",
            "7:39: STORAGE_NAME names no known storage. Did you mean LOCAL?",
            f"8:13: FILE_BACKUP does not know COLOUR. {FILE_BACKUP_KEYS}",
            "9:22: ENABLED must be yes or no.",
        ],
    ),
    (
        "two FILE_BACKUPs without a name",
        file_backup() + file_backup().split("FILE_BACKUP:\n")[1],
        ["8:13: This project has another FILE_BACKUP without NAME, in line 5. Give each its NAME."],
    ),
    (
        "a FILE_BACKUP named as an unnamed one",
        file_backup() + file_backup(NAME="Files").split("FILE_BACKUP:\n")[1],
        ["11:19: The backup in line 5 has the id shop/Files already. Give this one another NAME."],
    ),
    (
        "two backups of one name",
        file_backup(NAME="a") + file_backup(NAME="a").split("FILE_BACKUP:\n")[1],
        ["12:19: The backup in line 5 has the id shop/a already. Give this one another NAME."],
    ),
    (
        "two backups whose names become one id",
        file_backup(NAME="a b") + file_backup(NAME="a/b").split("FILE_BACKUP:\n")[1],
        ["12:19: The backup in line 5 has the id shop/a-b already. Give this one another NAME."],
    ),
    (
        "two projects of one name",
        file_backup() + file_backup().removeprefix("PROJECTS:\n"),
        ["11:13: The backup in line 5 has the id shop/files already. Give this one another NAME."],
    ),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_configuration_is_named_with_its_place(text: str | bytes, problems: list[str], tmp_path: Path) -> None:
    assert errors_of(tmp_path, text) == problems
