"""Rate limiting: one actor for each thing that is limited, so no lock and no central counter.

All of a limiter is its state, and what passes is worked out from timestamps when somebody asks:
an actor without a timer can sleep between two calls and nothing is lost.
"""

from __future__ import annotations

from math import ceil
from time import time
from typing import Annotated

import msgspec

from stator import Actor, Options, Request, Response, UserError, action, setup

Cost = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Decision(msgspec.Struct):
    """Whether a call may pass."""

    allowed: bool
    remaining: int
    """What would pass right after this call."""
    retry_after: float = 0.0
    """Seconds to wait, if it may not; then it will pass if nobody else comes."""


class BucketState(msgspec.Struct):
    """Full at first; ``capacity`` calls at once, ``per_second`` in the long run."""

    capacity: float = 10.0
    per_second: float = 1.0
    tokens: float = 10.0
    counted_at: float = 0.0
    """Unix seconds."""


class TokenBucket(Actor, rename="camel"):
    """Lets bursts pass, and a steady rate in the long run. For quotas that are paid for."""

    options = Options(name="Token bucket", icon="bucket", sleep_timeout=10.0)
    state: BucketState

    def create_state(self, input: dict[str, float] | None) -> BucketState:  # noqa: A002 - hook
        """Take ``capacity`` and ``per_second`` from whoever asks first."""
        limits = msgspec.convert(input or {}, BucketState)
        if limits.capacity < 1 or limits.per_second <= 0:
            raise UserError("A bucket holds a token or more, and fills", code="invalid_limits")
        limits.tokens, limits.counted_at = limits.capacity, time()
        return limits

    @action
    def take(self, tokens: Cost = 1) -> Decision:
        """Take tokens, all or none."""
        bucket, now = self.state, time()
        grown = max(0.0, now - bucket.counted_at) * bucket.per_second  # clocks may be set back
        bucket.tokens = min(bucket.capacity, bucket.tokens + grown)
        bucket.counted_at = now
        missing = tokens - bucket.tokens
        if missing > 0:
            return Decision(False, int(bucket.tokens), missing / bucket.per_second)
        bucket.tokens -= tokens
        return Decision(True, int(bucket.tokens))


class WindowState(msgspec.Struct):
    """At most ``limit`` calls in any ``seconds``."""

    limit: int = 5
    seconds: float = 60.0
    passed: list[float] = []
    """When the last calls passed, in Unix seconds."""


class SlidingWindow(Actor, rename="camel"):
    """Never lets more pass in any window of time. Against floods and guessing.

    With durability "interval" no decision waits for the disk; a crash forgets one second at most.
    """

    options = Options(name="Sliding window", icon="stopwatch", durability="interval")
    state: WindowState

    def create_state(self, input: dict[str, float] | None) -> WindowState:  # noqa: A002 - hook
        """Take ``limit`` and ``seconds`` from whoever asks first."""
        return msgspec.convert(input or {}, WindowState, strict=False)

    @action
    def take(self) -> Decision:
        """Count a call, if it may pass."""
        window, now = self.state, time()
        window.passed = [at for at in window.passed if now - window.seconds < at <= now]
        remaining = window.limit - len(window.passed)
        if remaining <= 0:
            return Decision(False, 0, window.passed[0] + window.seconds - now)
        window.passed.append(now)
        return Decision(True, remaining - 1)

    def on_request(self, request: Request) -> Response:
        """Answer a proxy that asks before it passes a request on (nginx: ``auth_request``)."""
        return answer(self.take())


class Api(Actor, rename="camel"):
    """Something that is limited: it asks the limiter of its caller before it does anything."""

    options = Options(name="Limited API", icon="cloud")

    async def on_request(self, request: Request) -> Response:
        """Say the caller's fortune, if the bucket of its key has a token left."""
        caller = request.headers.get("x-api-key", "anonymous")
        limits = {"capacity": 3.0, "per_second": 1 / 60}
        bucket = self.client.get_or_create(TokenBucket, [self.key[0], caller], input=limits)
        decision = await bucket.call(TokenBucket.take, 1)
        return answer(decision, "You will be asked again.\n")


def answer(decision: Decision, text: str = "") -> Response:
    """Return what HTTP has for a decision: 200 or 429, and when to come back."""
    headers = {"x-ratelimit-remaining": str(decision.remaining)}
    if decision.allowed:
        return Response(text, 200, headers)
    return Response("", 429, headers | {"retry-after": str(ceil(decision.retry_after))})


registry = setup(use={"tokenBucket": TokenBucket, "slidingWindow": SlidingWindow, "api": Api})
