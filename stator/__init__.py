"""Stator: Rivet's actor model for Python, as one service on one host.

What applications are written with. An actor is a class, a registry names the classes, and
``stator serve`` runs a registry::

    from stator import Actor, action, setup

    class Counter(Actor):
        state = {"count": 0}

        @action
        def increment(self, by: int = 1) -> int:
            self.state["count"] += by
            return self.state["count"]

    registry = setup(use={"counter": Counter})
"""

from importlib import import_module
from typing import TYPE_CHECKING

from stator.runtime.version import VERSION as __version__

if TYPE_CHECKING:
    from stator.client.client import Client
    from stator.runtime.actor import Actor
    from stator.runtime.conn import Conn
    from stator.runtime.database import Database
    from stator.runtime.declarations import Event, Queue, action
    from stator.runtime.errors import ActorError, UserError
    from stator.runtime.options import Options
    from stator.runtime.queues import QueueMessage
    from stator.runtime.raw_http import Request, Response
    from stator.runtime.registry import Registry, setup
    from stator.runtime.schedules import CronJob, HistoryEntry, Schedule, ScheduledFire
    from stator.runtime.websocket import WebSocket
else:
    # Every process of the service imports this package and most need none of these names: they
    # are imported when they are asked for (PEP 562), which a start of the service notices.
    _HOMES = {
        "Actor": "stator.runtime.actor",
        "ActorError": "stator.runtime.errors",
        "Client": "stator.client.client",
        "Conn": "stator.runtime.conn",
        "CronJob": "stator.runtime.schedules",
        "Database": "stator.runtime.database",
        "Event": "stator.runtime.declarations",
        "HistoryEntry": "stator.runtime.schedules",
        "Options": "stator.runtime.options",
        "Queue": "stator.runtime.declarations",
        "QueueMessage": "stator.runtime.queues",
        "Registry": "stator.runtime.registry",
        "Request": "stator.runtime.raw_http",
        "Response": "stator.runtime.raw_http",
        "Schedule": "stator.runtime.schedules",
        "ScheduledFire": "stator.runtime.schedules",
        "UserError": "stator.runtime.errors",
        "WebSocket": "stator.runtime.websocket",
        "action": "stator.runtime.declarations",
        "setup": "stator.runtime.registry",
    }

    def __getattr__(name):
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'stator' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)
        return value


__all__ = [
    "Actor",
    "ActorError",
    "Client",
    "Conn",
    "CronJob",
    "Database",
    "Event",
    "HistoryEntry",
    "Options",
    "Queue",
    "QueueMessage",
    "Registry",
    "Request",
    "Response",
    "Schedule",
    "ScheduledFire",
    "UserError",
    "WebSocket",
    "__version__",
    "action",
    "setup",
]
