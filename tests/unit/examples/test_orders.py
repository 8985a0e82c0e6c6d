"""The orders of the examples: a checkout is done once or not at all, whatever crashes."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from examples.orders.app import Order, Orders, Receipt, registry
from examples.orders.inventory import OPENING_STOCK, Inventory
from examples.orders.payments import OPENING_CENTS, Payments
from stator.client import Handle
from stator.testing import TestingClient, running

TEA = Order("o1", "tea", 2, 500, "ann")
FAR = Order("o1", "tea", 2, 500, "ann", "nowhere in particular")


def shop_of(client: TestingClient) -> Handle:
    return client.get_or_create(Orders, ["shop"])


async def receipt_for(shop: Handle, order: Order) -> Receipt | None:
    return (await shop.enqueue(Orders.orders, order, wait=True, timeout=5)).reply


async def tea_in_stock(client: TestingClient) -> int:
    return (await client.get_or_create(Inventory).call(Inventory.get_stock))["tea"]


async def cents_of_ann(client: TestingClient) -> int:
    return await client.get_or_create(Payments).call(Payments.get_balance, "ann")


async def test_an_order_is_shipped_and_paid() -> None:
    async with running(registry) as client:
        receipt = await receipt_for(shop_of(client), TEA)

        assert receipt == Receipt("o1", "shipped")
        assert await tea_in_stock(client) == OPENING_STOCK["tea"] - 2
        assert await cents_of_ann(client) == OPENING_CENTS - 500


async def test_an_order_that_comes_twice_is_one_order() -> None:
    async with running(registry) as client:
        receipts = [await receipt_for(shop_of(client), TEA) for _ in range(2)]

        assert receipts == [Receipt("o1", "shipped")] * 2
        assert await cents_of_ann(client) == OPENING_CENTS - 500


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Order("o1", "coffee", 1, 500, "ann"), "There is no more coffee"),
        (Order("o1", "tea", 1, 1_000_000, "ann"), "The card was declined"),
        (FAR, "Nobody delivers to nowhere in particular"),
    ],
)
async def test_an_order_that_is_refused_leaves_nothing_behind(order: Order, reason: str) -> None:
    async with running(registry) as client:
        receipt = await receipt_for(shop_of(client), order)

        assert receipt == Receipt("o1", "refused", reason)
        assert await tea_in_stock(client) == OPENING_STOCK["tea"]
        assert await cents_of_ann(client) == OPENING_CENTS


async def test_after_a_refusal_the_next_order_is_taken() -> None:
    async with running(registry) as client:
        await receipt_for(shop_of(client), FAR)
        receipt = await receipt_for(shop_of(client), Order("o2", "cake", 1, 100, "ann"))

    assert receipt == Receipt("o2", "shipped")


async def test_whoever_looks_on_sees_each_step() -> None:
    async with running(registry) as client, shop_of(client).connect() as conn:
        progress = conn.events(Orders.progress)
        await receipt_for(shop_of(client), FAR)
        seen = [(await anext(progress)).what for _ in range(4)]

    assert seen == ["reserved", "charged", "refunded", "released"]


# -- crashes


def interrupt(monkeypatch: pytest.MonkeyPatch, step: str) -> asyncio.Event:
    """Stop a step when it has done its work, the first time; return what tells when."""
    original = getattr(Orders, step)
    is_reached = asyncio.Event()

    @functools.wraps(original)
    async def interrupted(*args: Any) -> Any:
        output = await original(*args)
        if not is_reached.is_set():
            is_reached.set()
            await asyncio.Event().wait()
        return output

    monkeypatch.setattr(Orders, step, interrupted)
    return is_reached


@pytest.mark.parametrize("step", ["reserve", "charge", "ship", "remember"])
async def test_a_crash_after_any_step_repeats_nothing_and_loses_nothing(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reached = interrupt(monkeypatch, step)
    async with running(registry) as client:
        await shop_of(client).enqueue(Orders.orders, TEA)
        await is_reached.wait()
        await client.testing.crash()
        receipt = await receipt_for(shop_of(client), TEA)

        assert receipt == Receipt("o1", "shipped")
        assert await tea_in_stock(client) == OPENING_STOCK["tea"] - 2
        assert await cents_of_ann(client) == OPENING_CENTS - 500


@pytest.mark.parametrize("step", ["refund", "release"])
async def test_a_crash_while_it_is_undone_leaves_nothing_behind(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reached = interrupt(monkeypatch, step)
    async with running(registry) as client:
        await shop_of(client).enqueue(Orders.orders, FAR)
        await is_reached.wait()
        await client.testing.crash()
        receipt = await receipt_for(shop_of(client), FAR)

        assert receipt is not None and receipt.status == "refused"
        assert await tea_in_stock(client) == OPENING_STOCK["tea"]
        assert await cents_of_ann(client) == OPENING_CENTS


async def test_an_order_goes_on_after_a_crash_without_anybody_asking(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_reached = interrupt(monkeypatch, "charge")
    async with running(registry) as client:
        await shop_of(client).enqueue(Orders.orders, TEA)
        await is_reached.wait()
        await client.testing.crash()
        await client.testing.settle()

        assert await tea_in_stock(client) == OPENING_STOCK["tea"] - 2
        assert await shop_of(client).call(Orders.get_receipts) == [Receipt("o1", "shipped")]


async def test_a_shop_that_waits_for_orders_sleeps() -> None:
    async with running(registry) as client:
        await receipt_for(shop_of(client), TEA)
        await client.testing.advance(60)
        slept = not await client.testing.is_awake(shop_of(client))
        receipt = await receipt_for(shop_of(client), Order("o2", "cake", 1, 100, "ann"))

    assert slept
    assert receipt == Receipt("o2", "shipped")
