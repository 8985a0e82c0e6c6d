"""A workflow seen and controlled through the inspector's routes, in a whole service."""

from __future__ import annotations

from typing import Any

import msgspec

from stator import Actor, action, setup
from stator.client.handle import Handle
from stator.testing import TestingClient, running
from stator.testing.exchange import PatientExchange
from stator.workflow import Workflow, workflow


class Approval(Actor):
    state: int = 0

    @workflow
    async def run(self, wf: Workflow) -> str:
        await wf.step("count", self.count)
        approved = await wf.promise("approved")
        await wf.sleep("rest", 60)
        return f"approved: {approved}"

    def count(self) -> int:
        self.state += 1
        return self.state

    @action
    def counted(self) -> int:
        return self.state


class Plain(Actor):
    state: int = 0

    @action
    def get(self) -> int:
        return self.state


registry = setup(use={"approval": Approval, "plain": Plain})


class Tool:
    """Asks the inspector about one actor; it does not wake it by that."""

    def __init__(self, client: TestingClient, name: str) -> None:
        service = client.testing._service  # pyright: ignore[reportPrivateUsage]
        self._exchange = PatientExchange(str(service.public_path), service.timekeeper.wait_still)
        self._name = name

    async def __aenter__(self) -> Tool:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exchange.close()

    async def ask(self, method: str, inner: str, body: object = None) -> Any:
        """Send a request; return the answer, of an error its status and code."""
        url = f"http://localhost/gateway/{self._name}/inspector/{inner}"
        query = "rvt-namespace=default&rvt-method=get&rvt-key=k"
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"content-type": "application/json"}
        answer = await self._exchange.send(method, f"{url}?{query}", headers, data)
        view = msgspec.json.decode(answer.body)
        return view if answer.is_success else (answer.status, f"{view['group']}.{view['code']}")


async def _waiting(client: TestingClient) -> Handle:
    """Return an actor whose workflow waits for its promise."""
    approval = client.get_or_create(Approval, "k")
    await approval.counted()
    await client.testing.settle()
    return approval


async def test_a_workflow_that_waits_is_seen_without_being_woken() -> None:
    async with running(registry) as client, Tool(client, "approval") as tool:
        approval = await _waiting(client)
        await client.testing.sleep(approval)
        status = await tool.ask("GET", "workflow/status")
        assert status["state"] == "sleeping"
        assert [wait["key"] for wait in status["open"]] == ["approved"]
        assert not await client.testing.is_awake(approval)


async def test_asleep_and_awake_it_looks_the_same() -> None:
    async with running(registry) as client, Tool(client, "approval") as tool:
        approval = await _waiting(client)
        awake = await tool.ask("GET", "workflow/history")
        await client.testing.sleep(approval)
        assert await tool.ask("GET", "workflow/history") == awake


async def test_a_promise_is_resolved_from_outside() -> None:
    async with running(registry) as client, Tool(client, "approval") as tool:
        approval = await _waiting(client)
        await client.testing.sleep(approval)
        await tool.ask("POST", "workflow/resolve", {"promise": "approved", "value": [1]})
        await client.testing.advance(60)
        assert await tool.ask("GET", "workflow/output") == {"output": "approved: [1]"}


async def test_a_workflow_that_waits_has_no_output_yet() -> None:
    async with running(registry) as client, Tool(client, "approval") as tool:
        await _waiting(client)
        assert await tool.ask("GET", "workflow/output") == (409, "workflow.not_finished")


async def test_a_workflow_is_cancelled_and_goes_on_where_it_was() -> None:
    async with running(registry) as client, Tool(client, "approval") as tool:
        approval = await _waiting(client)
        assert (await tool.ask("POST", "workflow/cancel"))["state"] == "cancelled"
        await tool.ask("POST", "workflow/retry")
        await client.testing.settle()
        assert (await tool.ask("GET", "workflow/status"))["state"] == "sleeping"
        assert await approval.counted() == 1


async def test_a_replay_runs_its_steps_again() -> None:
    async with running(registry) as client, Tool(client, "approval") as tool:
        approval = await _waiting(client)
        assert (await tool.ask("POST", "workflow/replay"))["isWorkflowEnabled"]
        await client.testing.settle()
        assert await approval.counted() == 2
        assert (await tool.ask("GET", "workflow/status"))["run"] == 2


async def test_a_replay_from_an_entry_keeps_what_came_before() -> None:
    async with running(registry) as client, Tool(client, "approval") as tool:
        approval = await _waiting(client)
        history = await tool.ask("GET", "workflow-history")
        ids = [entry["id"] for entry in history["history"]["entries"]]
        assert ids == ["count", "approved"]
        await tool.ask("POST", "workflow/replay", {"entryId": ids[1]})
        assert await approval.counted() == 1


async def test_an_entry_that_is_not_there() -> None:
    async with running(registry) as client, Tool(client, "approval") as tool:
        await _waiting(client)
        said = await tool.ask("POST", "workflow/fork", {"from": "nothing"})
        assert said == (404, "workflow.entry_not_found")


async def test_an_actor_without_workflow() -> None:
    async with running(registry) as client, Tool(client, "plain") as tool:
        plain = client.get_or_create(Plain, "k")
        await plain.get()
        assert not (await tool.ask("GET", "workflow-history"))["isWorkflowEnabled"]
        await client.testing.sleep(plain)
        assert await tool.ask("POST", "workflow/cancel") == (404, "workflow.not_enabled")
        assert not await client.testing.is_awake(plain)
