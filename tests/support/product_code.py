"""The product's own source files and what they import, for the tests that hold the architecture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

NOT_THE_PRODUCT = {"tests", "benchmarks", "docs", "tools"}


@dataclass(frozen=True)
class Import:
    """One import statement of the product: where it stands and the top-level name that it imports."""

    file: str
    line: int
    name: str
    is_deferred: bool

    @property
    def importer(self) -> str:
        return self.file.partition("/")[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"


def product_files() -> list[Path]:
    """Every Python file of the product; not its tests, benchmarks and tools."""
    packages = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name not in NOT_THE_PRODUCT]
    return sorted([*ROOT.glob("*.py"), *(file for package in packages for file in package.rglob("*.py"))])


def imports_below(node: ast.AST, file: str, is_deferred: bool) -> Iterator[Import]:
    """The imports in the syntax tree below ``node``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(file, child.lineno, alias.name.partition(".")[0], is_deferred)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield Import(file, child.lineno, child.module.partition(".")[0], is_deferred)
        yield from imports_below(child, file, is_deferred or _defers(child))


def _defers(node: ast.AST) -> bool:
    """Whether what stands in it is not run when the module is loaded: a function, and ``if TYPE_CHECKING:``."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


@cache
def all_imports() -> tuple[Import, ...]:
    """Every import statement of the product, those inside of functions included; relative ones are left out."""
    return tuple(
        found
        for path in product_files()
        for found in imports_below(ast.parse(path.read_bytes()), str(path.relative_to(ROOT)), False)
    )


def units() -> set[str]:
    """The top-level modules and packages of the product."""
    return {str(path.relative_to(ROOT)).partition("/")[0].removesuffix(".py") for path in product_files()}
