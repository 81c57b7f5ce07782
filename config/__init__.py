"""The config compiler: ``config.yaml`` and the environment to a :class:`model.Configuration`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from model import Configuration


def load_configuration(path: Path, environment: Mapping[str, str], env_file: Path | None = None) -> Configuration:
    """The configuration in the file ``path``.

    ``environment`` comes before ``env_file``, which is ``.env`` beside the configuration where none is named.
    Nothing is written. Raises errors.ConfigurationError with every problem; warnings are in
    ``Configuration.warnings``.
    """
    # The YAML parser and the schema take 40 ms to import, which `--help` must not wait for.
    from config.loading import load

    return load(path, environment, env_file)
