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

from stator.runtime.actor import Actor
from stator.runtime.declarations import Event, Queue, action
from stator.runtime.errors import ActorError, UserError
from stator.runtime.options import Options
from stator.runtime.registry import Registry, setup

__version__ = "0.1.0"

__all__ = [
    "Actor",
    "ActorError",
    "Event",
    "Options",
    "Queue",
    "Registry",
    "UserError",
    "action",
    "setup",
]
