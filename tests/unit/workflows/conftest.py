"""Tests here may be ``async def``."""

from tests.fakes.coroutine_tests import pytest_pyfunc_call as pytest_pyfunc_call
