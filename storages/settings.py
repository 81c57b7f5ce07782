"""Settings of a storage as the adapters need them."""

from __future__ import annotations

from errors import StorageError
from model import Secret, StorageDefinition


def setting(definition: StorageDefinition, key: str) -> str | None:
    """A setting as text, revealed where it is a secret; None where it is absent."""
    value = definition.settings.get(key)
    return value.reveal() if isinstance(value, Secret) else value


def required_setting(definition: StorageDefinition, key: str) -> str:
    """A setting that has no default. Raises StorageError: one from the environment may lack it until it is used."""
    value = setting(definition, key)
    if value is None:
        raise StorageError(
            f"The storage {definition.name} has no {key}. Set it in the environment or in .env (env.sample has the "
            "names), or define the storage in STORAGES."
        )
    return value


def is_yes(definition: StorageDefinition, key: str) -> bool:
    """Whether a setting that is yes or no says yes."""
    return setting(definition, key) == "yes"
