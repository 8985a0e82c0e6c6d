"""Who comes to an actor from outside: every call, raw request and WebSocket is a visit.

All kinds run the same hooks (semantics page, section 6.1): :func:`admit` before anything else of
the visit, :func:`dismiss` after it. An actor class without such hooks pays nothing for them: its
single calls are admitted as they are.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

import msgspec

from stator.runtime.actor import Actor
from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER, Caller
from stator.runtime.conn import Conn
from stator.runtime.declarations import Event
from stator.runtime.errors import InvalidRequest
from stator.runtime.events import check_payload, resolve_event
from stator.runtime.link.frames import RequestHead
from stator.runtime.raw_http import BodySource, Request

from .hook_budget import Budget, run_hook
from .lifecycle import Status

if TYPE_CHECKING:
    from .cell import Cell


class Visit:
    """One visitor of an actor, as the actor's code finds it in ``self.conn``.

    It serves as the :class:`~stator.runtime.calling.Caller` of the code that runs for it and as
    the host of its :class:`~stator.runtime.conn.Conn`.
    """

    __slots__ = ("_conn", "_params", "cell", "conn_state", "head", "is_admitted", "shown_request")

    is_hibernatable = False
    is_socket = False
    """Whether it is a WebSocket, which outlives the call that brought it."""
    is_single_call = False
    """Whether it carries one action and nothing else."""

    def __init__(self, cell: Cell, params: bytes | None, head: RequestHead | None) -> None:
        """``params`` is JSON as the client sent it."""
        self.cell = cell
        self.head = head
        self.is_admitted = False
        """Whether :func:`admit` let it in, so that :func:`dismiss` has something to undo."""
        self._params = params
        self._conn: Conn | None = None
        self.conn_state: Any = None
        """What the actor's code reads as the state of the connection."""
        self.shown_request: Request | None = None

    # -- runtime.calling.Caller

    @property
    def actor(self) -> Actor:
        return self.cell.actor

    @property
    def conn(self) -> Conn | None:
        return self._conn

    @property
    def request(self) -> Request | None:
        return self.shown_request

    def make_request(self, body: BodySource | None = None) -> Request | None:
        """Return the request that brought the visit, if this kind of visit has one."""
        head = self.head
        if head is None:
            return None
        return Request(
            method=head.method,
            path=head.path,
            raw_query=head.raw_query,
            url=head.url,
            raw_headers=head.headers,
            body=body,
        )

    def show(self, request: Request) -> None:
        """Let the actor's code that runs for the visit find ``request`` as ``self.request``."""
        self.shown_request = request

    # -- its connection

    def make_conn(self, conn_id: str | None = None) -> Conn:
        """Make the connection that the actor sees."""
        self._conn = Conn(
            self,
            conn_id or str(uuid.uuid4()),
            self.decode_params(),
            is_hibernatable=self.is_hibernatable,
        )
        return self._conn

    def decode_params(self) -> Any:
        """Return the parameters. Raises ``actor.invalid_request``."""
        if not self._params:
            return None
        try:
            return msgspec.json.decode(self._params)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequest(f"the connection parameters are not JSON: {error}") from error

    # -- runtime.conn.ConnHost; connections do better (connections.py)

    def send_event(self, conn: Conn, event: Event[Any] | str, args: tuple[Any, ...]) -> None:
        """Check the payload and drop it: nobody listens at the other end."""
        name, declared = resolve_event(self.cell.definition.events, event)
        check_payload(declared, args)
        self.cell.log.debug("event for a visitor that cannot get any", name=name, conn=conn.id)

    def read_state(self) -> Any:
        """Return the state of the connection, which may change from here on."""
        self.touch()
        return self.conn_state

    def write_state(self, value: Any) -> None:
        """Replace the state of the connection."""
        self.touch()
        self.conn_state = value

    def touch(self) -> None:
        """Note that the state of the connection may change from here on."""

    async def disconnect(self, conn: Conn, reason: str | None) -> None:
        """Do nothing: such a visit ends by itself."""


