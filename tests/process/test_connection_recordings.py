"""Connections recorded between the official clients and the peer's servers, replayed.

What a client sent is sent again, byte for byte, and what our server answers is compared with what
the peer's answered, byte for byte, with our ids in the place of the recorded ones
(:mod:`tests.fakes.connection_replay`).

Rule 1. Where the same meaning has other bytes the scenario stands in ``SAME_MEANING``; where our
        answer is another one, in ``DIFFERENT`` with what it is; where there is nothing to compare,
        in ``NOT_REPLAYED``. Each with the reason, and each must really be so.
Rule 2. Of the recordings of 2.1.7 meanings are compared: its server wrote members in another
        order, counted maps in two bytes and had actor ids of another length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from stator.runtime.protocol.connection import ActionResponse, ErrorMessage
from stator.runtime.protocol.kinds import is_object
from tests.fakes.client_recordings import web_sockets
from tests.fakes.connection_replay import Replayed, Stage, meaning
from tests.fakes.real_service import RealService
from tests.fakes.socket_client import WireFrame

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "recorded"
NAMES = ("json", "cbor", "bare")
FILES = {
    **{f"ws-connection.{name}": 0 for name in NAMES},
    **{f"v217-actions-queue-ws.{name}": 5 for name in NAMES},
    "raw-websocket": 0,
    "websocket-edge-cases": 0,
    "header-routing": 0,
    "v217-manage-and-raw": 0,
    "cross-217-client-2319-server": 2,
    "ws-lifecycle": 0,
}
"""The files, and what counters addressed by id stand at."""

UNDEFINED = "12.4: $Undefined is never sent, client 2.1 refuses it; None is null"
BIG_INT = "Python has one integer type: a BigInt that fits a number comes back as a number"
SORTED = "the peer's JSON has all members by name, ours as the application has them"
COUNTS = "cbor-x counts the members of a map in two bytes, cbor2 in as few as it takes"

SAME_MEANING = {
    **{f"{name}:ws:connect-action-event": UNDEFINED for name in NAMES},
    "json:ws:echo-bigint-bytes": BIG_INT,
    "bare:ws:echo-bigint-bytes": BIG_INT,
    "bare:ws:multi-arg-event": UNDEFINED,
    "cbor:ws:types": UNDEFINED,
    "bare:ws:types": UNDEFINED,
    "json:ws:params": SORTED,
    "json:ws:get-params": SORTED,
    "cbor:ws:params": COUNTS,
    "cbor:ws:get-params": COUNTS,
    "bare:ws:params": COUNTS,
    "bare:ws:get-params": COUNTS,
}
"""Scenarios in which the same is said with other bytes, and why."""


class Difference(NamedTuple):
    """One frame of the server that is another one in ours."""

    number: int
    """Counts the frames of the server."""
    ours: str
    """Has to be found in what ours says."""
    why: str
    goes_on: bool = True
    """Whether the rest is as recorded."""


REDACTED = Difference(
    0, "An internal error occurred", "7.5: the text of an exception reaches nobody"
)
NO_ARGUMENTS = Difference(1, "args=[]", "12.3: no argument is no argument, as 2.1.7 had it")
NOT_FOUND = Difference(3, "code='action_not_found'", "the code of 2.3.19")
REFUSED = Difference(0, "code='denied'", "the sequence of 2.3.19: first the error", goes_on=False)
NOTHING = Difference(1, "output=None", "12.3: without an output the call would hang")

DIFFERENT = {
    **{f"{name}:ws:event-no-args": NO_ARGUMENTS for name in NAMES},
    **{f"{name}:ws:denied-internal": REDACTED for name in NAMES},
    "json:ws:types": Difference(1, "'héllo'", "4.4: the peer cannot send a Date", goes_on=False),
    "cbor:ws:multi-arg-event": Difference(
        1, "b'\\x04'", "4.4: the peer does not read bytes", goes_on=False
    ),
    "cbor:ws:echo-bigint-bytes": Difference(
        1, "b'\\x01\\x02'", "4.4: the peer does not read bytes", goes_on=False
    ),
    **{f"2.1.7:{name}:ws-denied{time}": REFUSED for name in NAMES for time in ("", "+1", "+2")},
    **{f"2.1.7:{name}:ws-errors": NOT_FOUND for name in NAMES},
    "2.1.7:json:ws-returns-undefined": NOTHING,
    "destroy-with-conn+1": Difference(
        0, "Init(", "a key is free as soon as its actor is destroyed", goes_on=False
    ),
    "2.1.7:cbor:ws-multi-event": Difference(1, "$esc", "12.4: such an array is escaped, for 2.3"),
    "ws-bare-as-v3": Difference(
        1, "ActionResponse(id=5", "12.4: answered in the version of the request"
    ),
    "ws-unknown-path": Difference(0, "/other", "the application cannot tell the two paths apart"),
    "ws-websocket-exact": Difference(0, "/websocket/", "paths begin with a slash"),
}
"""Where ours answers otherwise on purpose."""
NOT_REPLAYED = {
    "cbor:ws:multi-arg-event+1": "what it hears is raised by the scenario after it",
    "ws-bad-params": "the recording's client gave up long before the server answered",
    "ws-foreign-protocol": "the recording's client broke off; we select what it offered",
}
"""Scenarios whose frames say nothing of the server."""
IN_ANY_ORDER = {
    "ws-ping": "the gateway answers pings while the actor is still opening the connection",
}
"""Scenarios in which two frames of the server race."""
INTERNAL_217 = "Internal error. Read the server logs for more details."


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """The application of the recordings."""
    settings = {"application.path": APPLICATION, "workers.count": 1}
    with RealService(tmp_path_factory.mktemp("recorded"), settings) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def replays(service: RealService) -> dict[str, list[Replayed]]:
    """All that was replayed, by file."""
    lasts = dict.fromkeys(NOT_REPLAYED, 1) | {
        scenario: difference.number + 1
        for scenario, difference in DIFFERENT.items()
        if not difference.goes_on
    }
    return {
        file: Stage(service, file, seed=seed, lasts=lasts).replay_all()
        for file, seed in FILES.items()
    }


CASES = [
    pytest.param(file, number, id=f"{file}-{recorded.name}")
    for file in FILES
    for number, recorded in enumerate(web_sockets(file))
    if recorded.name not in NOT_REPLAYED
]


@pytest.mark.parametrize(("file", "number"), CASES)
def test_a_recorded_connection_goes_as_it_went(
    replays: dict[str, list[Replayed]], file: str, number: int
) -> None:
    replayed = replays[file][number]
    expected, ours = _without_difference(replayed)
    name = replayed.recorded.name
    if name.startswith("2.1.7:") or file.startswith("cross-217") or name in SAME_MEANING:
        assert said_by(replayed, ours) == said_by(replayed, expected)
    elif name in IN_ANY_ORDER:
        assert sorted(ours) == sorted(expected)
    else:
        assert ours == expected


def _without_difference(replayed: Replayed) -> tuple[list[WireFrame], list[WireFrame]]:
    """Return what has to be equal; the frame that must differ is looked at here."""
    difference = DIFFERENT.get(replayed.recorded.name)
    if difference is None:
        return replayed.expected, replayed.ours
    at = difference.number
    assert difference.ours in repr(meaning(replayed.encoding, replayed.ours[at]))
    expected, ours = replayed.expected.copy(), replayed.ours.copy()
    assert expected[at] != ours[at], "it is no difference any more"
    rest = slice(at, at + 1 if difference.goes_on else None)
    del expected[rest], ours[rest]
    return expected, ours


def said_by(replayed: Replayed, frames: list[WireFrame]) -> list[str]:
    """Return the meanings, as text: NaN equals itself, an integer is not the float of its value.

    Of errors of 2.1.7 the text of an internal one differs, and the actor is not there.
    """
    found: list[str] = []
    for frame in frames:
        said = meaning(replayed.encoding, frame)
        if isinstance(said, ErrorMessage) and replayed.recorded.scenario.startswith("2.1.7:"):
            is_internal = said.error.code == "internal_error"
            text = INTERNAL_217 if is_internal else said.error.message
            metadata = None if is_internal else said.error.metadata
            found.append(repr((said.error.group, said.error.code, text, metadata, said.action_id)))
        elif isinstance(said, ActionResponse):
            found.append(repr((said.id, _in_order(said.output))))
        else:
            found.append(repr(said))
    return found


def _in_order(value: Any) -> Any:
    """Return an output with its members by name."""
    return dict(sorted(value.items())) if is_object(value) else value


@pytest.mark.parametrize(("file", "number"), CASES)
def test_the_handshake_is_answered_as_it_was(
    replays: dict[str, list[Replayed]], file: str, number: int
) -> None:
    replayed = replays[file][number]
    theirs = dict(replayed.recorded.answer_headers)
    ours = {name: replayed.headers.get(name, "") for name in theirs}
    assert replayed.status == 101
    if replayed.recorded.protocols is None:
        del theirs["sec-websocket-protocol"]  # RFC 6455, 4.2.2: only what was offered
    for name in theirs.keys() - {"x-rivet-ray-id"}:
        assert ours[name].lower() == theirs[name].lower(), name
    if "x-rivet-ray-id" in theirs:
        assert ours["x-rivet-ray-id"]
    assert "sec-websocket-extensions" not in replayed.headers


@pytest.mark.parametrize(("file", "number"), CASES)
def test_after_the_closing_handshake_the_connection_ends(
    replays: dict[str, list[Replayed]], file: str, number: int
) -> None:
    replayed = replays[file][number]
    if replayed.recorded.ended and replayed.is_whole:
        assert replayed.ended


def test_what_goes_by_meaning_has_other_bytes(replays: dict[str, list[Replayed]]) -> None:
    every = [replayed for file in FILES for replayed in replays[file]]
    differing = {replayed.recorded.name for replayed in every if replayed.ours != replayed.expected}
    assert differing >= SAME_MEANING.keys()


def test_every_difference_is_of_a_scenario_that_was_recorded() -> None:
    scenarios = {recorded.name for file in FILES for recorded in web_sockets(file)}
    assert scenarios >= {*DIFFERENT, *SAME_MEANING, *NOT_REPLAYED, *IN_ANY_ORDER}
