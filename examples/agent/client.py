"""Talk to the agent in a terminal: ``python examples/agent/client.py "What is 12 * 7?"``."""

import argparse
import asyncio

from stator import Client


async def main(endpoint: str, conversation: str, prompts: list[str]) -> None:
    """Send the prompts, all at once, and print the answers while they are being given."""
    async with Client(endpoint) as client:
        agent = client.get_or_create("agent", [conversation])
        async with agent.connect() as conn:
            conn.on("started", lambda prompt: print("you:  ", prompt["text"], "\nagent: ", end=""))
            conn.on("token", lambda token: print(token["text"], end="", flush=True))
            conn.on("tool", lambda use: print(f"[{use['name']}: {use['result']}] ", end=""))
            ends = conn.events("ended")
            for prompt in prompts:
                await agent.enqueue("prompts", {"text": prompt})
            for _ in prompts:
                ended = await anext(ends)
                print() if ended["status"] == "finished" else print(f"({ended['status']})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", nargs="*", default=["What is 12 * 7?"])
    parser.add_argument("--conversation", default="terminal")
    parser.add_argument("--endpoint", default="http://127.0.0.1:6420")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.endpoint, arguments.conversation, arguments.prompts))
