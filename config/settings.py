"""Every setting that comes from the environment or ``.env``: those of the storages, and a few of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from config import scalars
from config.schema import NUMBER_KEPT
from config.schema_storages import STORAGE
from config.shapes import Scalar


@dataclass(frozen=True)
class EnvironmentName:
    """A setting that is read from the environment or ``.env``."""

    name: str
    scalar: Scalar
    doc: str
    example: str
    default: str


STATE_DIR = EnvironmentName(
    "STATE_DIR",
    scalars.PATH,
    "The folder for the state of this machine: the catalog, locks and logs.",
    "/var/lib/holdfast",
    "`state/` beside config.yaml",
)
CATALOG_URL = EnvironmentName(
    "CATALOG_URL",
    scalars.DATABASE_URL,
    "The database of runs, where it is not the SQLite file in `STATE_DIR`.",
    "postgresql://user:password@host/database",
    "SQLite in `STATE_DIR`",
)
AGE_IDENTITY_FILE = EnvironmentName(
    "AGE_IDENTITY_FILE",
    scalars.PATH,
    "The file with the private key that opens encrypted copies, for restoring and for drills. The machine that makes "
    "the backups does not need it; where it lies there, whoever takes that machine can read the old copies too.",
    "/media/key/identity.txt",
    "encrypted copies are opened only with `--identity`",
)
MAX_FILES_COUNT = EnvironmentName(
    "MAX_FILES_COUNT",
    NUMBER_KEPT,
    "The old spelling of `KEEP: {LAST: n}`, for backups that have no `KEEP`.",
    "14",
    "all are kept",
)


def _storage_names() -> Iterator[EnvironmentName]:
    for storage, section in STORAGE.sections.items():
        for key in section.keys:
            if key.environment and isinstance(key.shape, Scalar):
                default = key.environment_default or key.default or f"none: {storage} cannot be used"
                # The example of a secret is a variable, and variables mean nothing in .env.
                example = "" if key.is_secret else key.example
                yield EnvironmentName(key.environment, key.shape, f"{storage}: {key.doc}", example, default)


ENVIRONMENT = (*_storage_names(), STATE_DIR, CATALOG_URL, AGE_IDENTITY_FILE, MAX_FILES_COUNT)
