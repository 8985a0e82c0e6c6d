"""Jobs: a durable queue that several workers share, with replies, retries and progress."""

from .app import Batch
from .worker import Worker

__all__ = ["Batch", "Worker"]
