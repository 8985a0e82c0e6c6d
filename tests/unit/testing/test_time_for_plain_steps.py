"""The clock of a test stands while the body of a step that is a plain function runs."""

from __future__ import annotations

import contextvars
import threading
from pathlib import Path

from stator import setup
from stator.testing.clock import VirtualClock
from stator.testing.timekeeper import Timekeeper
from stator.testing.worker import Worker
from tests.fakes.engine_in_process import turns
from tests.fakes.recording_log import RecordingLog


async def test_time_passes_once_the_body_has_ended(tmp_path: Path) -> None:
    worker = Worker(
        setup(use={}),
        tmp_path,
        generation=1,
        clock=VirtualClock(),
        namespaces=("default",),
        log=RecordingLog(),
    )
    keeper = Timekeeper(worker)
    await keeper.settle()
    may_end = threading.Event()
    body = worker.engine.step_threads.run(
        lambda: may_end.wait(10) and worker.clock.time(), contextvars.copy_context()
    )
    passing = keeper.advance(5)
    await turns(200)
    may_end.set()
    await passing
    assert await body == 0.0
    assert worker.clock.time() == 5.0
    await worker.crash()
