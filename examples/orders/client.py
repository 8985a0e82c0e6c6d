"""Order a few things and look on: ``python examples/orders/client.py``."""

import argparse
import asyncio
from typing import Any
from uuid import uuid4

from stator import ActorError, Client
from stator.client import Handle


async def main(endpoint: str, count: int) -> None:
    """Order ``count`` cups of tea, then three things that cannot be had."""
    async with Client(endpoint) as client:
        shop = client.get_or_create("orders", ["high-street"])
        async with shop.connect() as conn:
            conn.on("progress", show)
            for each in make_orders(count):
                receipt = await order(shop, each)
                print(f"{receipt['order']}: {receipt['status']} {receipt['reason']}".rstrip())
        print("stock:", await client.get_or_create("inventory").getStock())
        print("Ann has", await client.get_or_create("payments").getBalance("ann"), "cents")


def show(progress: dict[str, str]) -> None:
    """Say how far an order is."""
    print(f"  {progress['order']}: {progress['what']}")


async def order(shop: Handle, body: dict[str, object]) -> dict[str, Any]:
    """Order until there is an answer: an order that is sent twice is one order."""
    while True:
        try:
            outcome = await shop.enqueue("orders", body, wait=True, timeout=30.0)
            if outcome.reply is not None:
                return dict(outcome.reply)
        except ActorError as error:
            if error.code != "restarting":
                raise
            print("the shop was lost; asking again")


def make_orders(count: int) -> list[dict[str, object]]:
    """Return orders; their ids are new, so that nobody has had them before."""
    run = uuid4().hex[:4]
    tea = {"item": "tea", "count": 1, "cents": 250, "card": "ann"}
    orders: list[dict[str, object]] = [{**tea, "id": f"{run}-{n}"} for n in range(count)]
    return [
        *orders,
        {**tea, "id": f"{run}-coffee", "item": "coffee"},
        {**tea, "id": f"{run}-dear", "cents": 1_000_000},
        {**tea, "id": f"{run}-far", "address": "nowhere in particular"},
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--endpoint", default="http://127.0.0.1:6420")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.endpoint, arguments.count))
