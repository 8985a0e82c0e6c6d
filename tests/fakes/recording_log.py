"""A logger that keeps its lines."""

from __future__ import annotations

from typing import Any


class RecordingLog:
    """Implements ``runtime.log.Logger``; loggers made by :meth:`bind` share the lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self._fields: dict[str, Any] = {}

    def bind(self, **fields: Any) -> RecordingLog:
        """Return a logger with more fields."""
        bound = RecordingLog()
        bound.lines = self.lines
        bound._fields = {**self._fields, **fields}
        return bound

    def events(self) -> list[str]:
        """Return what was logged, without the fields."""
        return [line["event"] for line in self.lines]

    def trace(self, event: str, *args: Any, **fields: Any) -> None:
        self._add("trace", event, args, fields)

    def debug(self, event: str, *args: Any, **fields: Any) -> None:
        self._add("debug", event, args, fields)

    def info(self, event: str, *args: Any, **fields: Any) -> None:
        self._add("info", event, args, fields)

    def warning(self, event: str, *args: Any, **fields: Any) -> None:
        self._add("warning", event, args, fields)

    def error(self, event: str, *args: Any, **fields: Any) -> None:
        self._add("error", event, args, fields)

    def exception(self, event: str, *args: Any, **fields: Any) -> None:
        self._add("exception", event, args, fields)

    def critical(self, event: str, *args: Any, **fields: Any) -> None:
        self._add("critical", event, args, fields)

    def _add(self, level: str, event: str, args: tuple[Any, ...], fields: dict[str, Any]) -> None:
        text = event % args if args else event
        self.lines.append({**self._fields, **fields, "event": text, "level": level})
