"""An action that is called by itself, over HTTP or by another actor."""

from __future__ import annotations

import asyncio
from typing import Any

from stator.runtime.link.frames import Call
from stator.runtime.protocol.actions import decode_action_request, encode_action_response

from .passing_visits import PassingVisit
from .visits import admit


class SingleCall(PassingVisit[Call]):
    """An action called by itself; implements :class:`.actions.ActionCaller`."""

    __slots__ = ()

    def arguments(self) -> list[Any]:
        """Decode the arguments. Raises ``actor.invalid_request``."""
        call = self.brought
        arguments, self.version = decode_action_request(call.encoding, self.body)
        return arguments

    def start(self) -> None:
        """Run the action, after the connection hooks if the class has any."""
        cell = self.cell
        if cell.definition.is_guarded:
            cell.keep(cell.spawn(self._start_guarded()))
            return
        try:
            arguments = self.arguments()
        except Exception as error:
            cell.runner.fail(self, self.brought.action, error)
        else:
            cell.runner.run(self, self.brought.action, arguments)

    async def _start_guarded(self) -> None:
        cell, action = self.cell, self.brought.action
        cell.enter()
        try:
            await admit(self)
            arguments = self.arguments()
        except BaseException as error:  # user code must not end the worker
            if cell.is_aborted and isinstance(error, asyncio.CancelledError):
                self.drop()  # the grace period of a stop is over
            else:
                cell.runner.fail(self, action, error)
        else:
            cell.runner.run(self, action, arguments)
        finally:
            cell.leave()

    def encode(self, output: object) -> bytes:
        """Encode the output. Raises ``actor.output_not_serializable``."""
        return encode_action_response(self.brought.encoding, self.version, output)
