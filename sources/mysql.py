"""MySQL databases as a source: its programs and its SQL are near enough to MariaDB's to be read in one way."""

from __future__ import annotations

from sources.mariadb import open_database

__all__ = ["open_database"]
