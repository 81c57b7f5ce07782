"""The storage that a definition in config.yaml stands for. An adapter, and its vendor's SDK, is imported only here."""

from __future__ import annotations

from pathlib import Path

from errors import NotAvailableError
from model import Secret, StorageDefinition, StorageType
from storages.storage import Storage


def open_storage(definition: StorageDefinition) -> Storage:
    """Raises NotAvailableError for a type that this version cannot use yet. Nothing is read or written."""
    if definition.type is not StorageType.LOCAL:
        raise NotAvailableError(
            f"The storage {definition.name} is of type {definition.type}, which this version of Holdfast does not have "
            f"yet. Use a storage of type {StorageType.LOCAL} until then."
        )
    from storages.local import LocalStorage

    root = definition.settings["ROOT"]
    return LocalStorage(definition.name, Path(root.reveal() if isinstance(root, Secret) else root))
