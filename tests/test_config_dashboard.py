"""DASHBOARD in config.yaml: what is read, and each mistake with its place and words."""

from __future__ import annotations

from pathlib import Path

import pytest

from model import DashboardSettings
from tests.support.configurations import errors_of, file_backup, load, warnings_of


def with_dashboard(text: str) -> str:
    return f"DASHBOARD: {text}\n" + file_backup()


def test_everything_is_read(tmp_path: Path) -> None:
    configuration = load(
        tmp_path,
        with_dashboard(
            '{LISTEN: "[::1]:9000", ALLOWED_HOSTS: [backup.example.com, 2001:db8::1], TLS_CERT_FILE: /a.pem, '
            "TLS_KEY_FILE: /a.key, TRUSTED_PROXIES: [127.0.0.1, 10.0.0.0/8], RESTORE_FOLDER: /srv/restored}"
        ),
    )
    assert configuration.dashboard == DashboardSettings(
        "::1",
        9000,
        ("backup.example.com", "2001:db8::1"),
        Path("/a.pem"),
        Path("/a.key"),
        ("127.0.0.1", "10.0.0.0/8"),
        Path("/srv/restored"),
    )
    assert configuration.restore_folder == Path("/srv/restored")


def test_without_it_the_dashboard_is_for_this_machine_alone(tmp_path: Path) -> None:
    configuration = load(tmp_path, file_backup())
    assert (configuration.dashboard.host, configuration.dashboard.port) == ("127.0.0.1", 8642)
    assert configuration.restore_folder == configuration.state_directory / "restored"


PORT = "LISTEN must be an address and a port, such as 127.0.0.1:8642 or [::1]:8642."
ADDRESS = "LISTEN must begin with an IP address of this machine, or with localhost."
BRACKETS = "LISTEN must have an address of IPv6, and no other, in brackets: [::1]:8642."


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        ("'8642'", PORT),
        ("127.0.0.1", PORT),
        ("127.0.0.1:65536", PORT),
        ("127.0.0.1:-1", PORT),
        ('"127.0.0.1:"', PORT),
        ("':8642'", ADDRESS),
        ("example.com:80", ADDRESS),
        ("'*:80'", ADDRESS),
        ("'[localhost]:80'", ADDRESS),
        ("'::1:80'", BRACKETS),
        ("'[127.0.0.1]:80'", BRACKETS),
    ],
)
def test_a_place_to_listen_that_is_none_is_refused(tmp_path: Path, listen: str, message: str) -> None:
    assert errors_of(tmp_path, with_dashboard(f"{{LISTEN: {listen}}}")) == [f"1:21: {message}"]


def test_a_proxy_is_an_address_or_a_network(tmp_path: Path) -> None:
    wanted = "TRUSTED_PROXIES must be an IP address, or a network such as 192.0.2.0/24 or 2001:db8::/32."
    assert errors_of(tmp_path, with_dashboard("{TRUSTED_PROXIES: ['*', nginx, 10.0.0.1/8]}")) == [
        f"1:31: {wanted}",
        f"1:36: {wanted}",
        f"1:43: {wanted}",
    ]


def test_a_private_key_without_a_certificate_is_refused(tmp_path: Path) -> None:
    assert errors_of(tmp_path, with_dashboard("{TLS_KEY_FILE: /a.key}")) == [
        "1:27: TLS_KEY_FILE is of no use without a certificate. Write TLS_CERT_FILE beside it."
    ]


def test_a_private_key_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    key = tmp_path / "a.key"
    key.touch(0o644)
    configuration = load(tmp_path, with_dashboard(f"{{TLS_CERT_FILE: /a.pem, TLS_KEY_FILE: {key}}}"))
    assert warnings_of(configuration) == [
        f"1:50: Every user can read the private key in TLS_KEY_FILE. Run: chmod 600 {key}"
    ]
