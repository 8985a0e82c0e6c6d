"""Lets process tests be ``async def``."""

from tests.fakes.coroutine_tests import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
