"""MySQL databases as a source: its programs and its SQL are near enough to MariaDB's to be read in one way."""

from __future__ import annotations

from sources.mariadb import RESTORE_STEPS, open_database

__all__ = ["PRODUCT", "RESTORE_STEPS", "open_database"]

PRODUCT = "MySQL"
