"""An actor that notes every hook and action: who is visible then, and which request."""

from __future__ import annotations

import asyncio
from typing import Any

from stator import Actor, Conn, Options, UserError, action

SEEN: list[tuple[str, str | None, list[str], str | None]] = []
"""Hook or action, id of ``self.conn``, ids in ``self.conns``, path of ``self.request``."""

OPENING_HOOKS = ["on_before_connect", "create_conn_state", "on_connect"]


def hooks() -> list[str]:
    """Return what ran, in order."""
    return [hook for hook, *_ in SEEN]


class Watched(Actor):
    """Does in a hook what the parameters say: ``{"fail": "on_connect"}``, or break or hang."""

    state: int = 0
    options = Options(
        on_before_connect_timeout=0.02, create_conn_state_timeout=0.02, on_connect_timeout=0.02
    )

    def _note(self, hook: str) -> None:
        conn = None if self.conn is None else self.conn.id
        request = None if self.request is None else self.request.path
        SEEN.append((hook, conn, list(self.conns), request))

    async def on_before_connect(self, params: Any) -> None:
        self._note("on_before_connect")
        await self._obey("on_before_connect", params)

    async def create_conn_state(self, params: Any) -> Any:
        self._note("create_conn_state")
        await self._obey("create_conn_state", params)
        return params

    async def on_connect(self, conn: Conn) -> None:
        self._note("on_connect")
        assert conn is self.conn
        await self._obey("on_connect", conn.params)

    def on_disconnect(self, conn: Conn) -> None:
        self._note("on_disconnect")
        assert conn is self.conn

    @action
    def note(self) -> None:
        """Note who is visible to an action."""
        self._note("action")

    async def _obey(self, hook: str, params: Any) -> None:
        match params:
            case {"fail": where} if where == hook:
                raise UserError("no", code="refused", metadata={"where": hook})
            case {"break": where} if where == hook:
                raise RuntimeError("internal text")
            case {"hang": where} if where == hook:
                await asyncio.Event().wait()
            case _:
                await asyncio.sleep(0)
