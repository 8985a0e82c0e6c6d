"""The actors that the Python client calls in the process tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from stator import Actor, ActorError, UserError, action, setup


class Probe(Actor, rename="camel"):
    """Says what reached it."""

    state: dict[str, Any]

    def create_state(self, input: Any) -> dict[str, Any]:  # noqa: A002 - python-api, section 3
        return {"input": input, "total": 0}

    @action
    def add(self, amount: int) -> int:
        self.state["total"] += amount
        return int(self.state["total"])

    @action
    def read_input(self) -> Any:
        return self.state["input"]

    @action
    def who_am_i(self) -> list[Any]:
        return [self.actor_id, self.name, *self.key]

    @action
    def echo(self, value: Any) -> Any:
        return value

    @action(name="admin.reset")
    def reset(self) -> None:
        self.state["total"] = 0

    @action
    def refuse(self) -> None:
        raise UserError("no seat", code="full", metadata={"seats": 3, "big": 2**60})

    @action
    def crash(self) -> None:
        raise ZeroDivisionError("a secret")

    @action
    def pass_on_a_retryable_error(self) -> None:
        """Fail as after a call to another actor that was just restarting."""
        self.state["total"] += 1
        raise ActorError("the other one", group="actor", code="restarting")

    @action
    def kill_worker_once(self, marker: str) -> str:
        if not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "alive"

    @action
    def vanish(self) -> None:
        self.destroy()


registry = setup(use={"probe": Probe})
