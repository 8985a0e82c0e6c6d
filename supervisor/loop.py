"""The supervisor: everything that happens is queued, and one loop decides what to do about it.

Callbacks of signals, pidfds, pipes and timers only put an event into the queue. The loop takes
one at a time, looks it up in the policy's table and carries out the action; nothing else changes
what the supervisor believes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from stator.runtime.config import Config
from stator.runtime.control import Role, ServiceState
from stator.runtime.exit_codes import ExitCode
from stator.runtime.log import configure_logging, get_logger

from . import notify
from .child_process import describe_exit
from .failure import ServiceFailure
from .policy import DRAIN, Action, Event, Phase, decide, service_exit_code
from .rolling import Rolling
from .service import Service, open_service
from .terminal import has_terminal
from .trial import TrialOver
from .ward import Ward

COMMAND = (sys.executable, "-m", "stator")
"""Starts a child when a role and an index follow."""
EVERYONE = frozenset(Role)
NOTIFY_RETRY_SECONDS = 0.05
"""Pause before systemd is told again what it could not be told."""
KILL_TIMEOUT = 5.0
"""Seconds to wait for the end of a process that was sent SIGKILL."""

Happening = tuple[Ward, Event] | signal.Signals | TrialOver | None
"""What can be in the queue; ``None`` says that time went on."""

_log = get_logger("stator.supervisor")


def serve(
    config: Config, *, environ: Mapping[str, str] = os.environ, command: Sequence[str] = COMMAND
) -> int:
    """Run the service until it is told to stop; return the exit code of this process."""
    configure_logging(config.log.level, config.log.format, "supervisor")
    try:
        with open_service(config, environ=environ, command=command) as service:
            return asyncio.run(_supervise(service))
    except ServiceFailure as failure:
        _log.critical("service cannot start", reason=str(failure))
        return failure.exit_code


async def _supervise(service: Service) -> ExitCode:
    return await Supervisor(service, asyncio.get_running_loop()).run()


class Supervisor:
    """The children's lives, from the first start to the end of the drain."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        self._service = service
        self._loop = loop
        self._queue: asyncio.Queue[Happening] = asyncio.Queue()
        self._wards = [Ward(plan, service, loop, self._tell) for plan in service.plan.children]
        self._rolling = Rolling(
            service,
            [ward for ward in self._wards if ward.plan.role is Role.WORKER],
            loop,
            tell=self._tell,
            tell_trial=self._queue.put_nowait,
            notify=self._notify,
        )
        self._heeds_hangups = False
        self._has_served = False
        self._was_signalled = False
        self._is_draining = False
        self._exit_code = ExitCode.OK
        self._actions: dict[Action, Callable[[Ward], None]] = {
            Action.NOTHING: lambda ward: None,
            Action.SPAWN: Ward.spawn,
            Action.WELCOME: self._welcome,
            Action.DUMP_STACK: Ward.dump_stack,
            Action.RESTART_LATER: self._restart_later,
            Action.GIVE_UP: self._give_up,
            Action.RETIRE: Ward.retire,
            Action.SUCCEED: self._succeed,
            Action.TERMINATE: Ward.terminate,
            Action.KILL: Ward.kill,
            Action.ABANDON: Ward.abandon,
        }

    async def run(self) -> ExitCode:
        """Start all children and return once the last is gone for good."""
        self._heeds_hangups = has_terminal() and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._queue.put_nowait, number)
        self._tell_all(EVERYONE, Event.PAUSE_OVER)
        self._look_after(due=self._loop.time())
        self._feed_watchdog()
        while any(ward.phase is not Phase.STOPPED for ward in self._wards):
            match await self._queue.get():
                case (ward, event):
                    self._on_event(ward, event)
                case signal.SIGHUP if self._is_draining or not self._lost_terminal():
                    self._rolling.ask()
                case signal.Signals() as number:
                    self._on_signal(number)
                case TrialOver(problem=problem):
                    self._rolling.end_trial(problem)
                case None:
                    pass
            if self._has_served and not self._is_draining:
                self._rolling.go_on()
        _log.info("service stopped", exit_code=int(self._exit_code))
        return self._exit_code

    def _tell(self, ward: Ward, event: Event) -> None:
        self._queue.put_nowait((ward, event))

    def _tell_all(self, roles: Collection[Role], event: Event) -> None:
        for ward in self._wards:
            if ward.plan.role in roles:
                self._tell(ward, event)

    def _on_event(self, ward: Ward, event: Event) -> None:
        if event is Event.EXITED:
            event = ward.classify_last_exit(has_served=self._has_served)
        before = ward.phase
        ward.phase, action = decide(before, event)
        self._actions[action](ward)
        if self._is_draining and ward.phase is not before and ward.phase is Phase.STOPPED:
            self._on_stopped(ward)

    def _on_stopped(self, ward: Ward) -> None:
        gateways = [ward for ward in self._wards if ward.plan.role is Role.GATEWAY]
        if ward in gateways and all(each.phase is Phase.STOPPED for each in gateways):
            self._tell_all({Role.WORKER}, Event.STOP)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._was_signalled:
            _log.warning("service stops at once", signal=number.name)
            self._exit_code = ExitCode.FORCED
            self._tell_all(EVERYONE, Event.KILL)
            self._loop.call_later(KILL_TIMEOUT, self._tell_all, EVERYONE, Event.ABANDON)
        elif not self._is_draining:
            _log.info("service stopping", signal=number.name)
            self._drain()
        self._was_signalled = True

    def _drain(self) -> None:
        self._is_draining = True
        self._rolling.cancel()
        self._service.block.set_service_state(ServiceState.DRAINING)
        self._notify(notify.STOPPING, notify.status("draining"))
        grace = self._service.config.workers.grace_period
        for part, role, event in DRAIN:
            self._loop.call_later(part * grace, self._tell_all, {role}, event)
        self._loop.call_later(grace + KILL_TIMEOUT, self._tell_all, EVERYONE, Event.ABANDON)

    def _lost_terminal(self) -> bool:
        """Whether SIGHUP came because the terminal of this process was closed (not for nohup)."""
        return self._heeds_hangups and not has_terminal()

    def _succeed(self, ward: Ward) -> None:
        self._service.block.raise_epochs(ward.plan.shards)
        ward.spawn()

    def _welcome(self, ward: Ward) -> None:
        if self._has_served or self._is_draining:
            _log.info("child is back", child=ward.plan.name)
        elif all(ward.phase is Phase.READY for ward in self._wards):
            self._has_served = True
            self._service.block.set_service_state(ServiceState.SERVING)
            _log.info("service ready", endpoint=self._service.endpoint)
            self._notify(notify.READY, notify.status(f"serving on {self._service.endpoint}"))

    def _restart_later(self, ward: Ward) -> None:
        self._service.block.raise_epochs(ward.plan.shards)
        self._rolling.note_end(ward)
        ward.restart_later()

    def _give_up(self, ward: Ward) -> None:
        if self._is_draining:
            return
        self._exit_code = service_exit_code(ward.last_exit)
        _log.critical(
            "service cannot start",
            reason=f"{ward.plan.name} ended with {describe_exit(ward.last_exit)}",
            exit_code=int(self._exit_code),
        )
        self._drain()
        self._tell_all(EVERYONE, Event.STOP)

    def _look_after(self, due: float) -> None:
        """Check every child, unless this process was itself held up: then all heartbeats are
        old (a suspended machine, say) and the children get one interval to show that they live.
        """
        interval = self._service.config.workers.heartbeat_interval
        now = self._loop.time()
        if now - due < interval:
            for ward in self._wards:
                ward.check(time.monotonic_ns())
        self._queue.put_nowait(None)  # a worker may have been watched for long enough
        self._loop.call_at(now + interval, self._look_after, now + interval)

    def _feed_watchdog(self) -> None:
        interval = self._service.notifier.watchdog_interval
        if interval is not None:
            self._notify(notify.WATCHDOG)
            self._loop.call_later(interval, self._feed_watchdog)

    def _notify(self, *lines: str) -> None:
        try:
            self._service.notifier.send(*lines)
        except BlockingIOError:
            # systemd is slow. It waits for READY, which is told once; the watchdog is fed again.
            if notify.WATCHDOG not in lines:
                self._loop.call_later(NOTIFY_RETRY_SECONDS, self._notify, *lines)
        except OSError as error:
            _log.warning("systemd cannot be told", message=lines[0], reason=str(error))
