"""The limiters of the examples: what may pass, and when."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from examples.rate_limiter import app
from examples.rate_limiter.app import Decision, SlidingWindow, TokenBucket, registry
from stator import ActorError
from stator.testing import TestingClient, running


@asynccontextmanager
async def limiters(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[TestingClient]:
    """Serve the example; the time it reads is that of the test's clock."""
    async with running(registry) as client:
        monkeypatch.setattr(app, "time", client.testing.now)
        yield client


def verdicts(decisions: list[Decision]) -> list[bool]:
    return [decision.allowed for decision in decisions]


async def test_a_bucket_lets_a_burst_pass_and_then_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        limits = {"capacity": 3.0, "per_second": 0.5}
        bucket = client.get_or_create(TokenBucket, ["ann"], input=limits)

        burst = [await bucket.call(TokenBucket.take) for _ in range(4)]
        await client.testing.advance(1.9)
        early = await bucket.call(TokenBucket.take)
        await client.testing.advance(early.retry_after)
        late = await bucket.call(TokenBucket.take)

    assert verdicts(burst) == [True, True, True, False]
    assert [each.remaining for each in burst] == [2, 1, 0, 0]
    assert verdicts([early, late]) == [False, True]


async def test_a_bucket_gives_all_tokens_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        bucket = client.get_or_create(TokenBucket, ["ann"])

        taken = [await bucket.call(TokenBucket.take, count) for count in (8, 8, 2)]

    assert taken == [Decision(True, 2), Decision(False, 2, 6.0), Decision(True, 0)]


async def test_a_bucket_that_slept_knows_what_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        bucket = client.get_or_create(TokenBucket, ["ann"])
        await bucket.call(TokenBucket.take, 10)

        await client.testing.sleep(bucket)
        await client.testing.advance(4)

        assert await bucket.call(TokenBucket.take, 4) == Decision(True, 0)
        assert not (await bucket.call(TokenBucket.take)).allowed


async def test_an_idle_limiter_is_not_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        bucket = client.get_or_create(TokenBucket, ["ann"])
        await bucket.call(TokenBucket.take, 10)

        await client.testing.advance(11)

        assert not await client.testing.is_awake(bucket)
        assert await bucket.call(TokenBucket.take, 10) == Decision(True, 0)


async def test_a_crash_gives_no_token_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        bucket = client.get_or_create(TokenBucket, ["ann"])
        await bucket.call(TokenBucket.take, 10)

        await client.testing.crash()

        assert not (await bucket.call(TokenBucket.take)).allowed


async def test_a_bucket_without_sense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        bucket = client.get_or_create(TokenBucket, ["ann"], input={"capacity": 0.0})

        with pytest.raises(ActorError):
            await bucket.call(TokenBucket.take)


async def test_a_window_never_lets_more_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        window = client.get_or_create(SlidingWindow, ["ann"], input={"limit": 2, "seconds": 10})

        taken: list[bool] = []
        for pause in (0, 6, 0, 3.9, 0.2, 0, 6):
            await client.testing.advance(pause)
            taken.append((await window.call(SlidingWindow.take)).allowed)

    assert taken == [True, True, False, False, True, False, True]


async def test_a_window_says_when_the_next_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        window = client.get_or_create(SlidingWindow, ["ann"], input={"limit": 1, "seconds": 10})
        await window.call(SlidingWindow.take)
        await client.testing.advance(4)

        refused = await window.call(SlidingWindow.take)
        await client.testing.advance(refused.retry_after)

        assert (await window.call(SlidingWindow.take)).allowed


async def test_a_proxy_may_ask_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        window = client.get_or_create(SlidingWindow, ["ann"], input={"limit": 1, "seconds": 10})

        passed = await window.fetch("/")
        refused = await window.fetch("/")

    assert (passed.status, passed.headers["x-ratelimit-remaining"]) == (200, "0")
    assert (refused.status, refused.headers["retry-after"]) == (429, "10")


async def test_an_api_limits_each_caller_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with limiters(monkeypatch) as client:
        api = client.get_or_create("api", ["v1"])

        statuses = [
            (await api.fetch("/fortune", headers={"x-api-key": caller})).status
            for caller in ("ann", "ann", "ann", "ann", "ben")
        ]

    assert statuses == [200, 200, 200, 429, 200]
