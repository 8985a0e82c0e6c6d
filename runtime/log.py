"""Logging of one process: structlog to standard output, as JSON lines or as text.

Rule 1. One line an event. Every line has ``timestamp`` (UTC), ``level``, ``event``, ``logger``,
        ``process`` and ``pid``; an exception is the text of its traceback in ``exception``.
Rule 2. Logging never fails its caller: a value that cannot be encoded is written as its repr,
        a line that nobody reads is dropped.
Rule 3. A call below the level does nothing but return. What logs often keeps the logger that
        ``bind`` gave it; the one of :func:`get_logger` looks its method up at each call.
Rule 4. What asyncio, aiohttp and the application log through ``logging`` comes out the same way.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO, Protocol, cast

import msgspec
import structlog
from structlog.typing import EventDict

from .config import LogFormat, LogLevel

TRACE = 5
"""The number of level ``trace`` in the standard library's ``logging``."""

LEVELS: dict[LogLevel, int] = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


class Logger(Protocol):
    """A logger with bound fields. Fields given to a call go to its line only."""

    def bind(self, **fields: Any) -> Logger:
        """Return a logger that writes ``fields`` on every line as well."""
        ...

    def trace(self, event: str, *args: Any, **fields: Any) -> None:
        """Log single frames, turns, statements."""
        ...

    def debug(self, event: str, *args: Any, **fields: Any) -> None:
        """Log what helps to find a fault; ``args`` are %-formatted into ``event``."""
        ...

    def info(self, event: str, *args: Any, **fields: Any) -> None:
        """Log what an operator wants to know of a healthy service."""
        ...

    def warning(self, event: str, *args: Any, **fields: Any) -> None:
        """Log what an operator should look at some day."""
        ...

    def error(self, event: str, *args: Any, **fields: Any) -> None:
        """Log what went wrong; ``exc_info=error`` adds the traceback."""
        ...

    def exception(self, event: str, *args: Any, **fields: Any) -> None:
        """Log an error with the traceback of the exception being handled."""
        ...

    def critical(self, event: str, *args: Any, **fields: Any) -> None:
        """Log what ends the process."""
        ...


def get_logger(name: str) -> Logger:
    """Return the logger of a module; may be called before :func:`configure_logging`."""
    return cast("Logger", structlog.get_logger(name))


def configure_logging(level: LogLevel, format: LogFormat, process: str) -> None:  # noqa: A002
    """Configure this process, which calls itself ``process`` (``"gateway 0"``) on every line.

    Loggers used before keep what they had. Writes to what ``sys.stdout`` is now.
    """
    is_terminal = sys.stdout.isatty()
    as_text = is_terminal if format == "auto" else format == "text"
    structlog.configure(
        processors=[
            _Stamp(process),
            structlog.processors.format_exc_info,
            _text_renderer(colors=is_terminal) if as_text else _to_json,
        ],
        wrapper_class=_filtered_at(level),
        context_class=dict,
        logger_factory=partial(_Output, sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(LEVELS[level])


class _Stamp:
    """Put the fields of rule 1 first; they win over fields of the same name."""

    def __init__(self, process: str) -> None:
        self._identity = {"process": process, "pid": os.getpid()}

    def __call__(self, output: _Output, method: str, event: EventDict) -> EventDict:
        now = datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
        head = {"timestamp": f"{now}Z", "level": method, "event": event["event"]}
        head["logger"] = output.name
        return {**head, **event, **head, **self._identity}


def _shown(value: object) -> str:
    """Return the repr of ``value``, of which user code may have made one that raises."""
    try:
        return repr(value)
    except Exception:
        return f"<{type(value).__name__} without a repr>"


def _shown_plainly(event: EventDict) -> EventDict:
    return {
        key: value if isinstance(value, str | int | None) else _shown(value)
        for key, value in event.items()
    }


_encoder = msgspec.json.Encoder(enc_hook=_shown)


def _to_json(_output: _Output, _method: str, event: EventDict) -> bytes:
    try:
        return _encoder.encode(event)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return json.dumps(_shown_plainly(event)).encode()


def _text_renderer(*, colors: bool) -> Callable[[Any, str, EventDict], bytes]:
    render = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )

    def to_text(output: _Output, method: str, event: EventDict) -> bytes:
        try:
            text = render(output, method, dict(event))
        except Exception:  # of a repr that user code wrote
            text = render(output, method, _shown_plainly(event))
        return text.encode("utf-8", "backslashreplace")

    return to_text


def _filtered_at(level: LogLevel) -> type[Any]:
    """Return structlog's logger for ``level`` with the method ``trace``, which it has not."""

    def trace(self: Any, event: str, *args: Any, **fields: Any) -> None:
        self._proxy_to_logger("trace", event % args if args else event, **fields)

    def ignore(self: Any, event: str, *args: Any, **fields: Any) -> None:
        return None

    filtering = structlog.make_filtering_bound_logger(max(LEVELS[level], logging.DEBUG))
    return type("ServiceLogger", (filtering,), {"trace": trace if level == "trace" else ignore})


class _Output:
    """The end of the chain, one for each name; writes a line at once, so that lines never mix."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self.name = name

    def write(self, line: bytes) -> None:
        try:
            self._stream.write(line + b"\n")
            self._stream.flush()
        except (OSError, ValueError):
            # The reader is gone, the stream closed or the disk full: there is nowhere left to
            # tell, and no request may fail for it (rule 2).
            return

    trace = debug = info = warning = error = critical = write


class _StandardLogs(logging.Handler):
    """Pass records of ``logging`` on to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            log = get_logger(record.name)
            getattr(log, _level_name(record.levelno))(record.getMessage(), exc_info=record.exc_info)
        except Exception:
            self.handleError(record)


def _level_name(number: int) -> str:
    """Return the highest level that is not above ``number``."""
    return next((name for name in reversed(LEVELS) if LEVELS[name] <= number), "trace")


def _route_standard_logging(level: int) -> None:
    logging.addLevelName(TRACE, "TRACE")
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _StandardLogs)]:
        root.removeHandler(handler)
    root.addHandler(_StandardLogs())
    root.setLevel(level)
