"""What connections are told to do: the load generator's process and its commands.

:class:`Load` starts :mod:`.realtime_client`, or the client it is told, and writes each command to
it as a line of JSON; an outcome comes back when it is done. Between commands the process answers
pings.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Self

import msgspec

from stator.runtime.protocol.encoding import Encoding

from .subjects import ROOT

LIGHT = "benchmarks.realtime_client"
"""The client that costs as little as a client can; knows every command."""
AIOHTTP = "benchmarks.realtime_aiohttp"
"""The client as people write it: one connection in BARE, open from the start; knows ``Call``."""


class Begin(msgspec.Struct, frozen=True, kw_only=True):
    """Which server; the first line."""

    port: int
    path: str
    encoding: Encoding = Encoding.BARE
    params: str = ""


class Open(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Open connections; ``seconds`` of the outcome is how long that took."""

    count: int
    subscribe: bool = False
    stalled: bool = False
    """Whether they are never read from after their first message."""


class Call(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Call an action over the connections; ``done`` counts the answers."""

    action: str
    in_flight: int
    """Calls that wait for their answer at the same time, on each connection."""
    seconds: float
    separately: bool = False
    """Whether each call is a write of its own, as of most clients; else those of a turn are one."""
    echo: bool = False
    """Whether the calls themselves come back."""


class Shout(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Have events sent to the subscribed connections; ``done`` counts what they receive."""

    size: int
    seconds: float
    window: int = 4
    """Shouts under way at the same time."""
    per_second: float = 0.0
    """Shouts a second; 0 for as many as are delivered."""


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Read at last what stalled connections hold; ``done`` counts those the server ended."""


class Close(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Close all connections."""


Command = Open | Call | Shout | Drain | Close


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a command did within its measured time."""

    done: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Processor time of the load generator meanwhile."""
    p50_us: float = 0.0
    """Of the time from a call to its answer, with one connection and one call at a time."""
    p99_us: float = 0.0

    @property
    def per_second(self) -> float:
        """How many a second."""
        return self.done / self.seconds

    @property
    def cores(self) -> float:
        """The share of a core that the load generator took."""
        return self.cpu_seconds / self.seconds


class Load:
    """A load generator in a process of its own; as a context it ends with its connections."""

    def __init__(self, begin: Begin, client: str = LIGHT) -> None:
        """``client`` is the module to run, :data:`LIGHT` or :data:`AIOHTTP`."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", client],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._tell(begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def ask(self, command: Command) -> Outcome:
        """Have a command done. Raises ``RuntimeError`` if it failed."""
        return self.begin(command)()

    def begin(self, command: Command) -> Callable[[], Outcome]:
        """Have a command done meanwhile; what is returned waits for its outcome."""
        self._tell(command)
        return self._outcome

    def _tell(self, line: Begin | Command) -> None:
        assert self._process.stdin
        self._process.stdin.write(msgspec.json.encode(line) + b"\n")
        self._process.stdin.flush()

    def _outcome(self) -> Outcome:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator failed, see above")
        return msgspec.json.decode(line, type=Outcome)
