"""Importing the application, and what an operator is told when that fails."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stator.runtime.config import Actors, Application
from stator.shards.loader import ApplicationUnusable, load_registry


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder of modules that leaves no trace in this process."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.startswith("loaded_"):
            del sys.modules[name]


def _load(folder: Path, name: str, text: str, *, attribute: str = "registry") -> object:
    (folder / f"{name}.py").write_text(text)
    return load_registry(Application(f"{name}:{attribute}", str(folder)), Actors())


APPLICATION = """
from stator import Actor, action, setup
class Counter(Actor):
    @action
    def get(self): return 1
registry = setup(use={"counter": Counter})
"""


def test_a_registry_is_loaded_from_the_folder_that_is_configured(folder: Path) -> None:
    registry = _load(folder, "loaded_good", APPLICATION)
    assert [definition.name for definition in registry] == ["counter"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("loaded_syntax", "def broken(:", "cannot import .*loaded_syntax.*SyntaxError"),
        ("loaded_raises", "1 / 0", "cannot import .*ZeroDivisionError: division by zero"),
        ("loaded_exits", "raise SystemExit(3)", "cannot import .*SystemExit: 3"),
        ("loaded_nothing", "", "'loaded_nothing:registry' names nothing"),
        ("loaded_other", "registry = {}", "names a dict.*setup\\(use="),
        (
            "loaded_definition",
            APPLICATION.replace("def get(self)", "def get(self, x: Undefined)"),
            "cannot import .*NameError",
        ),
    ],
)
def test_an_unusable_application_is_told_with_what_to_do(
    folder: Path, name: str, text: str, expected: str
) -> None:
    with pytest.raises(ApplicationUnusable, match=expected):
        _load(folder, name, text)


def test_a_module_that_is_not_there_is_told_with_its_folder(folder: Path) -> None:
    with pytest.raises(ApplicationUnusable) as caught:
        load_registry(Application("loaded_missing:registry", str(folder)), Actors())
    assert "loaded_missing" in str(caught.value)
    assert str(folder) in str(caught.value)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
