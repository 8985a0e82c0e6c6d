"""Every test here runs against the store of the service and against its in-memory twin."""

from pathlib import Path

import pytest

from tests.fakes.coroutine_tests import pytest_pyfunc_call as pytest_pyfunc_call
from tests.fakes.store_media import Medium, MemoryMedium, SqliteMedium


@pytest.fixture(params=["sqlite", "memory"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    """Where the store under test keeps its shard; empty at first."""
    return SqliteMedium(tmp_path) if request.param == "sqlite" else MemoryMedium()
