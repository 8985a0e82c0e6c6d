"""Where the time of an action goes: CPU per process and a sampled profile of each kind of child.

``python -m benchmarks.profile_service [--action get] [--seconds 6]`` loads a service with 64
connections and 1,000 actors, once undisturbed for the CPU figures and once under py-spy. What C
code does counts for the Python line that called it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from stator.runtime.control import Role

from .http_actions import warm_up
from .load import Job, Running
from .subjects import Bare, Service, cpu_seconds, data_directory

TOP = 25
WAITING = ("Writer._run ", "Reader._run ", "Child._watch_supervisor ")
"""Threads in these wait for work; py-spy cannot always tell."""
RATE_HZ = 200


class Sample(NamedTuple):
    """A stack, outermost first, and how often it was seen."""

    frames: tuple[str, ...]
    seen: int


def parse_raw(lines: Iterable[str]) -> list[Sample]:
    """Return the samples of ``py-spy record --format raw`` but those of waiting threads."""
    samples: list[Sample] = []
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        frames = tuple(stack.split(";"))
        if not frames[-1].startswith(WAITING):
            samples.append(Sample(frames, int(count)))
    return samples


def function_of(frame: str) -> str:
    """Return ``name (file)`` of a frame ``name (file:line)``."""
    head, colon, tail = frame.rpartition(":")
    return f"{head})" if colon and tail.rstrip(")").isdecimal() else frame


def print_profile(title: str, samples: list[Sample]) -> None:
    """Print the functions by own time, with their hottest line, and by time including callees."""
    total = sum(sample.seen for sample in samples) or 1
    own: Counter[str] = Counter()
    lines: dict[str, Counter[str]] = {}
    whole: Counter[str] = Counter()
    for frames, seen in samples:
        leaf = function_of(frames[-1])
        own[leaf] += seen
        line = frames[-1].rpartition(":")[2].rstrip(")")
        lines.setdefault(leaf, Counter())[line] += seen
        for function in {function_of(frame) for frame in frames}:
            whole[function] += seen
    print(f"\n{title}: self, {total} samples")
    for function, count in own.most_common(TOP):
        hot = ", ".join(f"{line}: {n / total:.1%}" for line, n in lines[function].most_common(3))
        print(f"  {count / total:6.1%}  {function}  [lines {hot}]")
    print(f"\n{title}: cumulative")
    for function, count in whole.most_common(TOP):
        print(f"  {count / total:6.1%}  {function}")


def record(pids: dict[str, int], seconds: float) -> dict[str, list[Sample]]:
    """Sample several processes at once."""
    with tempfile.TemporaryDirectory() as directory:
        files = {name: Path(directory, str(pid)) for name, pid in pids.items()}
        recorders = [
            subprocess.Popen(
                [
                    *(str(Path(sys.executable).with_name("py-spy")), "record"),
                    *("--pid", str(pids[name]), "--output", str(file)),
                    *("--format", "raw", "--rate", str(RATE_HZ), "--duration", f"{seconds:.0f}"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name, file in files.items()
        ]
        for recorder in recorders:
            if recorder.wait() != 0:
                raise RuntimeError("py-spy failed; it needs root or CAP_SYS_PTRACE")
        return {name: parse_raw(file.read_text().splitlines()) for name, file in files.items()}


def print_cpu(pids: dict[str, int], job: Job) -> None:
    """Run a job and print what each process spent on an answer."""
    load = Running(job)
    time.sleep(job.warm_up)
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    load_before = cpu_seconds(load.pid)
    time.sleep(job.seconds * 0.9)
    spent = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    spent["load generator"] = cpu_seconds(load.pid) - load_before
    outcome = load.result()
    print(f"{outcome.per_second:,.0f} per second, {outcome.errors} errors; CPU per answer:")
    for name, seconds in spent.items():
        share = seconds / (job.seconds * 0.9)
        cost_us = 1e6 * share / outcome.per_second
        print(f"  {cost_us:6.1f} us  {name} ({share:.0%} of a core)")


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.profile_service", description=__doc__)
    parser.add_argument("--action", choices=("increment", "get"), default="increment")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--actors", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    given = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in given.settings)
    with (
        data_directory() as data,
        Service(data, settings=settings) as service,
        Bare() as bare,
    ):
        service.wait_first_answer()
        bare.wait_first_answer()
        warm_up(service)
        profile(service, bare, given)


def profile(service: Service, bare: Bare, given: argparse.Namespace) -> None:
    """Measure the bare server's CPU, the service's CPU, then the service's stacks."""

    def job(port: int) -> Job:
        return Job(
            port=port,
            action=given.action,
            argument=1 if given.action == "increment" else None,
            actors=given.actors,
            connections=given.connections,
            seconds=given.seconds,
        )

    print("bare aiohttp: ", end="")
    print_cpu({"bare": bare.pid}, job(bare.port))
    pids = {f"gateway {n}": pid for n, pid in enumerate(service.pids(Role.GATEWAY))}
    pids |= {f"worker {n}": pid for n, pid in enumerate(service.pids(Role.WORKER))}
    print("stator: ", end="")
    print_cpu(pids, job(service.port))
    load = Running(job(service.port))
    time.sleep(0.5)
    chosen = {name: pids[name] for name in ("gateway 0", "worker 0")}
    samples = record(chosen, max(1.0, given.seconds - 1.0))
    load.result()
    for name, found in samples.items():
        print_profile(name, found)


if __name__ == "__main__":
    main()
