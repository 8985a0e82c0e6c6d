"""The collector of a process that serves."""

import gc
from collections.abc import Iterator

import pytest

from stator.runtime.garbage import YOUNG_OBJECTS, settle_collector


@pytest.fixture(autouse=True)
def _restored_collector() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_what_was_there_at_the_start_is_not_collected_any_more() -> None:
    settle_collector()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
