"""Rows: ratios by round, targets of both directions, the JSON that the house reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.report import Row, Target, compare, format_table, write_json


def test_the_ratio_is_the_median_of_the_rounds() -> None:
    row = compare("rate", "actions/s", [(10, 20), (30, 40), (5, 100)])
    assert (row.value, row.limit, row.ratio) == (10, 40, 0.5)


@pytest.mark.parametrize(
    ("target", "ratio", "met"),
    [
        (Target(0.7), 0.7, True),
        (Target(0.7), 0.69, False),
        (Target(3, is_at_most=True), 3.0, True),
        (Target(3, is_at_most=True), 3.1, False),
        (None, 0.5, None),
    ],
)
def test_a_target_is_a_floor_or_a_ceiling(
    target: Target | None, ratio: float, met: bool | None
) -> None:
    assert Row("figure", "s", 100.0, 200.0, ratio, target).met is met


def test_without_a_limit_the_target_is_of_the_value() -> None:
    assert Row("memory", "KiB", 3.5, target=Target(3, is_at_most=True)).met is False


def test_the_json_holds_a_list_of_rows_with_these_fields(tmp_path: Path) -> None:
    file = tmp_path / "build" / "bench.json"
    write_json([Row("rate", "actions/s", 7.0, 10.0, 0.7, Target(0.7))], file)
    assert json.loads(file.read_text()) == [
        {
            "figure": "rate",
            "unit": "actions/s",
            "value": 7.0,
            "limit": 10.0,
            "ratio": 0.7,
            "target": 0.7,
            "met": True,
        }
    ]


def test_the_table_says_which_target_is_missed() -> None:
    line = format_table([Row("rate", "1/s", 1.0, 2.0, 0.5, Target(0.7))]).splitlines()[-1]
    assert [cell.strip() for cell in line.strip("| ").split("|")] == [
        *("rate", "1/s", "1", "2", "0.500", ">= 0.7", "NO")
    ]
