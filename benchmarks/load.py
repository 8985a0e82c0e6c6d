"""The load generator: closed-loop HTTP clients in a process of their own.

It has to be much cheaper than what it measures, since both share the cores: requests are bytes
made beforehand, an answer is looked at for its status and length only. A connection sends its next
request when its last one is answered. ``python -m benchmarks.load`` reads a :class:`Job` as JSON
from standard input and writes an :class:`Outcome` to standard output.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from time import perf_counter_ns
from typing import cast

import msgspec
import uvloop

from .subjects import ROOT

STATUS_OK = b"HTTP/1.1 200 "


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, where and for how long."""

    port: int
    actor: str = "counter"
    action: str = "increment"
    argument: int | None = 1
    """The one argument, ``None`` for none; or the body of the message."""
    queue: str = ""
    """A queue to send to instead of calling the action."""
    wait: bool = False
    """Whether a message is answered when it was completed, not as soon as it is durable."""
    paths: list[str] = []
    """Where to post to instead, without a body, each path once or over and over."""
    key: str = "bench"
    """First part of each actor's key; the second is a number."""
    actors: int = 1
    """How many different keys."""
    once: bool = False
    """Whether each key is used once, and the run ends with the last; else they are repeated."""
    connections: int = 1
    seconds: float = 2.0
    """How long to measure, at most."""
    warm_up: float = 0.3
    """Seconds before that whose latencies are forgotten."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run measured."""

    answers: int
    """Within the measured time."""
    seconds: float
    p50_us: float
    p99_us: float
    acknowledged: int
    """Answers with status 200 in the whole run, warm-up and the end included."""
    errors: int
    """Other answers and broken connections of the whole run."""

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


def make_requests(job: Job) -> list[bytes]:
    """Return the requests of a job as the official client sends them, in random order."""
    if job.queue:
        path = f"queue/{job.queue}"
        body = f'{{"body":{job.argument or 0},"wait":{str(job.wait).lower()}}}'
    else:
        path = f"action/{job.action}"
        body = f'{{"args":[{"" if job.argument is None else job.argument}]}}'
    requests = [_post(job.port, path, "") for path in job.paths] or [
        _post(
            job.port,
            f"/gateway/{job.actor}/{path}?rvt-namespace=default"
            f"&rvt-method=getOrCreate&rvt-runner=default&rvt-key={job.key}%2C{number}"
            "&rvt-crash-policy=sleep",
            body,
        )
        for number in range(job.actors)
    ]
    random.Random(job.key).shuffle(requests)
    return requests


def _post(port: int, path: str, body: str) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\n"
        f"host: 127.0.0.1:{port}\r\n"
        "x-rivet-encoding: json\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    ).encode()


def response_size(data: bytes) -> int:
    """Return the size of the response ``data`` begins with; 0 while its head is incomplete."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    head = data[:head_end].lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise ValueError("a response without content-length")
    line_end = head.find(b"\r\n", at)
    return head_end + 4 + int(head[at + 15 : line_end if line_end >= 0 else head_end])


class Run:
    """The state all connections of a job share."""

    def __init__(self, job: Job) -> None:
        requests = make_requests(job)
        self.requests: Iterator[bytes] = iter(requests) if job.once else cycle(requests)
        self.latencies_ns: list[int] = []
        self.acknowledged = 0
        self.errors = 0
        self.stopping = False
        self.open = job.connections
        self.ended = asyncio.Event()
        self.started_ns = perf_counter_ns()
        self.stopped_ns = 0

    def measure(self) -> None:
        """Forget what was measured and begin."""
        self.latencies_ns.clear()
        self.started_ns = perf_counter_ns()

    def stop(self) -> None:
        """End the measurement; what is under way is still answered."""
        if not self.stopping:
            self.stopping = True
            self.stopped_ns = perf_counter_ns()

    def leave(self) -> None:
        """Count a connection out."""
        self.open -= 1
        if self.open == 0:
            self.stop()
            self.ended.set()


class Connection(asyncio.Protocol):
    """One client: sends, waits for the whole answer, sends again."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        size = response_size(data)
        if not size or len(data) < size:
            self._received = data
            return
        run = self._run
        if not run.stopping:
            run.latencies_ns.append(perf_counter_ns() - self._sent_ns)
        if data.startswith(STATUS_OK) and len(data) == size:
            run.acknowledged += 1
        else:
            run.errors += 1
            if run.errors == 1:
                print(data[:400], file=sys.stderr)
        self._received = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._run.errors += 1
            self._leave()

    def _send(self) -> None:
        request = None if self._run.stopping else next(self._run.requests, None)
        if request is None:
            self._leave()
            return
        assert self._transport
        self._sent_ns = perf_counter_ns()
        self._transport.write(request)

    def _leave(self) -> None:
        assert self._transport
        transport, self._transport = self._transport, None
        transport.close()
        self._run.leave()


async def run(job: Job) -> Outcome:
    """Do a job in this process. Raises ``OSError`` if nobody listens."""
    loop = asyncio.get_running_loop()
    state = Run(job)
    for _ in range(job.connections):
        await loop.create_connection(lambda: Connection(state), "127.0.0.1", job.port)
    loop.call_later(job.warm_up, state.measure)
    loop.call_later(job.warm_up + job.seconds, state.stop)
    await state.ended.wait()
    ordered = sorted(state.latencies_ns) or [0]
    return Outcome(
        answers=len(state.latencies_ns),
        seconds=(state.stopped_ns - state.started_ns) / 1e9,
        p50_us=ordered[len(ordered) // 2] / 1e3,
        p99_us=ordered[len(ordered) * 99 // 100] / 1e3,
        acknowledged=state.acknowledged,
        errors=state.errors,
    )


class Running:
    """A job that runs in another process."""

    def __init__(self, job: Job) -> None:
        command = [sys.executable, "-m", "benchmarks.load"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdin
        self._process.stdin.write(msgspec.json.encode(job))
        self._process.stdin.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def result(self) -> Outcome:
        """Wait for the end. Raises ``RuntimeError`` if the generator failed."""
        assert self._process.stdout
        with self._process.stdout as output:
            data = output.read()
        if self._process.wait() != 0:
            raise RuntimeError("the load generator failed, see above")
        return msgspec.json.decode(data, type=Outcome)


def drive(job: Job) -> Outcome:
    """Do a job in a process of its own.

    Raises ``RuntimeError`` if a request failed: how fast errors are says nothing.
    """
    outcome = Running(job).result()
    if outcome.errors:
        raise RuntimeError(f"{outcome.errors} requests failed, the first is shown above")
    return outcome


def main() -> None:
    """Do the job on standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(job))))


if __name__ == "__main__":
    main()
