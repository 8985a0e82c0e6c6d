"""Shared cursors: a board per key."""

from .actor import CursorRoom

__all__ = ["CursorRoom"]
