"""No file over 500 lines, no function over 50 (conventions, 2): at 400, find the noun inside."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_FILE_LINES, MAX_FUNCTION_LINES = 500, 50


PARTS = ["runtime", "supervisor", "shards", "http", "client", "stator/testing"]
FOLDERS = [*PARTS, "tests", "benchmarks", "examples"]
FILES = sorted(
    [
        *(ROOT / "stator").glob("*.py"),
        *(
            path
            for folder in FOLDERS
            for path in (ROOT / folder).rglob("*.py")
            if "node_modules" not in path.parts
        ),
    ]
)
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@each_file
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


@each_file
def test_a_function_fits_on_a_screen(path: Path) -> None:
    long = {
        node.name: lines_of(node)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines_of(node) > MAX_FUNCTION_LINES
    }
    assert long == {}


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1
