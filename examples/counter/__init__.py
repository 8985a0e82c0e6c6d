"""A counter per key: the smallest actor there is."""

from .actor import Counter

__all__ = ["Counter"]
