#!/usr/bin/env python3
"""The dashboard: a web page on the same configuration and catalog. It runs until it is stopped."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import sys
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import command_line
from command_line import show, show_json
from errors import EXIT_GOOD, UsageError
from utils import redact

if TYPE_CHECKING:
    from pathlib import Path

    from model import Configuration, DashboardSettings

EXAMPLES = (
    ("main.py user add anna --role operator", "before the first start: somebody who may sign in"),
    ("dashboard.py", "on http://127.0.0.1:8642/, for this machine only"),
    ("dashboard.py --listen 127.0.0.1:9000", "on another port"),
    ("ssh -L 8642:127.0.0.1:8642 server", "from your own machine: then open http://127.0.0.1:8642/ there"),
)


def main() -> int:
    """Parse the command line and do it; the exit code."""
    parser = command_line.new_parser("Show how backups stand, and act on them, in a browser.", EXAMPLES)
    parser.add_argument("--listen", metavar="HOST:PORT", help="where it listens (default: LISTEN, or 127.0.0.1:8642)")
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers may call it, besides those of ALLOWED_HOSTS; can be repeated",
    )
    command_line.add_common_options(parser)
    return command_line.run(_command, parser.parse_args())


def _command(arguments: argparse.Namespace) -> int:
    _share_memory_between_threads()
    configuration = command_line.load(arguments)
    settings = _settings(arguments, configuration)
    _prepare_log(arguments)
    _require_user(configuration)
    from web.application import create_application
    from web.server import bind, new_server, serve, url
    from web.services import open_services

    env_file: Path | None = arguments.env_file.absolute() if arguments.env_file else None
    with closing(bind(settings)) as listening, open_services(configuration, settings, env_file) as services:
        server = new_server(create_application(services), settings)

        def end(*_: object) -> None:
            server.should_exit = True

        # From here on it ends well, be it asked to before it answers. Once it does, the server takes them by itself,
        # and raises them once more when it has ended.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, end)
        if arguments.json:
            show_json({"url": url(settings, listening)})
        elif not arguments.quiet:
            show(f"The dashboard answers on {url(settings, listening)}")
        command_line.flush_output()
        serve(server, listening)
    return EXIT_GOOD


def _share_memory_between_threads() -> None:
    """Let glibc keep two arenas and not one for each thread: what one thread frees, another can take then.

    With 1,000 backups and 20 readers the dashboard held 161 MB at the most in place of 187 (M_ARENA_MAX, mallopt(3)).
    """
    from ctypes import CDLL

    with suppress(AttributeError, OSError):  # another C library has no such setting
        CDLL(None).mallopt(-8, 2)


def _settings(arguments: argparse.Namespace, configuration: Configuration) -> DashboardSettings:
    """Those of the configuration, as the command line changes them. Raises UsageError where they are not safe."""
    settings = configuration.dashboard
    if arguments.listen is not None:
        host, port = _host_and_port(arguments.listen)
        settings = replace(settings, host=host, port=port)
    settings = replace(settings, allowed_hosts=(*settings.allowed_hosts, *arguments.allowed_host))
    if not (_is_loopback(settings.host) or settings.tls_cert_file or settings.trusted_proxies):
        raise UsageError(
            f"On {settings.host} others could read passwords on their way, as there is no TLS. Listen on 127.0.0.1 and "
            "reach it through an SSH tunnel; or write TLS_CERT_FILE and TLS_KEY_FILE below DASHBOARD in config.yaml; "
            "or put a proxy with TLS before it, and write its address in TRUSTED_PROXIES."
        )
    return settings


def _host_and_port(text: str) -> tuple[str, int]:
    from config.scalars import listen_address

    try:
        return listen_address(text)
    except ValueError as error:
        raise UsageError(f"--listen {error}.") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _require_user(configuration: Configuration) -> None:
    from accounts import open_accounts

    with closing(open_accounts(configuration.state_directory)) as accounts:
        if not accounts.users():
            raise UsageError(
                "Nobody may sign in yet, so the dashboard does not start. Add somebody first: main.py user add NAME "
                "--role operator"
            )


class _RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _prepare_log(arguments: argparse.Namespace) -> None:
    """Warnings and errors go to standard error; with ``-v`` what the server says of itself too."""
    handler = logging.StreamHandler()
    handler.setFormatter(_RedactingFormatter("%(levelname)s %(message)s"))
    level = logging.INFO if arguments.verbose else logging.ERROR if arguments.quiet else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
