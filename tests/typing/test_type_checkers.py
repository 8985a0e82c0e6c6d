"""The public types, as ``mypy --strict`` and pyright see them from an application."""

import json
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
MYPY, PYRIGHT = 0, 1

Found = dict[int, set[str]]
"""The codes of the errors of each line that has any."""


def run_mypy(path: Path) -> Found:
    options = ["--strict", "--no-error-summary", "--show-error-codes", "--no-pretty"]
    cache = ROOT / ".mypy_cache" / "typing"
    command = [*options, "--config-file=", f"--cache-dir={cache}", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *command],
        cwd=path.parent,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    outside = [line for line in errors if not line.startswith(path.name)]
    assert outside == [], "an application must not see errors of stator's own files"
    return by_line((int(e.split(":")[1]), e.rpartition("[")[2].rstrip("]")) for e in errors)


def run_pyright(path: Path) -> Found:
    settings = {
        "include": [path.name],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "extraPaths": [str(ROOT)],
        "venvPath": str(BIN.parents[1]),
        "venv": BIN.parent.name,
    }
    (path.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [BIN / "pyright", "--outputjson", "--project", path.parent],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return by_line(
        (problem["range"]["start"]["line"] + 1, problem["rule"])
        for problem in json.loads(done.stdout)["generalDiagnostics"]
        if problem["severity"] == "error"
    )


def by_line(errors: Iterable[tuple[int, str]]) -> Found:
    found: Found = defaultdict(set)
    for line, code in errors:
        found[line].add(code)
    return found


Checker = Callable[[Path], Found]
CHECKERS = [
    pytest.param(run_mypy, MYPY, id="mypy"),
    pytest.param(run_pyright, PYRIGHT, id="pyright"),
]


def seeded(path: Path, checker: int) -> dict[int, str]:
    """Return the codes that the comments of a file promise, by line."""
    return {
        number: line.partition("  # ")[2].split(" | ")[checker]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if " | report" in line
    }


@pytest.mark.parametrize("name", ["sample_application.py", "sample_workflow.py"])
@pytest.mark.parametrize("check", [run_mypy, run_pyright])
def test_an_application_has_no_type_errors(check: Checker, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    shutil.copy(HERE / name, path)
    assert check(path) == {}


@pytest.mark.parametrize("name", ["seeded_errors.py", "seeded_workflow_errors.py"])
@pytest.mark.parametrize(("check", "checker"), CHECKERS)
def test_every_seeded_mistake_is_found_and_none_is_invented(
    check: Checker, checker: int, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    shutil.copy(HERE / f"{name}.txt", path)
    expected = seeded(path, checker)
    assert len(expected) > 15
    found = check(path)
    assert found.keys() == expected.keys()
    assert {line for line, code in expected.items() if code not in found[line]} == set()