class LiveConns(Mapping[str, Conn]):
    """What an actor sees as ``self.conns``: a view of the visits that are there."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def __getitem__(self, conn_id: str) -> Conn:
        visit = self._cell.visits.get(conn_id)
        if visit is not None and visit.conn is not None:
            return visit.conn
        for conn in self._passing():
            if conn.id == conn_id:
                return conn
        raise KeyError(conn_id)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._cell.visits, *(conn.id for conn in self._passing())])

    def __len__(self) -> int:
        return len(self._cell.visits) + len(self._passing())

    def __repr__(self) -> str:
        return f"<{len(self)} connections>"

    def _passing(self) -> list[Conn]:
        """Single calls to a class without hooks get their connection when somebody looks."""
        cell = self._cell
        if cell.definition.is_guarded:
            return []
        callers: list[Caller | None] = [*cell.calls, CALLER.get()]
        passing = {caller: caller.conn for caller in callers if _passes_through(caller, cell)}
        return [conn for conn in passing.values() if conn is not None]


def _passes_through(caller: Caller | None, cell: Cell) -> TypeGuard[Visit]:
    return isinstance(caller, Visit) and caller.cell is cell and caller.is_single_call


async def admit(visit: Visit, conn_id: str | None = None) -> None:
    """Run the hooks before a visit (semantics page, section 6.3, steps 1 to 4).

    Afterwards its connection is in ``self.conns``. Raises what they raise; then it is not.
    """
    cell = visit.cell
    definition = cell.definition
    settings = definition.settings
    token = CALLER.set(visit)
    visit.shown_request = visit.make_request()
    try:
        params = visit.decode_params()
        if "on_before_connect" in definition.hooks:
            await run_hook(cell, "on_before_connect", settings.on_before_connect_timeout, params)
        state = None
        if "create_conn_state" in definition.hooks:
            seconds = settings.create_conn_state_timeout
            state = await run_hook(cell, "create_conn_state", seconds, params)
        elif definition.has_conn_state:
            state = definition.initial_conn_state()
        conn = _let_in(visit, conn_id, state)
        if "on_connect" in definition.hooks:
            try:
                await run_hook(cell, "on_connect", settings.on_connect_timeout, conn)
            except BaseException:
                cell.visits.pop(conn.id, None)
                visit.is_admitted = False
                raise
    finally:
        visit.shown_request = None
        CALLER.reset(token)


def admit_plain(visit: Visit, conn_id: str | None = None) -> None:
    """Let a visit in to an actor whose class has no hooks to ask. Raises like :func:`admit`."""
    definition = visit.cell.definition
    _let_in(visit, conn_id, definition.initial_conn_state() if definition.has_conn_state else None)


def _let_in(visit: Visit, conn_id: str | None, state: Any) -> Conn:
    conn = visit.make_conn(conn_id)
    visit.conn_state = state
    visit.cell.visits[conn.id] = visit
    visit.is_admitted = True
    return conn


def dismiss(visit: Visit) -> None:
    """Take a visit's connection out of ``self.conns`` and begin ``on_disconnect``.

    A plain one runs to its end here, so that the visitor's next call sees what it did; an
    ``async`` one goes on in the background. What it raises is logged.
    """
    if not visit.is_admitted or visit.cell.status is Status.GONE:
        return
    visit.is_admitted = False
    cell, conn = visit.cell, visit.conn
    assert conn is not None
    cell.visits.pop(conn.id, None)
    cell.rest()
    if "on_disconnect" not in cell.definition.hooks:
        return
    token = CALLER.set(visit)
    visit.shown_request = visit.make_request()
    hook: Any = cell.actor
    try:
        result = hook.on_disconnect(conn)
        if hasattr(result, "__await__"):
            cell.enter()
            cell.keep(cell.spawn(_finish_disconnect(cell, result)))
            return
    except BaseException as error:  # user code must not end the worker
        cell.log.error("hook failed", hook="on_disconnect", exc_info=error)
    finally:
        CALLER.reset(token)
    cell.shard.capture_quietly(cell)


async def _finish_disconnect(cell: Cell, result: Any) -> None:
    try:
        async with Budget(cell.shard.clock, cell.definition.settings.on_connect_timeout):
            await result_of(result)
    except BaseException as error:  # as above
        if not (cell.is_aborted and isinstance(error, asyncio.CancelledError)):
            cell.log.error("hook failed", hook="on_disconnect", exc_info=error)
    finally:
        cell.leave()
    cell.shard.capture_quietly(cell)
