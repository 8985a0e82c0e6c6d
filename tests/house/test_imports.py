"""The rule of the roof (conventions, 3): who may import what, nested imports included."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["runtime", "supervisor", "shards", "http", "client"]
DISTRIBUTIONS = {
    text.partition(">")[0]
    for text in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
}

SHARED = {"msgspec", "cbor2", "structlog"}
FOREIGN = {
    "stator": {"setproctitle"},
    "runtime": SHARED | {"cronsim", "multidict"},
    "supervisor": SHARED | {"psutil", "setproctitle"},
    "shards": SHARED | {"apsw", "uvloop"},
    "http": SHARED | {"aiohttp", "multidict", "uvloop", "yarl"},
    "client": SHARED | {"aiohttp", "multidict", "yarl"},
    "testing": SHARED | {"aiohttp", "multidict"},
}
"""What each part may use beyond the standard library."""

OF_AIOHTTP = {"multidict", "yarl"}
"""Types of aiohttp's own interface; it brings them along."""

COMPOSED_BY_TESTS = {"runtime", "shards", "http", "client", "testing"}
"""``stator.testing`` runs a whole service in one process, so it puts the parts together."""

FOR_CHECKERS = {"typing_extensions"}
"""May be imported under ``TYPE_CHECKING`` only: mypy and pyright bring it along."""

BANNED = {
    "runtime": {"sqlite3", "socket", "socketserver", "ssl", "http", "urllib"},
    "supervisor": {"sqlite3", "importlib", "runpy"},
    "http": {"sqlite3"},
    "client": {"sqlite3"},
}
"""Modules of the standard library that would bring in what the part is never to have."""

PURE = [
    "runtime/cadence.py",
    "runtime/calling.py",
    "runtime/database.py",
    "runtime/declarations.py",
    "runtime/definition.py",
    "runtime/error_views.py",
    "runtime/errors.py",
    "runtime/container_views.py",
    "runtime/control.py",
    "runtime/exact_form.py",
    "runtime/exit_codes.py",
    "runtime/ids.py",
    "runtime/keys.py",
    "runtime/link/frame_codec.py",
    "runtime/link/frames.py",
    "runtime/object_views.py",
    "runtime/options.py",
    "runtime/pair_errors.py",
    "runtime/percent_encoding.py",
    "runtime/protocol/actions.py",
    "runtime/protocol/bare.py",
    "runtime/protocol/cbor_dialect.py",
    "runtime/protocol/cbor_tags.py",
    "runtime/protocol/connection.py",
    "runtime/protocol/encoding.py",
    "runtime/protocol/envelope.py",
    "runtime/protocol/error_bodies.py",
    "runtime/protocol/expand.py",
    "runtime/protocol/json_dialect.py",
    "runtime/protocol/kinds.py",
    "runtime/protocol/lowering.py",
    "runtime/protocol/queue.py",
    "runtime/protocol/tagged.py",
    "runtime/protocol/to_client.py",
    "runtime/protocol/to_server.py",
    "runtime/protocol/wording.py",
    "runtime/public_codes.py",
    "runtime/raw_http.py",
    "runtime/read_only.py",
    "runtime/sameness.py",
    "runtime/schedule_errors.py",
    "runtime/signature.py",
    "runtime/state_codec.py",
    "runtime/state_guard.py",
    "runtime/views.py",
    "runtime/workflow/backoff.py",
    "runtime/workflow/callables.py",
    "runtime/workflow/declaration.py",
    "runtime/workflow/guard.py",
    "runtime/workflow/keys.py",
    "runtime/workflow/references.py",
    "runtime/workflow/typed_form.py",
    "runtime/workflow/values.py",
    "runtime/workflow_errors.py",
    "supervisor/policy.py",
    "supervisor/roll.py",
    "client/reconnection.py",
    "shards/lifecycle.py",
    "http/admission.py",
    "http/base64_forms.py",
    "http/handshake.py",
    "http/routes.py",
    "http/web_socket_frames.py",
]
"""Bytes or records in, records out."""

IMPURE = {"asyncio", "os", "random", "selectors", "signal", "socket", "subprocess", "threading"} | {
    "time",
    "uvloop",
}


class Import(NamedTuple):
    module: str
    """Absolute: ``stator.runtime.ids``, whatever the file wrote."""
    is_relative: bool
    is_for_checkers: bool
    line: int


def imports_of(path: Path, source: str | None = None) -> list[Import]:
    """Return every import of a file, at whatever depth."""
    folders = path.relative_to(ROOT).parent.parts
    package = folders if folders[0] == "stator" else ("stator", *folders)
    tree = ast.parse(path.read_text() if source is None else source)
    return list(walk(tree, package, is_for_checkers=False))


