"""The load generator of connections: a process that holds them and does as it is told.

``python -m benchmarks.realtime_client`` reads the commands of :mod:`.realtime_load` from standard
input and writes an outcome for each to standard output.
"""

from __future__ import annotations

import select
import sys
import time

import msgspec

from stator.runtime.protocol.connection import ActionResponse, Event
from stator.runtime.protocol.encoding import Encoding

from . import messages
from .crowd import DEADLINE, Connection, Crowd
from .realtime_load import Begin, Call, Close, Command, Drain, Open, Outcome, Shout

WARM_UP = 0.2
"""Seconds before a measurement that are not counted."""
RALLY = 2.0
"""Seconds after which those who did not hear the first shout are shouted at again."""
AT_ONCE = 32
"""Connections that are being opened at the same time."""


class Span:
    """A measured time that begins after a warm-up."""

    def __init__(self, seconds: float) -> None:
        self.begins = time.perf_counter() + WARM_UP
        self.ends = self.begins + seconds
        self._started = self._cpu = 0.0

    def start(self) -> None:
        """Begin to measure."""
        self._started, self._cpu = time.perf_counter(), time.process_time()

    def outcome(self, done: int, waits: list[float] | None = None) -> Outcome:
        """Return what was done since; ``waits`` in seconds."""
        ordered = sorted(waits or [0.0])
        return Outcome(
            done=done,
            seconds=time.perf_counter() - self._started,
            cpu_seconds=time.process_time() - self._cpu,
            p50_us=ordered[len(ordered) // 2] * 1e6,
            p99_us=ordered[len(ordered) * 99 // 100] * 1e6,
        )


class Ring:
    """Calls to send again and again, any number of them in one piece."""

    def __init__(self, frames: list[bytes]) -> None:
        """All frames have one size."""
        self._size = len(frames[0])
        self._count = len(frames)
        self._bytes = b"".join(frames * 2)
        self._next = 0

    def take(self, count: int) -> bytes:
        """Return the next calls, at most as many as there are."""
        start = self._next * self._size
        self._next = (self._next + count) % self._count
        return self._bytes[start : start + count * self._size]


def call(crowd: Crowd, connections: list[Connection], order: Call, encoding: Encoding) -> Outcome:
    """Keep each connection busy: a new call for each answer."""
    if order.echo:
        expected = messages.beginning_of_echo(encoding, order.action)
    else:
        expected = messages.beginning_of(encoding, ActionResponse)
    for connection in connections:
        connection.counter.expect(expected)
    ring = Ring(messages.calls(encoding, order.action, [], max(order.in_flight, 64)))
    span = Span(order.seconds)
    for connection in connections:
        connection.send(ring.take(order.in_flight))
    exchange = _exchange_separately if order.separately else _exchange
    exchange(crowd, ring, span.begins)
    span.start()
    if len(connections) == order.in_flight == 1:
        waits = _take_turns(crowd, connections[0], ring, span.ends)
        outcome = span.outcome(len(waits), waits)
    else:
        outcome = span.outcome(exchange(crowd, ring, span.ends))
    await_frames(crowd, len(connections) * order.in_flight)
    return outcome


def _exchange(crowd: Crowd, ring: Ring, until: float) -> int:
    """Answer answers with calls, those of one read in one write; return how many came."""
    done = 0
    while time.perf_counter() < until:
        for connection, count in crowd.poll(DEADLINE):
            connection.send(ring.take(count))
            done += count
    return done


def _exchange_separately(crowd: Crowd, ring: Ring, until: float) -> int:
    """Do the same with a write for each call."""
    done = 0
    while time.perf_counter() < until:
        for connection, count in crowd.poll(DEADLINE):
            for _ in range(count):
                connection.send(ring.take(1))
            done += count
    return done


def _take_turns(crowd: Crowd, connection: Connection, ring: Ring, until: float) -> list[float]:
    """Do the same with one call at a time; return how long each answer took."""
    waits: list[float] = []
    await_frames(crowd, 1)
    began = time.perf_counter()
    while began < until:
        connection.send(ring.take(1))
        await_frames(crowd, 1)
        now = time.perf_counter()
        waits.append(now - began)
        began = now
    connection.send(ring.take(1))
    return waits


def await_frames(crowd: Crowd, count: int) -> None:
    """Return when so many frames have come. Raises ``TimeoutError``."""
    while count > 0:
        arrived = crowd.poll(DEADLINE)
        if not arrived:
            raise TimeoutError(f"{count} frames are missing")
        count -= sum(frames for _, frames in arrived)


def shout(
    crowd: Crowd, caller: Connection, listeners: int, order: Shout, encoding: Encoding
) -> Outcome:
    """Have events sent, ``order.window`` at once, and count their deliveries."""
    frame = messages.calls(encoding, "shout", [order.size], 1)[0]
    rally(crowd, caller, listeners, frame)
    span = Span(order.seconds)
    sender = _Sender(crowd, caller, listeners, frame)
    sender.run(order, span.begins)
    span.start()
    before = sender.delivered
    sender.run(order, span.ends)
    outcome = span.outcome(sender.delivered - before)
    sender.finish()
    return outcome


def rally(crowd: Crowd, caller: Connection, listeners: int, frame: bytes) -> None:
    """Shout until one shout has reached all: then every subscription is in force."""
    deadline = time.monotonic() + DEADLINE
    while True:
        sender = _Sender(crowd, caller, listeners, frame)
        sender.send()
        patience = time.monotonic() + RALLY
        while sender.is_behind and time.monotonic() < patience:
            sender.receive(0.1)
        if not sender.is_behind:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{sender.delivered} of {listeners} heard a shout")


class _Sender:
    """Shouts, and what became of them."""

    def __init__(self, crowd: Crowd, caller: Connection, listeners: int, frame: bytes) -> None:
        self._crowd, self._caller, self._frame = crowd, caller, frame
        self._listeners = listeners
        self._sent = self._answered = 0
        self.delivered = 0

    @property
    def is_behind(self) -> bool:
        """Whether something sent has not arrived."""
        return self.delivered < self._sent * self._listeners or self._answered < self._sent

    def send(self) -> None:
        """Shout once."""
        self._caller.send(self._frame)
        self._sent += 1

    def receive(self, timeout: float) -> None:
        """Count what can be read."""
        for connection, count in self._crowd.poll(timeout):
            if connection is self._caller:
                self._answered += count
            else:
                self.delivered += count

    def run(self, order: Shout, until: float) -> None:
        """Shout as told until then."""
        pause = 1 / order.per_second if order.per_second else 0.0
        next_at = time.perf_counter()
        while (now := time.perf_counter()) < until:
            room = order.window - self._sent + self.delivered // self._listeners
            if room > 0 and now >= next_at:
                self.send()
                next_at = max(next_at + pause, now - pause)
            else:
                self.receive(max(0.001, min(next_at, until) - now) if room > 0 else 1.0)

    def finish(self) -> None:
        """Wait until all has arrived. Raises ``TimeoutError``."""
        deadline = time.monotonic() + DEADLINE
        while self.is_behind:
            self.receive(1.0)
            if time.monotonic() > deadline:
                missing = self._sent * self._listeners - self.delivered
                raise TimeoutError(f"{missing} deliveries are missing")


class Holder:
    """The process that holds the connections."""

    def __init__(self, begin: Begin) -> None:
        self._encoding = begin.encoding
        self._crowd = Crowd(begin.port, begin.path, begin.encoding, begin.params)
        self._callers: list[Connection] = []
        self._listeners: list[Connection] = []
        self._stalled: list[Connection] = []

    def wait(self) -> None:
        """Answer pings until there is a command."""
        while True:
            ready, _, _ = select.select([sys.stdin, self._crowd], [], [])
            if sys.stdin in ready:
                return
            self._crowd.poll(0)

    def do(self, command: Command) -> Outcome:
        """Do what is told."""
        match command:
            case Open():
                return self._open(command)
            case Call():
                return call(self._crowd, self._callers, command, self._encoding)
            case Shout():
                caller, listeners = self._callers[0], len(self._listeners)
                return shout(self._crowd, caller, listeners, command, self._encoding)
            case Drain():
                return Outcome(done=self._crowd.drain(self._stalled))
            case Close():
                self._close()
                return Outcome()

    def _open(self, order: Open) -> Outcome:
        started = time.perf_counter()
        opened = self._crowd.open(order.count, AT_ONCE, is_stalled=order.stalled)
        seconds = time.perf_counter() - started
        if order.stalled:
            self._crowd.ignore(opened)
            self._stalled += opened
        elif order.subscribe:
            self._listeners += opened
        else:
            self._callers += opened
        kind = Event if order.subscribe else ActionResponse
        for connection in opened:
            connection.counter.expect(messages.beginning_of(self._encoding, kind))
            if order.subscribe:
                connection.send(messages.subscription(self._encoding))
        return Outcome(done=len(opened), seconds=seconds)

    def _close(self) -> None:
        self._crowd.close()
        for held in (self._callers, self._listeners, self._stalled):
            held.clear()


def main() -> None:
    """Obey standard input."""
    holder = Holder(msgspec.json.decode(sys.stdin.buffer.readline(), type=Begin))
    commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
    while line := sys.stdin.buffer.readline():
        command = commands.decode(line)
        sys.stdout.buffer.write(msgspec.json.encode(holder.do(command)) + b"\n")
        sys.stdout.buffer.flush()
        holder.wait()


if __name__ == "__main__":
    main()
