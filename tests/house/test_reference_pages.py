"""Exit codes and errors are API: each has its line in docs/reference, and no line is stale."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from stator.runtime.errors import ApplicationError, CallerError, KnownError, SystemTrouble
from stator.runtime.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"


def rows(page: str) -> list[list[str]]:
    """Return the cells of every table row of a page."""
    return [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in (PAGES / page).read_text().splitlines()
        if line.startswith("| `")
    ]


def explained_exit_codes() -> dict[str, str]:
    """Return the line under each code in ``runtime/exit_codes.py``."""
    tree = ast.parse((ROOT / "runtime" / "exit_codes.py").read_text())
    (kind,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found: dict[str, str] = {}
    for code, text in zip(kind.body[1:], kind.body[2:], strict=False):
        if isinstance(code, ast.Assign) and isinstance(text, ast.Expr):
            assert isinstance(text.value, ast.Constant)
            found[ast.unparse(code.targets[0])] = " ".join(str(text.value.value).split())
    return found


def test_every_exit_code_is_on_its_page() -> None:
    meanings = explained_exit_codes()
    assert meanings.keys() == {code.name for code in ExitCode}
    expected = [
        [f"`{code.value}`", f"`{code.name}`", meanings[code.name].replace("``", "`")]
        for code in sorted(ExitCode)
    ]
    assert rows("exit-codes.md") == expected


BLAME = {CallerError: "caller", SystemTrouble: "service", ApplicationError: "application"}
ERROR_MODULES = {
    path
    for path in (ROOT / "runtime").glob("*errors.py")  # errors.py, queue_errors.py, ...
}
KNOWN = [
    kind
    for path in sorted(ERROR_MODULES)
    for kind in vars(import_module(f"stator.runtime.{path.stem}")).values()
    if isinstance(kind, type)
    and issubclass(kind, KnownError)
    and kind not in (KnownError, *BLAME)
    and kind.__module__.endswith(f".{path.stem}")
]


def expected_row(kind: type[KnownError]) -> list[str]:
    group, code, status = kind.known
    (blame,) = [name for ancestor, name in BLAME.items() if issubclass(kind, ancestor)]
    meaning = " ".join((kind.__doc__ or "").split())
    return [f"`{group}.{code}`", str(status), blame, kind.retry, meaning]


@pytest.mark.parametrize("kind", KNOWN, ids=lambda kind: kind.__name__)
def test_every_error_is_on_its_page(kind: type[KnownError]) -> None:
    assert expected_row(kind) in rows("errors.md")


def test_the_page_of_errors_has_nothing_else_and_is_sorted() -> None:
    identities = [row[0] for row in rows("errors.md")]
    assert identities == sorted(identities)
    assert sorted(map(expected_row, KNOWN)) == sorted(rows("errors.md"))


def test_no_other_module_invents_errors() -> None:
    pattern = re.compile(
        r"^class \w+\((KnownError|CallerError|ApplicationError|SystemTrouble)\)", re.M
    )
    parts = ("runtime", "supervisor", "shards", "http", "client")
    found = {
        p for part in parts for p in (ROOT / part).rglob("*.py") if pattern.search(p.read_text())
    }
    assert found <= ERROR_MODULES
