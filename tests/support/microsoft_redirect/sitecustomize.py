"""Put on PYTHONPATH of a child process by tests.support.onedrive: its requests for Microsoft go to the emulator.

Python imports this module at every start. The library is changed when somebody imports it, and not loaded before.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from types import ModuleType

VARIABLE = "HOLDFAST_TEST_MICROSOFT_PORTS"
_LIBRARY = "requests"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the library as everybody else does, and has something done once it is loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _LIBRARY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        from tests.support.microsoft_redirect import microsoft_hosts

        microsoft_hosts.redirect_every_adapter(json.loads(os.environ[VARIABLE]))


if VARIABLE in os.environ:
    sys.meta_path.insert(0, _Finder())
