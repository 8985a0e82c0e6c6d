"""What a process writes to standard output."""

import io
import json
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from stator.runtime.log import LEVELS, TRACE, Logger, configure_logging, get_logger


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def fail(log: Logger) -> None:
    try:
        raise ValueError("no\nway")
    except ValueError:
        log.exception("failed")


class Rude:
    def __repr__(self) -> str:
        raise AttributeError("no repr")


def test_a_json_line_tells_when_how_bad_what_and_who(capsys: Capture) -> None:
    configure_logging("info", "json", "gateway 0")
    get_logger("stator.http").bind(actor="room").info("opened %s", "door", count=3)
    (line,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {
        "level": "info",
        "event": "opened door",
        "logger": "stator.http",
        "actor": "room",
        "count": 3,
        "process": "gateway 0",
        "pid": os.getpid(),
    }


def test_fields_of_the_caller_do_not_hide_ours(capsys: Capture) -> None:
    configure_logging("info", "json", "worker 1")
    get_logger("m").warning("x", level="fine", pid=0, process="p", timestamp=0, logger="l")
    (line,) = lines(capsys)
    assert (line["level"], line["logger"]) == ("warning", "m")
    assert (line["pid"], line["process"]) == (os.getpid(), "worker 1")
    assert line["timestamp"] != 0


def test_an_exception_is_a_traceback_on_the_same_line(capsys: Capture) -> None:
    configure_logging("info", "json", "p")
    fail(get_logger("m"))
    (line,) = lines(capsys)
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: no\nway")


def test_an_exception_can_be_given(capsys: Capture) -> None:
    configure_logging("info", "json", "p")
    get_logger("m").error("failed", exc_info=KeyError("k"))
    assert lines(capsys)[0]["exception"] == "KeyError: 'k'"


def test_text_is_for_people(capsys: Capture) -> None:
    configure_logging("info", "text", "worker 1")
    log = get_logger("m")
    log.info("opened", count=3)
    fail(log)
    out = capsys.readouterr().out
    first, second, *traceback = out.splitlines()
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[info     \] opened +\[m\] count=3 ", first)
    assert first.endswith("process='worker 1'")
    assert "[error    ] failed" in second
    assert traceback[0] == "Traceback (most recent call last):"
    assert "\x1b" not in out


@pytest.mark.parametrize(("is_terminal", "is_json"), [(True, False), (False, True)])
def test_auto_is_text_on_a_terminal_and_json_elsewhere(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, is_terminal: bool, is_json: bool
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    configure_logging("info", "auto", "p")
    get_logger("m").info("x")
    out = capsys.readouterr().out
    assert out.startswith("{") == is_json
    assert ("\x1b[" in out) == is_terminal


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_lets_itself_and_all_above_pass(capsys: Capture, level: Any) -> None:
    configure_logging(level, "json", "p")
    log = get_logger("m")
    for name in LEVELS:
        getattr(log, name)("from structlog")
        logging.getLogger("m").log(LEVELS[name], "from logging")
    names = list(LEVELS)
    expected = names[names.index(level) :]
    found = lines(capsys)
    for source in ("from structlog", "from logging"):
        assert [line["level"] for line in found if line["event"] == source] == expected


def test_a_call_below_the_level_formats_nothing(capsys: Capture) -> None:
    configure_logging("info", "json", "p")
    log = get_logger("m")
    log.debug("%r", Rude())
    log.trace("%r", Rude())
    assert capsys.readouterr().out == ""


def test_trace_formats_its_arguments(capsys: Capture) -> None:
    configure_logging("trace", "json", "p")
    get_logger("m").trace("frame %d", 7, size=3)
    get_logger("m").trace("100%")
    first, second = lines(capsys)
    assert (first["level"], first["event"], first["size"]) == ("trace", "frame 7", 3)
    assert second["event"] == "100%"


def test_a_logger_may_be_made_before_logging_is_configured(capsys: Capture) -> None:
    log = get_logger("early")
    configure_logging("info", "json", "p")
    log.info("x")
    assert lines(capsys)[0]["logger"] == "early"


# -------------------------------------------------------- records of the standard library


def test_standard_records_come_out_the_same_way(capsys: Capture) -> None:
    configure_logging("info", "json", "gateway 0")
    logging.getLogger("aiohttp.server").warning("bad %s from %d", "request", 7)
    (line,) = lines(capsys)
    assert (line["level"], line["event"]) == ("warning", "bad request from 7")
    assert (line["logger"], line["process"]) == ("aiohttp.server", "gateway 0")
    assert "exception" not in line


def test_standard_records_keep_their_traceback(capsys: Capture) -> None:
    configure_logging("info", "json", "p")
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("asyncio").exception("100% failed")
    (line,) = lines(capsys)
    assert line["event"] == "100% failed"
    assert line["exception"].endswith("ValueError: no")


@pytest.mark.parametrize(
    ("number", "level"),
    [(1, "trace"), (TRACE, "trace"), (15, "debug"), (25, "info"), (49, "error"), (99, "critical")],
)
def test_a_standard_level_in_between_is_the_one_below(
    capsys: Capture, number: int, level: str
) -> None:
    configure_logging("trace", "json", "p")
    record = logging.LogRecord("m", number, "f", 1, "x", None, None)
    logging.getLogger().handle(record)
    assert lines(capsys)[0]["level"] == level


def test_configuring_again_does_not_write_twice(capsys: Capture) -> None:
    configure_logging("info", "json", "supervisor")
    configure_logging("info", "json", "worker 1")
    logging.getLogger("m").info("x")
    assert [line["process"] for line in lines(capsys)] == ["worker 1"]


# --------------------------------------------------------------- logging never fails its caller


def circle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


@pytest.mark.parametrize("format", ["json", "text"])
@pytest.mark.parametrize(
    "value",
    [object(), Rude(), "\udc80", circle(), {(1, 2): 3}, 1 << 100, float("nan"), b"\xff", {1, 2}],
    ids=["object", "rude", "surrogate", "circle", "keys", "int", "nan", "bytes", "set"],
)
def test_any_value_can_be_logged(capsys: Capture, format: Any, value: object) -> None:  # noqa: A002
    configure_logging("info", format, "p")
    get_logger("m").info("seen", value=value)
    (line,) = capsys.readouterr().out.splitlines()
    assert "seen" in line
    assert "value" in line
    if format == "json":
        assert json.loads(line)["event"] == "seen"


def test_a_line_that_nobody_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.BytesIO):
        attempts = 0

        def write(self, data: object) -> int:
            self.attempts += 1
            raise BrokenPipeError

    gone = Gone()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(gone))
    configure_logging("info", "json", "p")
    get_logger("m").error("x")
    logging.getLogger("m").error("x")
    assert gone.attempts == 2
