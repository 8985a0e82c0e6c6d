"""``self.db`` beside APSW in a thread, and ``self.kv``: statements and pairs a second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .http_actions import Length, alternate
from .population import ask
from .report import Row, Target, compare
from .subjects import Service

READS = Target(0.5)

ACTOR, KEY = "ledger", "main"


def rows(service: Service, length: Length) -> Iterator[Row]:
    """Yield the rows of one actor that uses its storage, one call at a time and 64."""

    def call(action: str, *args: object) -> float:
        rate: float = ask(service, ACTOR, KEY, action, *args, length.seconds)
        return rate

    path = str(prepare(service))
    for action, target in (("read", READS), ("write", None)):
        kind = "point reads" if action == "read" else "inserts, a transaction each"
        for at_once in (1, 64):
            rates = alternate(
                lambda action=action, at_once=at_once: call(action, at_once),  # type: ignore[misc]
                lambda action=action, at_once=at_once: call(f"{action}_by_apsw", path, at_once),  # type: ignore[misc]
                length,
            )
            name = f"self.db / APSW in a thread: {kind}, {at_once} at a time"
            yield compare(name, "1/s", rates, target)
    for action in ("put_pairs", "get_pairs"):
        for at_once in (1, 64):
            name = f"self.kv: {action.removesuffix('_pairs')}, {at_once} at a time"
            yield Row(name, "1/s", max(call(action, at_once) for _ in range(2)))


def prepare(service: Service) -> Path:
    """Fill the database and return its file."""
    ask(service, ACTOR, KEY, "fill")
    actor_id = ask(service, ACTOR, KEY, "get")
    (path,) = service.data.glob(f"*/{actor_id}.sqlite")
    return path
