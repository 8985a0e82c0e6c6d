"""Send a batch of jobs and watch them being done: ``python examples/jobs/client.py``."""

import argparse
import asyncio
from typing import Any
from uuid import uuid4

from stator import ActorError, Client
from stator.client import Handle

STEPS = 5


async def main(endpoint: str, count: int) -> None:
    """Order ``count`` jobs, of which the first fails twice and the second for ever."""
    async with Client(endpoint) as client:
        batch = client.get_or_create("batch", [uuid4().hex])
        async with batch.connect() as conn:
            conn.on("done", show)
            results = await order(batch, make_jobs(count))
        for result in results:
            digest = (result["digest"] or "-")[:8]
            print(f"{result['id']}: {digest} after {result['attempts']} attempt(s)")


def show(result: dict[str, Any]) -> None:
    """Say that a job is done, or given up."""
    print("done:", result["id"], result["error"] or "")


async def order(batch: Handle, jobs: list[dict[str, object]]) -> list[dict[str, Any]]:
    """Order until there is an answer: a job that is ordered twice is done once."""
    while True:
        try:
            outcome = await batch.enqueue("orders", jobs, wait=True, timeout=300.0)
            if outcome.reply is not None:
                return list(outcome.reply)
        except ActorError as error:
            if error.code != "restarting":
                raise
            print("the batch was lost; ordering again")


def make_jobs(count: int) -> list[dict[str, object]]:
    """Return jobs for the workers; their ids are new, so that nobody has done them before."""
    run = uuid4().hex[:6]
    jobs: list[dict[str, object]] = [
        {"id": f"{run}-{number}", "text": f"text {number}", "steps": STEPS, "failures": 0}
        for number in range(count)
    ]
    for job, failures in zip(jobs, (2, 9), strict=False):
        job["failures"] = failures
    return jobs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--endpoint", default="http://127.0.0.1:6420")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.endpoint, arguments.count))
