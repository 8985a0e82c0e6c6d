"""Rate limiters: a token bucket and a sliding window for each key, and an API behind them."""

from .app import Api, SlidingWindow, TokenBucket

__all__ = ["Api", "SlidingWindow", "TokenBucket"]
