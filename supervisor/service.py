"""The service: everything the supervisor owns and lends to its children.

It is opened whole before the first child is spawned, so that what can fail early does, and
closed in reverse order. The lock comes first: all that follows is safe because of it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from stator.runtime.boot import Boot
from stator.runtime.config import Config
from stator.runtime.control import Role
from stator.runtime.control_block import ControlBlock

from .complaint import Complaint
from .data_directory import (
    ServiceRecord,
    create_directory,
    lock_directory,
    open_manifest,
    remove_service_record,
    write_service_record,
)
from .notify import Notifier
from .plan import ChildPlan, Plan, make_plan
from .run_directory import choose_run_directory, open_run_directory, worker_socket
from .sockets import WORKER_BACKLOG, endpoint_of, open_public_listeners, open_unix_listener


@dataclass(frozen=True)
class Service:
    """What is open while the service runs."""

    config: Config
    environ: Mapping[str, str]
    """The supervisor's environment, for its children."""
    plan: Plan
    block: ControlBlock
    complaint: Complaint
    notifier: Notifier
    endpoint: str
    """The first public address, as a URL."""
    data_directory: Path
    run_directory: Path
    public_fds: tuple[int, ...]
    worker_fds: tuple[int, ...]
    """One listening Unix socket for each worker."""
    lock_fd: int
    lifeline_fd: int
    """The read end; the write end is in no other process and closes when this one ends."""

    def boot_of(self, child: ChildPlan, generation: int) -> Boot:
        """Return the boot record of a child, without what belongs to a single process."""
        is_worker = child.role is Role.WORKER
        workers = range(len(self.plan.workers))
        return Boot(
            role=child.role,
            index=child.index,
            slot=child.slot,
            generation=generation,
            title=child.title,
            config=self.config,
            shards=child.shards,
            total_shards=len(self.plan.owners),
            workers=tuple(str(worker_socket(self.run_directory, index)) for index in workers),
            data_directory=str(self.data_directory),
            run_directory=str(self.run_directory),
            control_fd=self.block.fd,
            lifeline_fd=self.lifeline_fd,
            ready_fd=-1,
            stack_fd=-1,
            lock_fd=self.lock_fd,
            listen_fds=(self.worker_fds[child.index],) if is_worker else self.public_fds,
        )

    def boot_of_trial(self) -> Boot:
        """Return the boot record of a trial: no shards, no sockets, and not the lock."""
        return Boot(
            role=Role.WORKER,
            index=-1,
            slot=-1,
            generation=0,
            title="stator: trial",
            config=self.config,
            shards=(),
            total_shards=len(self.plan.owners),
            workers=(),
            data_directory=str(self.data_directory),
            run_directory=str(self.run_directory),
            control_fd=-1,
            lifeline_fd=self.lifeline_fd,
            ready_fd=-1,
            stack_fd=-1,
            lock_fd=-1,
            listen_fds=(),
        )


@contextmanager
def open_service(
    config: Config, *, environ: Mapping[str, str], command: Sequence[str]
) -> Generator[Service]:
    """Open the service; raises ``ServiceFailure`` if something is missing, taken or damaged."""
    data = Path(config.storage.directory)
    cores = len(os.sched_getaffinity(0))
    with ExitStack() as opened:
        create_directory(data)
        lock_fd = _owned(opened, lock_directory(data, config.storage.lock_timeout))
        manifest = open_manifest(data, config.storage.shards, cores=cores)
        plan = make_plan(config, shards=manifest.shards, cores=cores, command=command)
        run = choose_run_directory(data, environ)
        open_run_directory(run)
        public = open_public_listeners(config.server, environ, opened)
        links = [
            open_unix_listener(worker_socket(run, worker.index), WORKER_BACKLOG, opened)
            for worker in plan.workers
        ]
        lifeline, _ = (_owned(opened, end) for end in os.pipe2(os.O_CLOEXEC))
        service = Service(
            config=config,
            environ=environ,
            plan=plan,
            block=_open_block(plan, opened),
            complaint=_open_complaint(opened),
            notifier=_open_notifier(environ, opened),
            endpoint=endpoint_of(public[0], is_tls=bool(config.server.tls_certificate)),
            data_directory=data,
            run_directory=run,
            public_fds=_fds(public),
            worker_fds=_fds(links),
            lock_fd=lock_fd,
            lifeline_fd=lifeline,
        )
        _publish(service, opened)
        yield service


def _owned(opened: ExitStack, fd: int) -> int:
    opened.callback(os.close, fd)
    return fd


def _open_block(plan: Plan, opened: ExitStack) -> ControlBlock:
    children = [(child.role, child.index) for child in plan.children]
    block = ControlBlock.create(owners=plan.owners, children=children)
    opened.callback(block.close)
    return block


def _open_complaint(opened: ExitStack) -> Complaint:
    complaint = Complaint()
    opened.callback(complaint.close)
    return complaint


def _open_notifier(environ: Mapping[str, str], opened: ExitStack) -> Notifier:
    notifier = Notifier(environ)
    opened.callback(notifier.close)
    return notifier


def _fds(sockets: Sequence[socket.socket]) -> tuple[int, ...]:
    return tuple(each.fileno() for each in sockets)


def _publish(service: Service, opened: ExitStack) -> None:
    record = ServiceRecord(
        pid=os.getpid(),
        control_fd=service.block.fd,
        complaint_fd=service.complaint.fd,
        run_directory=str(service.run_directory),
        endpoint=service.endpoint,
        started_at=service.block.started_at_ms,
    )
    write_service_record(service.data_directory, record)
    opened.callback(remove_service_record, service.data_directory)
