"""Talk to the agent in a terminal: ``python examples/agent/client.py "What is 12 * 7?"``."""

import argparse
import asyncio

from stator import Client


async def main(endpoint: str, conversation: str, prompts: list[str]) -> None:
    """Send the prompts, all at once, and print the answers while they are being given."""
    async with Client(endpoint) as client:
        agent = client.get_or_create("agent", [conversation])
        async with agent.connect() as conn:
            conn.on("started", show_prompt)
            conn.on("token", show_words)
            conn.on("tool", show_tool)
            ends = conn.events("ended")
            for prompt in prompts:
                await agent.enqueue("prompts", {"text": prompt})
            for _ in prompts:
                ended = await anext(ends)
                print() if ended["status"] == "finished" else print(f"({ended['status']})")


def show_prompt(prompt: dict[str, str]) -> None:
    """Begin a turn."""
    print(f"you:   {prompt['text']}\nagent: ", end="")


def show_words(words: dict[str, str]) -> None:
    """Go on with the answer."""
    print(words["text"], end="", flush=True)


def show_tool(use: dict[str, str]) -> None:
    """Say what a tool found out."""
    print(f"[{use['name']}: {use['result']}] ", end="", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompts", nargs="*", default=["What is 12 * 7?"])
    parser.add_argument("--conversation", default="terminal")
    parser.add_argument("--endpoint", default="http://127.0.0.1:6420")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.endpoint, arguments.conversation, arguments.prompts))