def walk(node: ast.AST, package: tuple[str, ...], *, is_for_checkers: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inner = is_for_checkers or (
            isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        )
        if isinstance(child, ast.Import):
            for name in child.names:
                yield Import(name.name, False, inner, child.lineno)
        elif isinstance(child, ast.ImportFrom):
            start = package[: len(package) - child.level + 1] if child.level else ()
            base = ".".join([*start, *filter(None, [child.module])])
            for name in child.names:
                whole = f"{base}.{name.name}" if is_module(f"{base}.{name.name}") else base
                yield Import(whole, bool(child.level), inner, child.lineno)
        yield from walk(child, package, is_for_checkers=inner)


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return name.startswith("stator.") and (path.with_suffix(".py").is_file() or path.is_dir())


def part_of(path: Path) -> str:
    first, second, *_ = path.relative_to(ROOT).parts
    return "testing" if (first, second) == ("stator", "testing") else first


FILES = sorted(
    [
        *(ROOT / "stator").glob("*.py"),
        *(p for part in [*PARTS, "stator/testing"] for p in (ROOT / part).rglob("*.py")),
    ]
)
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


@each_file
def test_the_parts_meet_in_runtime_only(path: Path) -> None:
    part = part_of(path)
    if part == "stator":
        return
    allowed = COMPOSED_BY_TESTS if part == "testing" else {"runtime", part}
    for found in imports_of(path):
        names = found.module.split(".")
        if names[0] == "stator":
            assert len(names) > 1, f"line {found.line}: the public face is for applications"
            assert names[1] in allowed, f"line {found.line}: {part}/ imports {found.module}"


@each_file
def test_nothing_rests_on_what_is_for_tests(path: Path) -> None:
    if part_of(path) != "testing":
        for found in imports_of(path):
            assert not found.module.startswith("stator.testing"), f"line {found.line}"


@pytest.mark.parametrize(
    "part", ["stator", "runtime", "supervisor", "shards", "http", "client", "testing"]
)
def test_a_part_is_relative_to_itself_only(part: str) -> None:
    mistaken = [
        f"{path.name} line {found.line}: {found.module}"
        for path in FILES
        if part_of(path) == part
        for found in imports_of(path)
        if found.module.startswith("stator.")
        and found.is_relative != (found.module.split(".")[1] == part)
    ]
    assert mistaken == []


@each_file
def test_a_part_uses_what_it_may(path: Path) -> None:
    part = part_of(path)
    for found in imports_of(path):
        top = found.module.partition(".")[0]
        if top == "stator" or (found.is_for_checkers and top in FOR_CHECKERS):
            continue
        if top in sys.stdlib_module_names:
            assert top not in BANNED.get(part, set()), f"line {found.line}: {part}/ uses {top}"
        else:
            assert top in FOREIGN[part], f"line {found.line}: {part}/ uses {top}"
            assert top in DISTRIBUTIONS | OF_AIOHTTP


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_does_nothing_but_compute(name: str) -> None:
    for found in imports_of(ROOT / name):
        top = found.module.partition(".")[0]
        assert top not in IMPURE, f"line {found.line}: {name} imports {found.module}"
        if top == "stator" and not found.is_for_checkers:
            file = found.module.removeprefix("stator.").replace(".", "/") + ".py"
            assert file in PURE, f"line {found.line}: {name} rests on {file}, which is not pure"


def test_the_command_line_imports_a_role_where_it_is_needed() -> None:
    tree = ast.parse((ROOT / "stator" / "__main__.py").read_text())
    at_the_top = [
        found
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for found in walk(ast.Module([node], []), ("stator",), is_for_checkers=False)
    ]
    assert [found.module for found in at_the_top if found.module.startswith("stator")] == []


# -- the tests of the test


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import a.b", "a.b"),
        ("from a import b", "a"),
        ("from . import shard", "stator.shards.shard"),
        ("from .shard import Shard", "stator.shards.shard"),
        ("from ..runtime.ids import shard_of", "stator.runtime.ids"),
        ("from ..runtime import ids", "stator.runtime.ids"),
        ("def f():\n  if f:\n    from stator.http import gateway", "stator.http.gateway"),
        ("class A:\n  try:\n    import x\n  except E: pass", "x"),
    ],
)
def test_an_import_is_found_wherever_it_hides(source: str, module: str) -> None:
    (found,) = imports_of(ROOT / "shards" / "engine.py", source)
    assert (found.module, found.is_for_checkers) == (module, False)


def test_an_import_for_checkers_is_known() -> None:
    source = "if TYPE_CHECKING:\n  import a\nelse:\n  import b\nimport c"
    found = imports_of(ROOT / "shards" / "engine.py", source)
    assert [entry.is_for_checkers for entry in found if entry.module in ("a", "c")] == [True, False]
