"""The schedules of an actor in memory, and what is stored of them.

A schedule's row says when it is due; its image says everything else. Arguments are kept encoded,
so that nobody can change them once they are scheduled, and decoded anew for every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from stator.runtime.cadence import Cadence, CronCadence, EveryCadence
from stator.runtime.errors import StateNotSerializable
from stator.runtime.exact_form import decode_exact, encode_exact
from stator.runtime.schedule_errors import InvalidScheduleArguments, InvalidScheduleRow
from stator.runtime.schedules import CronJob, Schedule
from stator.runtime.storage import ScheduleKind, ScheduleRow


class ScheduleImage(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is stored of a schedule besides its id and when it is due."""

    kind: ScheduleKind
    action: str
    args: bytes
    """Exact form of a list."""
    expression: str = ""
    timezone: str = ""
    interval_ms: int = 0
    anchor_ms: int = 0
    max_history: int = 0
    last_ms: int | None = None


class OneShot:
    """A schedule that fires once."""

    __slots__ = ("action", "args", "due_ms", "id")

    is_recurring = False

    def __init__(self, schedule_id: str, due_ms: int, action: str, args: bytes) -> None:
        self.id = schedule_id
        self.due_ms = due_ms
        self.action = action
        self.args = args

    def image(self) -> bytes:
        """Return what is stored of it."""
        return _encode(ScheduleImage(ScheduleKind.AT, self.action, self.args))

    def view(self) -> Schedule:
        """Return what the actor's code sees of it."""
        return Schedule(self.id, self.action, decode_args(self.args), self.due_ms / 1000)


class Job:
    """A schedule that fires again and again."""

    __slots__ = (
        "action",
        "args",
        "cadence",
        "due_ms",
        "id",
        "is_running",
        "last_ms",
        "max_history",
    )

    is_recurring = True

    def __init__(
        self, name: str, due_ms: int, cadence: Cadence, action: str, args: bytes, max_history: int
    ) -> None:
        self.id = name
        self.due_ms = due_ms
        self.cadence = cadence
        self.action = action
        self.args = args
        self.max_history = max_history
        self.last_ms: int | None = None
        """When it fired last."""
        self.is_running = False
        """Whether its last run still executes."""

    @property
    def kind(self) -> ScheduleKind:
        """What its cadence is."""
        is_cron = isinstance(self.cadence, CronCadence)
        return ScheduleKind.CRON if is_cron else ScheduleKind.EVERY

    def image(self) -> bytes:
        """Return what is stored of it."""
        cadence = self.cadence
        if isinstance(cadence, CronCadence):
            rhythm: tuple[str, str, int, int] = (cadence.expression, cadence.timezone, 0, 0)
        else:
            rhythm = ("", "", cadence.interval_ms, cadence.anchor_ms)
        return _encode(
            ScheduleImage(
                self.kind, self.action, self.args, *rhythm, self.max_history, self.last_ms
            )
        )

    def view(self) -> CronJob:
        """Return what the actor's code sees of it."""
        cadence = self.cadence
        if isinstance(cadence, CronCadence):
            return self._view("cron", expression=cadence.expression, timezone=cadence.timezone)
        return self._view("every", interval=cadence.interval_ms / 1000)

    def _view(self, kind: Literal["cron", "every"], **rhythm: Any) -> CronJob:
        return CronJob(
            name=self.id,
            kind=kind,
            action=self.action,
            args=decode_args(self.args),
            next_run_at=self.due_ms / 1000,
            last_run_at=None if self.last_ms is None else self.last_ms / 1000,
            max_history=self.max_history,
            **rhythm,
        )


Entry = OneShot | Job

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ScheduleImage).decode


def read_row(row: ScheduleRow) -> Entry:
    """Return the schedule of a row. Raises ``schedule.invalid_schedule_row``."""
    try:
        image = _decode(row.image)
        decode_args(image.args)
    except Exception as error:  # whatever the bytes are
        raise InvalidScheduleRow(f"the schedule {row.id!r} cannot be read: {error}") from error
    if row.is_recurring != (image.kind is not ScheduleKind.AT):
        raise InvalidScheduleRow(f"the schedule {row.id!r} is not of the kind its row says")
    if image.kind is ScheduleKind.AT:
        return OneShot(row.id, row.due_ms, image.action, image.args)
    cadence: Cadence
    if image.kind is ScheduleKind.CRON:
        cadence = CronCadence(image.expression, image.timezone)
    else:
        cadence = EveryCadence(image.interval_ms, image.anchor_ms)
    job = Job(row.id, row.due_ms, cadence, image.action, image.args, image.max_history)
    job.last_ms = image.last_ms
    return job


def encode_args(args: Sequence[Any]) -> bytes:
    """Return arguments as they are stored. Raises ``schedule.invalid_args``."""
    try:
        return encode_exact(list(args))
    except RecursionError as error:
        raise InvalidScheduleArguments("an argument contains itself") from error
    except StateNotSerializable as error:
        text = error.message.replace("state", "args", 1)
        raise InvalidScheduleArguments(text) from error


def decode_args(data: bytes) -> tuple[Any, ...]:
    """Return stored arguments. Bytes that are none raise any kind of ``Exception``."""
    return tuple(decode_exact(data))
