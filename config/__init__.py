"""The config compiler: ``config.yaml`` and the environment to a :class:`model.Configuration`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from model import Channel, Configuration


def load_configuration(path: Path, environment: Mapping[str, str], env_file: Path | None = None) -> Configuration:
    """The configuration in the file ``path``.

    ``environment`` comes before ``env_file``, which is ``.env`` beside the configuration where none is named.
    Nothing is written. Raises errors.ConfigurationError with every problem; warnings are in
    ``Configuration.warnings``.
    """
    # The YAML parser and the schema take 40 ms to import, which `--help` must not wait for.
    from config.loading import load

    return load(path, environment, env_file)


def load_readable_configuration(
    path: Path, environment: Mapping[str, str], env_file: Path | None = None
) -> Configuration:
    """As much as can be known of the configuration in the file ``path``, for reading copies where much was lost.

    The storages are all that are defined, and those of the environment, complete or not. Where PROJECTS is wrong, there
    are no backups; where the rest of the file is wrong or missing, only the storages of the environment and ``.env``;
    where these are wrong too, no storage. What is wrong, and nothing else, is in ``Configuration.warnings``. Nothing is
    raised.
    """
    from config.loading import load_readable

    return load_readable(path, environment, env_file)


def redacted_lines(data: bytes, path: Path) -> list[str]:
    """The lines of the configuration file ``path``, which holds ``data``, as they may be shown to others.

    What is secret, or may be, is replaced, comments too; there are as many lines as in the file. Raises
    errors.ConfigurationError where the file cannot be read as YAML: then nothing of it may be shown.
    """
    from config.redaction import redacted_lines as redacted

    return redacted(data, str(path))


def load_channels(path: Path, environment: Mapping[str, str], env_file: Path | None = None) -> tuple[Channel, ...]:
    """Where messages go, as far as can be known of the configuration in the file ``path``, which may be no YAML.

    Each place is there once, whichever backup it is of. Nothing is raised.
    """
    from config.loading_channels import load_channels as load

    return load(path, environment, env_file)
