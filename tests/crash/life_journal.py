"""What the actors of ``life_application`` wrote down outside of stator, and who is in the files."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

from stator.shards.database_files import SUFFIX

OWNED = ("states", "messages", "queues", "schedules", "schedule_history", "pairs")
"""Tables with rows of actors."""


class Journal:
    """The lines of a journal."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "journal"
        self._file.touch()

    def lines(self, kind: str, key: str) -> list[tuple[str, str]]:
        """Return the last two words of each line of a kind that an actor wrote, in order."""
        found: list[tuple[str, str]] = []
        for line in self._file.read_text().splitlines():
            word, actor, *rest = line.split(" ")
            if (word, actor) == (kind, key):
                found.append((rest[0], rest[1]))
        return found

    def repeated(self, kind: str, key: str) -> list[tuple[str, str]]:
        """Return the lines that are there more than once."""
        counted = Counter(self.lines(kind, key))
        return [line for line, times in counted.items() if times > 1]


class DataDirectory:
    """The files of a service that does not run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def owners(self, table: str) -> list[str]:
        """Return the ids of the actors that have rows in a table, of all shards."""
        return self._select(f"SELECT DISTINCT actor_id FROM actors JOIN {table} USING (pk)")

    def actors(self) -> list[str]:
        """Return the ids of all actors that have a row."""
        return self._select("SELECT actor_id FROM actors")

    def rows_of_nobody(self) -> int:
        """Return how many rows belong to no actor."""
        counts = [
            self._select(f"SELECT count(*) FROM {table} WHERE pk NOT IN (SELECT pk FROM actors)")
            for table in OWNED
        ]
        return sum(int(count) for table in counts for count in table)

    def databases(self) -> list[str]:
        """Return the ids of all actors of whose database anything is on disk."""
        files = self._directory.glob("shard-*-databases/*")
        return sorted({file.name.partition(SUFFIX)[0] for file in files})

    def _select(self, sql: str) -> list[str]:
        found: list[str] = []
        for file in sorted(self._directory.glob("shard-*.sqlite")):
            connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
            found += [str(row[0]) for row in connection.execute(sql)]
            connection.close()
        return found
