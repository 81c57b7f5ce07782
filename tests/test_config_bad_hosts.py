"""Hosts that cannot be: SSH servers, containers, containers that stop. Each with the place and words of its problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configurations import command_backup, db_backup, errors_of, file_backup

NO_CONTAINER = "DOCKER names no container. Write CONTAINER_NAME, COMPOSE_SERVICE, LABEL or VOLUME below it."
NONE_TO_STOP = "STOP_CONTAINERS names no container. Write CONTAINER_NAME, LABEL or COMPOSE_PROJECT below it."
NO_HOST_KEY = (
    "HOST_KEY must be a fingerprint alone (`SHA256:` and 43 characters), or a whole public key (`ssh-ed25519 AAAA…`)."
)
NO_DOCKER_URL = (
    "DOCKER_HOST must be a URL such as unix:///run/docker.sock or tcp://192.0.2.7:2375; where it is reached over SSH, "
    "write SSH beside DOCKER."
)
NO_LABEL = "LABEL must be a name, or a name and its value such as backup.role=database."
NO_HOME = "cannot begin with `~` over SSH or in a container. Write the path from `/` on."
NO_ABSOLUTE_PATH = (
    "must be an absolute path. Write it from `/` on, from `~/` on (the home folder), or from ${CONFIG_DIR}/ on "
    "(the folder of this file)."
)
FINGERPRINT = "SHA256:uNiVztksCsDhcc0u9e8BrqXMoIZuVs1nuTVS3Fzxbcs"

BAD: list[tuple[str, str, list[str]]] = [
    # --- servers
    *[
        (f"the host key {key}", file_backup(SSH=f"{{HOST: a, HOST_KEY: '{key}'}}"), [f"8:38: {NO_HOST_KEY}"])
        for key in (
            "MD5:16:27:ac:a5",
            FINGERPRINT[:-1],
            FINGERPRINT.removeprefix("SHA256:"),
            f"256 {FINGERPRINT} root@example.com (ED25519)",
            "example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJxs0Wm",
            "",
        )
    ],
    (
        "the host key of a storage",
        "STORAGES: {NAME: s, TYPE: SFTP, HOST: a, ROOT: /b, HOST_KEY: MD5:16:27}\nPROJECTS:\n",
        [f"1:62: {NO_HOST_KEY}"],
    ),
    (
        "a relative file of known hosts",
        file_backup(SSH="{HOST: a, KNOWN_HOSTS_FILE: known_hosts}"),
        [f"8:46: KNOWN_HOSTS_FILE {NO_ABSOLUTE_PATH}"],
    ),
    (
        "the known hosts of nobody",
        file_backup(SSH="{HOST: a, KNOWN_HOSTS_FILE: ~nobody-of-this-name/x}"),
        ["8:46: KNOWN_HOSTS_FILE begins with `~`, but this user has no home folder on this machine."],
    ),
    (
        "a passphrase with a NUL",
        file_backup(SSH='{HOST: a, KEY_PASSPHRASE: "b\\0"}'),
        ["8:44: KEY_PASSPHRASE must not hold the character U+0000: no program can take it over."],
    ),
    (
        "a server on the way without an address",
        file_backup(SSH="{HOST: a, JUMP_HOST: {USERNAME: b}}"),
        ["8:39: IP_ADDRESS is missing. Write it like this: IP_ADDRESS: 192.0.2.7"],
    ),
    (
        "a server on the way that is a text",
        file_backup(SSH="{HOST: a, JUMP_HOST: b}"),
        ["8:39: JUMP_HOST must be a map: `KEY: value` lines."],
    ),
    (
        "a key file of a server on the way",
        file_backup(SSH="{HOST: a, JUMP_HOST: {HOST: b, KEY_FILE: ~nobody-of-this-name/x}}"),
        ["8:59: KEY_FILE begins with `~`, but this user has no home folder on this machine."],
    ),
    (
        "two servers on the way",
        file_backup(SSH="{HOST: a, JUMP_HOST: {HOST: b, JUMP_HOST: {HOST: c}}}"),
        ["8:49: JUMP_HOST does not know JUMP_HOST: it belongs under SSH."],
    ),
    # --- containers
    ("no way to name the container", file_backup(DOCKER="{DOCKER_HOST: unix:///a}"), [f"8:21: {NO_CONTAINER}"]),
    ("an empty way to name the container", file_backup(DOCKER="{CONTAINER_NAME: }"), [f"8:21: {NO_CONTAINER}"]),
    (
        "no way to name the container inside of DB_INFO",
        db_backup(DB_INFO="{NAME: a, DOCKER: {}}"),
        [f"6:40: {NO_CONTAINER}"],
    ),
    (
        "two ways to name the container",
        command_backup(DOCKER="{LABEL: b, CONTAINER_NAME: a}"),
        ["9:48: CONTAINER_NAME names the container a second time, after LABEL. Keep one of the two."],
    ),
    (
        "four ways to name the container",
        db_backup(DOCKER="{CONTAINER_NAME: a, COMPOSE_SERVICE: b, LABEL: c, VOLUME: d}"),
        [
            "8:58: COMPOSE_SERVICE names the container a second time, after CONTAINER_NAME. Keep one of the two.",
            "8:68: LABEL names the container a second time, after CONTAINER_NAME. Keep one of the two.",
            "8:79: VOLUME names the container a second time, after CONTAINER_NAME. Keep one of the two.",
        ],
    ),
    *[
        (
            f"a project of Compose {what}",
            db_backup(DOCKER=f"{{COMPOSE_PROJECT: shop{more}}}"),
            ["8:39: COMPOSE_PROJECT goes with COMPOSE_SERVICE. Write which service of the project is meant."],
        )
        for what, more in (("alone", ""), ("with a name", ", CONTAINER_NAME: b"))
    ],
    ("a label without a name", db_backup(DOCKER="{LABEL: =b}"), [f"8:29: {NO_LABEL}"]),
    ("a label that begins with a blank", db_backup(DOCKER='{LABEL: " a=b"}'), [f"8:29: {NO_LABEL}"]),
    ("a label that is a map", db_backup(DOCKER="{LABEL: {a: b}}"), ["8:29: LABEL must be one value, not a map."]),
    (
        "a service that is an option",
        db_backup(DOCKER="{COMPOSE_SERVICE: -f}"),
        ["8:39: COMPOSE_SERVICE must not begin with `-`."],
    ),
    (
        "a volume with a line end",
        db_backup(DOCKER='{VOLUME: "a\\n"}'),
        ["8:30: VOLUME must not hold the control character U+000A."],
    ),
    *[
        (f"Docker at {url}", db_backup(DOCKER=f"{{VOLUME: a, DOCKER_HOST: '{url}'}}"), [f"8:46: {NO_DOCKER_URL}"])
        for url in (
            "ssh://deploy@192.0.2.7",
            "/run/docker.sock",
            "unix://run/docker.sock",
            "192.0.2.7:2375",
            "tcp://",
            "",
        )
    ],
    # --- homes elsewhere
    (
        "homes in the settings of PostgreSQL over SSH",
        db_backup(SSH="{HOST: a}", DB_INFO="{NAME: a, SSLROOTCERT: ~/a, SSLCERT: ~b/b, SSLKEY: ~}"),
        [f"6:45: SSLROOTCERT {NO_HOME}", f"6:59: SSLCERT {NO_HOME}", f"6:73: SSLKEY {NO_HOME}"],
    ),
    (
        "homes in the settings of MariaDB in a container",
        db_backup(DB_INFO="{TYPE: mariadb, NAME: a, SSL_CA: ~/a, SSL_CERT: ~/b, SSL_KEY: ~/c, DOCKER: {LABEL: d}}"),
        [f"6:55: SSL_CA {NO_HOME}", f"6:70: SSL_CERT {NO_HOME}", f"6:84: SSL_KEY {NO_HOME}"],
    ),
    (
        "the home of a SQLite database over SSH",
        db_backup(SSH="{HOST: a}", DB_INFO="{TYPE: sqlite, FILE_PATH: [/a, ~/b]}"),
        [f"6:53: FILE_PATH {NO_HOME}"],
    ),
    (
        "a home over the SSH of DEFAULTS",
        "DEFAULTS: {SSH: {HOST: a}}\n" + file_backup(FILE_PATH="~/x"),
        [f"7:24: FILE_PATH {NO_HOME}"],
    ),
    # --- containers that stop
    ("nothing to stop", file_backup(STOP_CONTAINERS="{}"), [f"8:30: {NONE_TO_STOP}"]),
    ("an empty list to stop", file_backup(STOP_CONTAINERS="{CONTAINER_NAME: []}"), [f"8:30: {NONE_TO_STOP}"]),
    ("only where to stop", file_backup(STOP_CONTAINERS="{DOCKER_HOST: unix:///a}"), [f"8:30: {NONE_TO_STOP}"]),
    (
        "a list in place of what to stop",
        file_backup(STOP_CONTAINERS="[shop-web]"),
        ["8:30: STOP_CONTAINERS must be one map, not a list. Write its keys without dashes."],
    ),
    (
        "a name in place of what to stop",
        file_backup(STOP_CONTAINERS="shop-web"),
        ["8:30: STOP_CONTAINERS must be a map: `KEY: value` lines."],
    ),
    (
        "a mistyped key of STOP_CONTAINERS",
        file_backup(STOP_CONTAINERS="{LABELS: a}"),
        ["8:31: STOP_CONTAINERS does not know LABELS: did you mean LABEL?"],
    ),
    (
        "a key of DOCKER in STOP_CONTAINERS",
        file_backup(STOP_CONTAINERS="{COMPOSE_SERVICE: a}"),
        ["8:31: STOP_CONTAINERS does not know COMPOSE_SERVICE: it belongs under DOCKER."],
    ),
    (
        "a container to stop that is an option",
        file_backup(STOP_CONTAINERS="{CONTAINER_NAME: [a, --all]}"),
        ["8:51: CONTAINER_NAME must not begin with `-`."],
    ),
    (
        "stopping the container that is read",
        file_backup(DOCKER="{CONTAINER_NAME: a}", STOP_CONTAINERS="{CONTAINER_NAME: [b, a]}"),
        ["9:51: CONTAINER_NAME would stop the container in which the backup is read. Remove it here."],
    ),
    (
        "stopping the project of the container that is read",
        db_backup(
            DB_INFO="{NAME: a, DOCKER: {COMPOSE_SERVICE: db, COMPOSE_PROJECT: shop}}",
            STOP_CONTAINERS="{COMPOSE_PROJECT: shop}",
        ),
        ["8:48: COMPOSE_PROJECT would stop the container in which the backup is read. Remove it here."],
    ),
    (
        "what to stop in DEFAULTS",
        "DEFAULTS: {STOP_CONTAINERS: {LABEL: a}}\nPROJECTS:\n",
        [
            "1:12: DEFAULTS does not know STOP_CONTAINERS. It knows INTERVALS, UPLOAD_TO, SSH, EXCLUDE, "
            "EXCLUDE_CACHES, EXCLUDE_IF_PRESENT, ONE_FILE_SYSTEM, BEFORE, AFTER, ON_FAILURE, TIMEOUT, RETRIES, KEEP, "
            "ENCRYPT_TO, ENCRYPT_PASSPHRASE, VERIFY, NOTIFY, PING, COMPRESSION, BANDWIDTH."
        ],
    ),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_configuration_is_named_with_its_place(text: str, problems: list[str], tmp_path: Path) -> None:
    assert errors_of(tmp_path, text) == problems
