"""What process tests share: they may be ``async def``, and one service serves many of them."""

from collections.abc import Iterator

import pytest

from tests.fakes.coroutine_tests import pytest_pyfunc_call as pytest_pyfunc_call
from tests.fakes.real_service import RealService


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service with default limits, no tokens and the namespaces ``default`` and ``second``."""
    settings = {"namespaces.names": '["default", "second"]'}
    with RealService(tmp_path_factory.mktemp("service"), settings) as running:
        running.wait_ready()
        yield running
