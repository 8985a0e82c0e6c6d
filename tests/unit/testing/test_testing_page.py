"""The page about testing is true: every example on it runs."""

from __future__ import annotations

import asyncio
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "testing.md"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> Iterator[str]:
    """Return the code of the page, in order."""
    return (found[1] for found in EXAMPLE.finditer(PAGE.read_text()))


def run_page() -> dict[str, Any]:
    """Run the examples as one module, and return what it defines."""
    module = sys.modules["testing_page"] = ModuleType("testing_page")
    for code in examples():
        exec(code, vars(module))
    return vars(module)


NAMESPACE = run_page()


@pytest.mark.parametrize("name", [name for name in NAMESPACE if name.startswith("test_")])
def test_an_example_of_the_page_about_testing_runs(name: str) -> None:
    outcome = NAMESPACE[name]()
    if inspect.iscoroutine(outcome):
        asyncio.run(outcome)


def test_the_page_about_testing_names_all_that_tests_can_do() -> None:
    from stator.testing import Controls

    offered = {name for name in vars(Controls) if not name.startswith("_")}
    shown = set(re.findall(r"^\| `(?:await )?(\w+)\(", PAGE.read_text(), re.MULTILINE))
    assert shown == offered
