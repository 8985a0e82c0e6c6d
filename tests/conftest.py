"""What every test may use: a short temporary folder, and how hard hypothesis tries.

``ci`` is the default profile: the same examples on every run. ``HYPOTHESIS_PROFILE=thorough``
looks for new ones.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """Return a fresh folder whose path leaves room for a socket's name (108 bytes in all)."""
    path = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield path
    shutil.rmtree(path)
