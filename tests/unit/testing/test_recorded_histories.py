"""Runs that an earlier version began go on with this one: ``tests/recorded/workflows``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stator.runtime.version import VERSION
from stator.testing import replay
from stator.workflow import WorkflowHistory
from tests.fakes.history_recorder import FOLDER, record
from tests.fakes.recorded_workflows import RECORDED

FILES = sorted(FOLDER.glob("*/*.history"))

each_file: Callable[[Any], Any] = pytest.mark.parametrize(
    "path", FILES, ids=[f"{path.parent.name}/{path.stem}" for path in FILES]
)


def kept_in(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_bytes(path.read_bytes())


@each_file
async def test_the_history_of_a_release_is_replayed_by_this_one(path: Path) -> None:
    history, recorded = kept_in(path), RECORDED[path.stem]

    report = await replay(history, recorded.actor)

    assert report.ok, str(report)
    assert (history.status.state, report.frontier) == (recorded.status, recorded.frontier)


@each_file
def test_the_history_of_a_release_can_be_read_and_kept_again(path: Path) -> None:
    data = path.read_bytes()

    assert WorkflowHistory.from_bytes(data).to_bytes() == data


def test_this_version_has_recorded_all_of_them() -> None:
    assert {path.stem for path in FILES if path.parent.name == VERSION} == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
async def test_this_version_makes_the_history_that_it_has_recorded(name: str) -> None:
    kept = kept_in(FOLDER / VERSION / f"{name}.history")

    made = await record(RECORDED[name])

    def told(history: WorkflowHistory) -> list[tuple[str, str, str]]:
        # Keys that are random or a time are others in each run.
        return sorted(
            (entry.key.rstrip("0123456789"), entry.kind, entry.status) for entry in history
        )

    assert told(made) == told(kept)
