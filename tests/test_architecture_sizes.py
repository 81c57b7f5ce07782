"""Files and functions stay short enough to be read at one sitting."""

from __future__ import annotations

import ast

from tests.support.product_code import ROOT, product_files

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 50


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in product_files()}
    assert {file: length for file, length in lengths.items() if length >= MOST_LINES_OF_A_FILE} == {}


def test_functions_are_short() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {function: length for function, length in lengths.items() if length >= MOST_LINES_OF_A_FUNCTION} == {}
