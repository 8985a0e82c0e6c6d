"""Idle actors sleep early while a worker's memory is above its limit."""

from stator.shards.memory_pressure import LEAST, PART, MemoryPressure
from tests.fakes.recording_log import RecordingLog

LIMIT = 100 << 20


class Worker:
    """A worker whose memory the test sets."""

    def __init__(self, resident: int, awake: int) -> None:
        self.resident = resident
        self.awake = awake
        self.asked: list[int] = []
        self.log = RecordingLog()
        self.pressure = MemoryPressure(
            LIMIT,
            resident_bytes=lambda: self.resident,
            awake=lambda: self.awake,
            sleep=self.sleep,
            log=self.log,
        )

    def sleep(self, count: int) -> int:
        self.asked.append(count)
        return min(count, self.awake)


def test_nobody_sleeps_early_up_to_the_limit() -> None:
    worker = Worker(resident=LIMIT, awake=1000)
    assert worker.pressure.look() == 0
    assert worker.asked == []


def test_a_part_of_the_actors_sleeps_at_each_look_above_the_limit() -> None:
    worker = Worker(resident=LIMIT + 1, awake=1000)
    assert worker.pressure.look() == 1000 // PART
    worker.awake = 500
    worker.pressure.look()
    assert worker.asked == [1000 // PART, 500 // PART]


def test_a_few_actors_are_asked_all_at_once() -> None:
    worker = Worker(resident=LIMIT + 1, awake=3)
    assert worker.pressure.look() == 3
    assert worker.asked == [LEAST]


def test_an_episode_of_pressure_is_logged_once() -> None:
    worker = Worker(resident=LIMIT + 1, awake=1000)
    for resident in (LIMIT + 1, LIMIT + 1, LIMIT, LIMIT + 1):
        worker.resident = resident
        worker.pressure.look()
    assert len([line for line in worker.log.events() if "memory" in line]) == 2
