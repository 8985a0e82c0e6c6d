"""The official clients, unmodified, against a running service. The cases are in ``cases/``."""

import pytest

from tests.interop.official_clients import RUNS, Problems

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        pytest.param(run.name, sentence, id=f"{run.name}-{sentence}")
        for run in RUNS
        for sentence in run.sentences()
    ],
)
def test_the_official_client_finds(problems: dict[str, Problems], run: str, sentence: str) -> None:
    if problem := problems[run][sentence]:
        pytest.fail(problem, pytrace=False)


def test_every_case_that_ran_is_a_test_here(problems: dict[str, Problems]) -> None:
    for run in RUNS:
        assert sorted(problems[run.name]) == sorted(run.sentences())
