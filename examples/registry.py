"""The registry of all examples: what ``scripts/run`` serves."""

from chat import ChatRoom
from counter import Counter
from cursors import CursorRoom

from stator import setup

registry = setup(use={"counter": Counter, "chat": ChatRoom, "cursors": CursorRoom})
