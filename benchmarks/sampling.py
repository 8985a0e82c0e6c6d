"""Samples of what Python processes do, taken by py-spy: functions by own time and with callees."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

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
