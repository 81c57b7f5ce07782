"""Hosts as they arrive in the model: SSH servers, those on the way to them, containers, and containers that stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from model import DockerContainer, Secret, SshHost, StoppedContainers
from tests.support.configurations import HOME, command_backup, db_backup, file_backup, load

FINGERPRINT = "SHA256:uNiVztksCsDhcc0u9e8BrqXMoIZuVs1nuTVS3Fzxbcs"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHJxs0Wm root@example.com"

SERVER_KEYS = f"""\
USERNAME: deploy, IP_ADDRESS: 192.0.2.7, PORT: 2222, KEY_FILE: ~/.ssh/id_backup, KEY_PASSPHRASE: "${{PASSPHRASE}}",
              PASSWORD: 0123, HOST_KEY: "{FINGERPRINT}", KNOWN_HOSTS_FILE: /etc/holdfast/known_hosts"""
SERVER = SshHost(
    username="deploy",
    address="192.0.2.7",
    port=2222,
    key_file=f"{HOME}/.ssh/id_backup",
    password=Secret("0123"),
    key_passphrase=Secret("open sesame"),
    host_key=FINGERPRINT,
    known_hosts_file="/etc/holdfast/known_hosts",
)


def ssh(folder: Path, written: str) -> SshHost | None:
    return load(folder, file_backup(SSH=written), {"PASSPHRASE": "open sesame"}).backups[0].ssh


def docker(folder: Path, written: str) -> DockerContainer | None:
    return load(folder, db_backup(DOCKER=written)).backups[0].docker


def stopped(folder: Path, written: str, **keys: str) -> StoppedContainers | None:
    return load(folder, file_backup(STOP_CONTAINERS=written, **keys)).backups[0].stopped_containers


def test_every_key_of_a_server(tmp_path: Path) -> None:
    assert ssh(tmp_path, f"{{{SERVER_KEYS}}}") == SERVER


def test_a_server_with_its_address_alone(tmp_path: Path) -> None:
    assert ssh(tmp_path, "{IP_ADDRESS: example.com}") == SshHost(None, "example.com")


def test_a_server_on_the_way_has_the_same_keys(tmp_path: Path) -> None:
    assert ssh(tmp_path, f"{{HOST: inner, JUMP_HOST: {{{SERVER_KEYS}}}}}") == SshHost(None, "inner", jump=SERVER)


@pytest.mark.parametrize("key", [FINGERPRINT, f"{FINGERPRINT}=", PUBLIC_KEY, PUBLIC_KEY.rpartition(" ")[0]])
def test_host_keys(key: str, tmp_path: Path) -> None:
    assert ssh(tmp_path, f"{{HOST: a, HOST_KEY: '{key}'}}") == SshHost(None, "a", host_key=key)


def test_secrets_of_a_server_from_files(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("long phrase\n")
    (tmp_path / "passphrase").chmod(0o600)
    written = "{HOST: a, KEY_PASSPHRASE_FILE: '${CONFIG_DIR}/passphrase'}"
    assert ssh(tmp_path, written) == SshHost(None, "a", key_passphrase=Secret("long phrase"))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{CONTAINER_NAME: shop-db}", DockerContainer("shop-db")),
        ("{COMPOSE_SERVICE: db}", DockerContainer(compose_service="db")),
        (
            "{COMPOSE_SERVICE: db, COMPOSE_PROJECT: shop}",
            DockerContainer(compose_service="db", compose_project="shop"),
        ),
        ("{LABEL: backup.role}", DockerContainer(label="backup.role")),
        ("{LABEL: backup.role=a=b c}", DockerContainer(label="backup.role=a=b c")),
        ("{VOLUME: shop_data}", DockerContainer(volume="shop_data")),
        (
            "{CONTAINER_NAME: a, DOCKER_HOST: unix:///run/user/1000/docker.sock}",
            DockerContainer("a", docker_host="unix:///run/user/1000/docker.sock"),
        ),
        (
            "{CONTAINER_NAME: a, DOCKER_HOST: tcp://192.0.2.7:2375}",
            DockerContainer("a", docker_host="tcp://192.0.2.7:2375"),
        ),
        ("{CONTAINER_NAME: 'ä \"b\"; $(c)'}", DockerContainer('ä "b"; $(c)')),
        ("{CONTAINER_NAME: null}", DockerContainer("null")),
    ],
)
def test_containers(written: str, meant: DockerContainer, tmp_path: Path) -> None:
    assert docker(tmp_path, written) == meant


@pytest.mark.parametrize("kind", [file_backup, db_backup, command_backup])
def test_every_kind_of_backup_is_read_in_a_container_on_a_server(kind: Callable[..., str], tmp_path: Path) -> None:
    backup = load(tmp_path, kind(SSH="{HOST: a}", DOCKER="{LABEL: b}")).backups[0]
    assert (backup.ssh, backup.docker) == (SshHost(None, "a"), DockerContainer(label="b"))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{CONTAINER_NAME: shop-web}", StoppedContainers(names=("shop-web",))),
        ("{LABEL: [backup.stop=true, other]}", StoppedContainers(labels=("backup.stop=true", "other"))),
        ("{COMPOSE_PROJECT: shop}", StoppedContainers(compose_projects=("shop",))),
        (
            "{CONTAINER_NAME: [a, b], LABEL: c, COMPOSE_PROJECT: [d], DOCKER_HOST: unix:///run/docker.sock}",
            StoppedContainers(("a", "b"), ("c",), ("d",), "unix:///run/docker.sock"),
        ),
    ],
)
def test_stopped_containers(written: str, meant: StoppedContainers, tmp_path: Path) -> None:
    assert stopped(tmp_path, written) == meant


def test_stopped_containers_are_those_of_the_docker_of_the_backup(tmp_path: Path) -> None:
    container = "{CONTAINER_NAME: a, DOCKER_HOST: unix:///a}"
    of_the_same = stopped(tmp_path, "{LABEL: b}", DOCKER=container)
    assert of_the_same == StoppedContainers(labels=("b",), docker_host="unix:///a")
    of_another = stopped(tmp_path, "{LABEL: b, DOCKER_HOST: unix:///b}", DOCKER=container)
    assert of_another == StoppedContainers(labels=("b",), docker_host="unix:///b")
    inside = db_backup(DB_INFO=f"{{NAME: shop, DOCKER: {container}}}", STOP_CONTAINERS="{LABEL: b}")
    assert load(tmp_path, inside).backups[0].stopped_containers == of_the_same


def test_an_empty_stop_containers_counts_as_absent(tmp_path: Path) -> None:
    assert stopped(tmp_path, "") is None
