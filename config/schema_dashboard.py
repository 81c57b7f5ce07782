"""Where the dashboard listens, by which names it is called, and whom it believes."""

from __future__ import annotations

from config import scalars
from config.shapes import Key, ListOf, MapOf, Section
from model import DashboardSettings

_DEFAULTS = DashboardSettings()

DASHBOARD = Section(
    "DASHBOARD",
    "The web page that `dashboard.py` answers with; see [dashboard.md](dashboard.md). What is changed here holds once "
    "it is started again.",
    (
        Key(
            "LISTEN",
            scalars.LISTEN,
            "The address and the port. On other addresses than those of this machine alone, it needs TLS, or a proxy "
            "that has it.",
            '"127.0.0.1:9000"',
            default=f"`{_DEFAULTS.host}:{_DEFAULTS.port}`: for this machine alone",
        ),
        Key(
            "ALLOWED_HOSTS",
            ListOf(scalars.ADDRESS),
            "The names and addresses by which browsers call it; any other is refused, as a page of somebody else could "
            "be behind it.",
            "[backup.example.com]",
            default="`localhost`, `holdfast.localhost`, `127.0.0.1`, `[::1]`, and the address in `LISTEN`; these are "
            "allowed always",
        ),
        Key(
            "TLS_CERT_FILE",
            scalars.PATH,
            "The file with the certificate and those that signed it (PEM). With it the dashboard answers by https "
            "only.",
            "/etc/ssl/backup.example.com.pem",
            default="http, without TLS",
        ),
        Key(
            "TLS_KEY_FILE",
            scalars.PATH,
            "The file with the private key of the certificate (PEM), without a passphrase.",
            "/etc/ssl/private/backup.example.com.key",
            default="it stands in `TLS_CERT_FILE`",
        ),
        Key(
            "TRUSTED_PROXIES",
            ListOf(scalars.NETWORK),
            "Addresses and networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed: who asks, "
            "and whether it came by https.",
            "[127.0.0.1]",
            default="nobody is believed",
        ),
        Key(
            "RESTORE_FOLDER",
            scalars.PATH,
            "The folder below which everything lies that is restored from the dashboard; it restores nowhere else.",
            "/srv/restored",
            default="`restored/` in `STATE_DIR`",
        ),
    ),
)

DASHBOARD_KEY = Key(
    "DASHBOARD",
    MapOf(DASHBOARD),
    "Where the dashboard listens, and what goes with it.",
    '{LISTEN: "127.0.0.1:9000"}',
    default="for this machine alone",
)
