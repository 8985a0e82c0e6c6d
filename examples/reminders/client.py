"""Remind somebody in a few seconds and wait for it: ``examples/reminders/client.py Ann``."""

import argparse
import asyncio

from stator import Client


async def main(endpoint: str, person: str, seconds: float) -> None:
    """Set two reminders, cancel one, and print what rings."""
    async with Client(endpoint) as client:
        reminders = client.get_or_create("reminders", [person])
        async with reminders.connect() as conn:
            rings = conn.events("rang")
            await conn.remindIn("The tea is ready", seconds)
            mistaken = await conn.remindIn("Never mind", seconds * 2)
            await conn.repeat("standup", "Stand up", "0 9 * * 1-5", "Europe/Berlin")
            print("cancelled:", await conn.cancel(mistaken))

            for each in await conn.getUpcoming():
                print("to come:", each["text"], f"({each['every'] or 'once'})")

            rung = await anext(rings)
            print(f"rang: {rung['text']}, {rung['rang_at'] - rung['due_at']:.1f} s late")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("person", nargs="?", default="Ann")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--endpoint", default="http://127.0.0.1:6420")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.endpoint, arguments.person, arguments.seconds))
