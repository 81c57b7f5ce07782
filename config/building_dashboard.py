"""A record to the settings of the dashboard."""

from __future__ import annotations

from pathlib import Path

from config.environment import Environment
from config.home import local_file
from config.problems import Problems
from config.records import Record
from config.scalars import listen_address
from config.small_files import others_can_read
from model import DashboardSettings


def dashboard_settings(configuration: Record, environment: Environment, problems: Problems) -> DashboardSettings:
    """What ``DASHBOARD`` says."""
    record = configuration.record("DASHBOARD")
    if record is None:
        return DashboardSettings()

    def path(key: str) -> Path | None:
        text = local_file(record, key, environment, problems)
        return Path(text) if text else None

    otherwise = DashboardSettings()
    listen = record.text("LISTEN")
    host, port = listen_address(listen) if listen else (otherwise.host, otherwise.port)
    settings = DashboardSettings(
        host=host,
        port=port,
        allowed_hosts=tuple(text for _, text in record.texts("ALLOWED_HOSTS")),
        tls_cert_file=path("TLS_CERT_FILE"),
        tls_key_file=path("TLS_KEY_FILE"),
        trusted_proxies=tuple(text for _, text in record.texts("TRUSTED_PROXIES")),
        restore_folder=path("RESTORE_FOLDER"),
    )
    _check_tls(record, settings, problems)
    return settings


def _check_tls(record: Record, settings: DashboardSettings, problems: Problems) -> None:
    if "TLS_KEY_FILE" in record.positions and "TLS_CERT_FILE" not in record.positions:
        message = "TLS_KEY_FILE is of no use without a certificate. Write TLS_CERT_FILE beside it."
        problems.error(record.position_of("TLS_KEY_FILE"), message)
    key = settings.tls_key_file
    try:
        is_open = key is not None and others_can_read(key.stat().st_mode)
    except (OSError, ValueError):
        is_open = False  # dashboard.py says what it cannot read
    if is_open:
        message = f"Every user can read the private key in TLS_KEY_FILE. Run: chmod 600 {key}"
        problems.warn(record.position_of("TLS_KEY_FILE"), message)
