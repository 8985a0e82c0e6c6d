"""Ask for money and wait for the decision: ``python examples/approval/client.py Chairs 4200``."""

import argparse
import asyncio
from uuid import uuid4

from stator import Client

PAGE = (
    "{endpoint}/gateway/approvals/request/?rvt-namespace=default&rvt-method=getOrCreate"
    "&rvt-runner=default&rvt-key=team"
)


async def main(endpoint: str, title: str, cents: int, patience: float) -> None:
    """Send an expense and print what was decided."""
    expense = {"id": uuid4().hex, "title": title, "cents": cents, "patience": patience}
    async with Client(endpoint) as client:
        team = client.get_or_create("approvals", ["team"])
        async with team.connect() as conn:
            boards = conn.events("changed")
            await team.enqueue("expenses", expense)
            print("decide on", PAGE.format(endpoint=endpoint), flush=True)
            async for board in boards:
                for each in board["decided"]:
                    if each["expense"]["id"] == expense["id"]:
                        verdict = "approved" if each["approved"] else "refused"
                        print(f"{title}: {verdict} by {each['by']}")
                        return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("title", nargs="?", default="Chairs")
    parser.add_argument("cents", nargs="?", type=int, default=4200)
    parser.add_argument("--patience", type=float, default=600.0, help="seconds until it is refused")
    parser.add_argument("--endpoint", default="http://127.0.0.1:6420")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.endpoint, arguments.title, arguments.cents, arguments.patience))
