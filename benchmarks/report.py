"""The rows of a run: a table on standard output and ``build/bench.json``."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach: of its ratio, or of its value if it has no limit."""

    bound: float
    is_at_most: bool = False

    def is_met_by(self, figure: float) -> bool:
        """Whether a figure is within the target."""
        return figure <= self.bound if self.is_at_most else figure >= self.bound

    def __str__(self) -> str:
        return f"{'<=' if self.is_at_most else '>='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of a run."""

    figure: str
    unit: str
    value: float
    limit: float | None = None
    """The same figure of the limit it is measured beside."""
    ratio: float | None = None
    """Value to limit: the median of the rounds, so not exactly the quotient of the medians."""
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Whether the target is met, ``None`` without one."""
        if self.target is None:
            return None
        return self.target.is_met_by(self.value if self.ratio is None else self.ratio)


def compare(
    figure: str,
    unit: str,
    rounds: Sequence[tuple[float, float]],
    target: Target | None = None,
) -> Row:
    """Return the row of pairs (value, limit) that were measured one after the other."""
    return Row(
        figure,
        unit,
        statistics.median(value for value, _ in rounds),
        statistics.median(limit for _, limit in rounds),
        statistics.median(value / limit for value, limit in rounds),
        target,
    )


HEADINGS = ("figure", "unit", "value", "limit", "ratio", "target", "met")


def cells_of(row: Row) -> tuple[str, ...]:
    """Return a row as text."""
    met = "" if row.met is None else "yes" if row.met else "NO"
    return (
        row.figure,
        row.unit,
        _number(row.value),
        _number(row.limit),
        "" if row.ratio is None else f"{row.ratio:.3f}",
        "" if row.target is None else str(row.target),
        met,
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def format_table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table, aligned for a terminal."""
    table = [HEADINGS, *map(cells_of, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in table
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def write_json(rows: Iterable[Row], path: Path) -> None:
    """Write the rows as a list of objects; ``target`` is the bound alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [
        {
            "figure": row.figure,
            "unit": row.unit,
            "value": row.value,
            "limit": row.limit,
            "ratio": row.ratio,
            "target": None if row.target is None else row.target.bound,
            "met": row.met,
        }
        for row in rows
    ]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(listed)) + b"\n")
