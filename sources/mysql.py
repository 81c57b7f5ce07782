"""MySQL databases as a source: its programs and its SQL are near enough to MariaDB's to be read in one way."""

from __future__ import annotations

from sources import mariadb
from sources.mariadb import member_path, open_database

__all__ = ["PRODUCT", "RESTORE_STEPS", "member_path", "open_database"]

PRODUCT = "MySQL"

RESTORE_STEPS = mariadb.RESTORE_STEPS.replace("mariadb ", "mysql ")
