"""Configurations for tests: the user's own, small good ones, and what loading them says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config import load_configuration
from errors import ConfigurationError
from model import Configuration

HOME = "/home/somebody"

# The samples of the user's notes as they were written, slips included: the last two are not valid YAML.
NOTES_PROJECTS = """\
PROJECTS:
    - NAME : project_name
"""

NOTES_BACKUPS = """\
PROJECTS:
    - NAME : project_name
      BACKUPS:
        - FILE_BACKUP :
        - DB_BACKUPS :
"""

NOTES_WHOLE = """\
PROJECTS:
    - NAME : project_name
      BACKUPS:
        - FILE_BACKUP :
            - INTERVALS:
                - "3 * 2 * *"
                - "1 * 1 * *"
            - UPLOAD_TO:
                - STORAGE_NAME : ONEDRIVE
                    PATH: from/to/path

        - DB_BACKUPS :
            - INTERVALS:
                - "3 * 2 * *"
                - "1 * 1 * *"
            - UPLOAD_TO:
                - STORAGE_NAME : ONEDRIVE
                    PATH: from/to/path
            - DB_INFO:
                USERNAME : username
                PASSWORD : password
                PORT : 5432
                NAME : db_name
                HOST : localhost
"""

NOTES_SSH = """\
PROJECTS:
    - NAME : project_name
    BACKUPS:
        - FILE_BACKUP :
            - INTERVALS:
                - "3 * 2 * *"
                - "1 * 1 * *"
            - UPLOAD_TO:
                - STORAGE_NAME : ONEDRIVE
                    PATH: from/to/path
            - SSH:
                USERNAME: username
                IP_ADDRESS: 10.010.110.1
"""

# What stood in the file of a real installation, with other names.
IN_REAL_USE = """\
PROJECTS:
  - NAME : Tanks
    BACKUPS:
      - FILE_BACKUP:
          - INTERVALS:
              - "1 1 1 1 1"
            FILE_PATH:
              - /var/log/apache2/access.log
            UPLOAD_TO:
              - STORAGE_NAME : ONEDRIVE
                PATH: Backups/apache/errors
            SSH:
              USERNAME: ubuntu
              IP_ADDRESS: 203.0.113.26

  - NAME : Till Production
    BACKUPS:
      - DB_BACKUP:
          - INTERVALS:
              - "1 1 1 1 1"
            DB_INFO:
              USERNAME : till_prod
              PASSWORD : aB1cD2eF3
              PORT : 5432
              NAME : till_prod
              HOST : localhost
              DOCKER :
                CONTAINER_NAME : till-backend-database-1
            UPLOAD_TO:
              - STORAGE_NAME : ONEDRIVE
                PATH: Backups/till/prod/db_backup
            SSH:
              USERNAME: ubuntu
              IP_ADDRESS: 203.0.113.26
  - NAME : Till Local
    BACKUPS:
      - DB_BACKUP:
          - INTERVALS:
              - "1 1 1 1 1"
            DB_INFO:
              USERNAME : db_user
              PASSWORD : 1234
              PORT : 5432
              NAME : till_dev
              HOST : localhost
            UPLOAD_TO:
              - STORAGE_NAME : ONEDRIVE
                PATH: Backups/till/local/db_backup
"""


def write(folder: Path, text: str | bytes, env: str | None = None) -> Path:
    """Write config.yaml, and ``.env`` where it is given, readable by their owner only."""
    path = folder / "config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    if env is not None:
        (folder / ".env").write_text(env)
        (folder / ".env").chmod(0o600)
    return path


def load(
    folder: Path, text: str | bytes, environment: Mapping[str, str] | None = None, env: str | None = None
) -> Configuration:
    """Load ``text`` as a configuration in ``folder``. Raises ConfigurationError."""
    return load_configuration(write(folder, text, env), {"HOME": HOME, **(environment or {})})


def errors_of(
    folder: Path, text: str | bytes, environment: Mapping[str, str] | None = None, env: str | None = None
) -> list[str]:
    """Every problem as ``line:column: message``, with the file before it where that is not config.yaml."""
    try:
        load(folder, text, environment, env)
    except ConfigurationError as error:
        return [
            str(problem).removeprefix(f"{folder}/config.yaml:").removeprefix(f"{folder}/") for problem in error.problems
        ]
    return []


def warnings_of(configuration: Configuration) -> list[str]:
    """Every warning as ``line:column: message``, with the file before it where that is not config.yaml."""
    folder = configuration.path.parent
    return [
        f"{warning.line}:{warning.column}: {warning.message}"
        if warning.file == str(configuration.path)
        else f"{Path(warning.file).relative_to(folder)}:{warning.line}:{warning.column}: {warning.message}"
        for warning in configuration.warnings
    ]


def file_backup(**keys: str) -> str:
    """A configuration with one FILE_BACKUP. Each key stands on a line of its own, the first on line 5, column 13."""
    lines = {"INTERVALS": '"0 2 * * *"', "FILE_PATH": "/srv/shop", "UPLOAD_TO": "{STORAGE_NAME: LOCAL, PATH: shop}"}
    return _backup("FILE_BACKUP", lines | keys)


def db_backup(**keys: str) -> str:
    """The same for a DB_BACKUP."""
    lines = {"INTERVALS": '"0 3 * * *"', "DB_INFO": "{NAME: shop}", "UPLOAD_TO": "{STORAGE_NAME: LOCAL, PATH: shop}"}
    return _backup("DB_BACKUP", lines | keys)


def command_backup(**keys: str) -> str:
    """The same for a COMMAND_BACKUP."""
    lines = {
        "INTERVALS": '"0 4 * * *"',
        "COMMAND": "[slapcat]",
        "FILENAME": "directory.ldif",
        "UPLOAD_TO": "{STORAGE_NAME: LOCAL, PATH: shop}",
    }
    return _backup("COMMAND_BACKUP", lines | keys)


def _backup(kind: str, keys: Mapping[str, str]) -> str:
    written = "\n            ".join(f"{key}: {value}" for key, value in keys.items())
    return f"PROJECTS:\n  - NAME: shop\n    BACKUPS:\n      - {kind}:\n          - {written}\n"
