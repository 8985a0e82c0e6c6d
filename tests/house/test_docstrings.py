"""Every public thing says what its signature cannot (conventions, 5)."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [
        *(ROOT / "stator").glob("*.py"),
        *(
            path
            for part in ("runtime", "supervisor", "shards", "http", "client", "stator/testing")
            for path in (ROOT / part).rglob("*.py")
        ),
    ]
)
Function = ast.FunctionDef | ast.AsyncFunctionDef
ASYNCIO_CALLBACKS = {name for name in vars(asyncio.Protocol) | vars(asyncio.BaseProtocol)}


def base_names(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).partition("[")[0] for base in node.bases}


def interface_methods() -> set[str]:
    """Return what the protocols in runtime/ ask for: said there, it need not be said again."""
    return {
        method.name
        for path in (ROOT / "runtime").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and "Protocol" in base_names(node)
        for method in node.body
        if isinstance(method, Function)
    }


INTERFACES = interface_methods()


def undocumented(tree: ast.Module) -> Iterator[str]:
    if not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Function):
            yield from undocumented_in(node, "")


def undocumented_in(node: ast.ClassDef | Function, prefix: str) -> Iterator[str]:
    if node.name.startswith("_") or is_overload(node):
        return
    if not ast.get_docstring(node):
        yield prefix + node.name
    if isinstance(node, ast.ClassDef) and "Protocol" not in base_names(node):
        known = ASYNCIO_CALLBACKS if "asyncio.Protocol" in base_names(node) else INTERFACES
        for member in node.body:
            if isinstance(member, ast.ClassDef) or (
                isinstance(member, Function) and member.name not in known
            ):
                yield from undocumented_in(member, f"{prefix}{node.name}.")


def is_overload(node: ast.ClassDef | Function) -> bool:
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_public_thing_is_explained(path: Path) -> None:
    assert list(undocumented(ast.parse(path.read_text()))) == []


def test_what_is_not_explained_is_found() -> None:
    source = (
        "def a(): ...\ndef _b(): ...\n@overload\ndef c(): ...\n"
        "class D:\n  'd'\n  def e(self): ...\n  def __init__(self): ...\n"
        "class F(Protocol):\n  def g(self): ...\n"
        "class H(asyncio.Protocol):\n  'h'\n  def data_received(self, data): ..."
    )
    assert list(undocumented(ast.parse(source))) == ["the module", "a", "D.e", "F"]
