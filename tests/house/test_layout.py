"""The house: its folders, its links and the one file that must never exist (conventions, 2-4)."""

import os
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from stator.runtime.version import VERSION

ROOT = Path(__file__).parents[2]
PARTS = ["runtime", "supervisor", "shards", "http", "client"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = [*PARTS, "stator/testing"]
"""Where the sources are, but for the public face."""
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted(p for p in (ROOT / "tests").rglob("*.py") if "node_modules" not in p.parts)
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_linked_into_the_package(part: str) -> None:
    assert os.readlink(ROOT / "stator" / part) == f"../{part}"
    assert (ROOT / part).is_dir()


def test_nothing_else_is_linked_into_the_package() -> None:
    links = {path.name for path in (ROOT / "stator").iterdir() if path.is_symlink()}
    assert links == set(PARTS)


def test_the_gateway_hides_no_module_of_the_standard_library() -> None:
    assert not (ROOT / "http" / "__init__.py").exists()
    script = (
        "import http.client, stator.http as ours; print(http.client.__file__, ours.__path__[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    stdlib, ours = done.stdout.split()
    assert Path(stdlib).name == "client.py"
    assert ROOT not in Path(stdlib).parents
    assert Path(ours) == ROOT / "stator" / "http"


def test_every_folder_of_sources_is_packaged() -> None:
    folders = {path.parent.relative_to(ROOT) for path in SOURCES}
    found = {"stator"} | {".".join(package_of(folder)) for folder in folders}
    setuptools = PROJECT["tool"]["setuptools"]
    assert set(setuptools["packages"]) == set(setuptools["package-dir"]) == found
    for package, folder in setuptools["package-dir"].items():
        assert package.split(".") == package_of(Path(folder))


def package_of(folder: Path) -> list[str]:
    return ["stator", *(part for part in folder.parts if part != "stator")]


def test_only_the_gateway_has_no_init() -> None:
    folders = {path.parent for path in SOURCES}
    bare = {folder.relative_to(ROOT).parts[0] for folder in folders if not has_init(folder)}
    assert bare == {"http"}
    for marker in ("stator/py.typed", "http/py.typed"):
        assert (ROOT / marker).is_file()


def has_init(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def test_the_version_is_said_once() -> None:
    assert PROJECT["project"]["version"] == VERSION


def test_no_file_has_a_name_that_says_nothing() -> None:
    named = {
        path for path in [*SOURCES, *TESTS] if path.stem.removeprefix("test_") in FORBIDDEN_NAMES
    }
    folders = {path.parent for path in [*SOURCES, *TESTS] if path.parent.name in FORBIDDEN_NAMES}
    assert named | folders == set()


def test_test_files_have_names_of_their_own() -> None:
    counted = Counter(path.name for path in TESTS)
    assert "__init__.py" not in counted
    shared = {name for name, count in counted.items() if count > 1 and name.startswith("test_")}
    assert shared == set()


def test_unit_tests_mirror_the_parts() -> None:
    folders = {path.parent.name for path in (ROOT / "tests" / "unit").rglob("test_*.py")}
    assert folders <= {*PARTS, "benchmarks", "examples", "testing", "workflows"}
