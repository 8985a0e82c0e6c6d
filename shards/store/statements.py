"""The named statements of ``statements.sql`` and the steps of ``schema.sql``."""

from __future__ import annotations

import re
from importlib.resources import files

_NAMED = re.compile(r"^-- (\w+): .*$", re.MULTILINE)
_STEP = re.compile(r"^-- step (\d+): .*$", re.MULTILINE)


def _read(name: str) -> str:
    return files("stator.shards.store").joinpath(name).read_text(encoding="utf-8")


def _split(text: str, heading: re.Pattern[str]) -> dict[str, str]:
    marks = list(heading.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return {
        mark.group(1): text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)
    }


STATEMENTS = _split(_read("statements.sql"), _NAMED)
"""SQL by name."""

SCHEMA_STEPS = {int(step): sql for step, sql in _split(_read("schema.sql"), _STEP).items()}
"""SQL scripts by the ``user_version`` they lead to, from 1 without gaps."""


def upsert_states(rows: int) -> str:
    """Return the statement that stores ``rows`` states at once.

    One statement for many rows, because stepping a statement gives the interpreter lock away and
    getting it back from a busy event loop is what costs.
    """
    values = ", ".join(["(?, ?)"] * rows)
    return (
        f"INSERT INTO states (pk, image) VALUES {values} "
        "ON CONFLICT (pk) DO UPDATE SET image = excluded.image"
    )


def insert_messages(rows: int) -> str:
    """Return the statement that adds ``rows`` messages at once; see :func:`upsert_states`."""
    values = ", ".join(["(?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO messages (pk, id, name, body, created_ms) VALUES {values}"


def upsert_entries(rows: int) -> str:
    """Return the statement that stores ``rows`` entries of workflows at once; see
    :func:`upsert_states`."""
    values = ", ".join(["(?, ?, ?)"] * rows)
    return (
        f"INSERT INTO workflow_entries (pk, seq, image) VALUES {values} "
        "ON CONFLICT (pk, seq) DO UPDATE SET image = excluded.image"
    )


def upsert_last_messages(rows: int) -> str:
    """Return the statement that records the greatest message id of ``rows`` actors at once.

    An id that is smaller than the one there changes nothing.
    """
    values = ", ".join(["(?, ?)"] * rows)
    return (
        f"INSERT INTO queues (pk, last_id) VALUES {values} "
        "ON CONFLICT (pk) DO UPDATE SET last_id = max(last_id, excluded.last_id)"
    )
