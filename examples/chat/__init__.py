"""A chat room per key."""

from .actor import ChatRoom

__all__ = ["ChatRoom"]
