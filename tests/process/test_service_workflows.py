"""Workflows of a running service: seen and controlled over HTTP and from a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stator import ActorError, Client
from stator.client.sync import Client as BlockingClient
from stator.runtime.handles import ActorHandle
from tests.fakes.real_service import HttpAnswer, RealService
from tests.fakes.running_service import DEADLINE

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "workflows"
INSPECTOR, CLIENT, ADMIN = "inspector-token", "client-token", "admin-token"
TOKENS = {
    "auth.inspector_token": INSPECTOR,
    "auth.client_token": CLIENT,
    "auth.admin_token": ADMIN,
}
SETTINGS = {"application.path": APPLICATION, "namespaces.create_on_use": "true"}


@pytest.fixture(scope="module")
def open_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service without tokens."""
    with RealService(tmp_path_factory.mktemp("workflows"), SETTINGS) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """A service with all three tokens."""
    with RealService(tmp_path_factory.mktemp("guarded"), {**SETTINGS, **TOKENS}) as running:
        running.wait_ready()
        yield running


@asynccontextmanager
async def _shop(
    service: RealService, key: str, token: str | None = None
) -> AsyncGenerator[ActorHandle]:
    async with Client(service.endpoint, token=token) as client:
        yield client.get_or_create("shop", [key])


async def _until_true(ask: Callable[[], Awaitable[bool]]) -> None:
    """Return once ``ask`` says so."""
    async with asyncio.timeout(DEADLINE):
        while not await ask():  # noqa: ASYNC110 - nobody tells from another process
            await asyncio.sleep(0.005)


async def _until(shop: ActorHandle, state: str) -> None:
    """Return once the workflow is that far."""

    async def is_there() -> bool:
        return await shop.workflow.status() == state

    await _until_true(is_there)


async def _until_asked(shop: ActorHandle) -> None:
    """Return when the workflow waits for the approval."""

    async def is_there() -> bool:
        return any(entry.key == "approved" for entry in (await shop.workflow.status()).open)

    await _until_true(is_there)


# ------------------------------------------------------------------------- `handle.workflow`


async def test_a_run_is_followed_to_its_end(open_service: RealService) -> None:
    async with _shop(open_service, "followed") as shop:
        asking = asyncio.create_task(shop.enqueue("orders", "tea", wait=True, timeout=DEADLINE))
        await _until_asked(shop)
        with pytest.raises(ActorError) as caught:
            await shop.workflow.output()
        assert caught.value.code == "not_finished"
        await shop.workflow.resolve("approved", True)
        assert (await asking).reply == {"number": 3}
        await _until(shop, "completed")
        assert await shop.workflow.output() == {"number": 3}
        entries = {entry.key: entry.status for entry in await shop.workflow.history()}
        assert entries == dict.fromkeys(["order", "reserve", "approved", "charge"], "completed")


async def test_a_failed_run_goes_on_with_retry(open_service: RealService) -> None:
    async with _shop(open_service, "declined") as shop:
        await shop.enqueue("orders", "declined")
        await _until_asked(shop)
        await shop.workflow.resolve("approved", True)
        await _until(shop, "failed")
        status = await shop.workflow.status()
        assert status.reason == "step_failed"
        with pytest.raises(ActorError, match="the card was declined") as caught:
            await shop.workflow.output()
        assert caught.value.code == "failed"
        await shop.workflow.retry()
        await _until_asked(shop)  # what was undone is done again, and approved again
        await shop.workflow.resolve("approved", True)
        await _until(shop, "completed")
        assert await shop.workflow.output() == {"number": len("declined")}


async def test_a_run_is_cancelled_and_forked(open_service: RealService) -> None:
    async with _shop(open_service, "cancelled") as shop:
        await shop.enqueue("orders", "tea")
        await _until_asked(shop)
        assert await shop.workflow.cancel() == "cancelled"
        assert await shop.notes() == ["reserve tea", "release tea"]
        with pytest.raises(ActorError) as caught:
            await shop.workflow.output()
        assert caught.value.code == "cancelled"
        assert (await shop.workflow.fork()).run == 2
        await _until_asked(shop)
        await shop.workflow.resolve("approved", False)
        await _until(shop, "completed")
        assert await shop.workflow.output() == {"number": 0}


def test_the_blocking_client_controls_workflows(open_service: RealService) -> None:
    with BlockingClient(open_service.endpoint) as client:
        shop = client.get_or_create("shop", ["blocking"])
        assert shop.workflow.status() in ("pending", "running", "sleeping")
        assert shop.workflow.cancel() == "cancelled"
        assert [entry.key for entry in shop.workflow.history()] == ["order"]


async def test_an_actor_without_a_workflow_says_so(open_service: RealService) -> None:
    async with Client(open_service.endpoint) as client:
        with pytest.raises(ActorError) as caught:
            await client.get_or_create("plain").workflow.status()
        assert caught.value.code == "not_enabled"


async def test_a_workflow_outlives_its_workers(open_service: RealService) -> None:
    async with Client(open_service.endpoint) as client:
        worn = client.get_or_create("worn", ["outlives"])
        for turn in (3, 8, 13):

            async def is_there(turn: int = turn) -> bool:
                return len(await worn.seen()) >= turn

            await _until_true(is_there)
            for pid in open_service.pids()[1:]:
                os.kill(pid, signal.SIGKILL)
        await _until(worn, "completed")
        assert await worn.workflow.output() == 20
        assert sorted(set(await worn.seen())) == list(range(20))
        entries = [entry.key for entry in await worn.workflow.history()]
        assert entries[0] == "turns" and len(entries) == 7


# ---------------------------------------------------------------------- the inspector's routes


def _path(key: str, inner: str) -> str:
    query = f"rvt-namespace=default&rvt-method=getOrCreate&rvt-runner=default&rvt-key={key}"
    return f"/gateway/shop/inspector/{inner}?{query}"


def _ask(
    service: RealService,
    method: str,
    key: str,
    inner: str,
    token: str | None = INSPECTOR,
    body: object = None,
) -> HttpAnswer:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    if body is None:
        return service.request(method, _path(key, inner), None, headers)
    return service.send_json(method, _path(key, inner), body, headers)


ROUTES = [
    ("GET", "workflow-history"),
    ("POST", "workflow/replay"),
    ("GET", "workflow/status"),
    ("GET", "workflow/history"),
    ("GET", "workflow/output"),
    ("POST", "workflow/cancel"),
    ("POST", "workflow/retry"),
    ("POST", "workflow/fork"),
    ("POST", "workflow/resolve"),
]


@pytest.mark.parametrize(("method", "inner"), ROUTES)
@pytest.mark.parametrize("token", [None, "wrong", CLIENT])
def test_the_inspector_wants_its_token(
    guarded: RealService, method: str, inner: str, token: str | None
) -> None:
    answer = _ask(guarded, method, "nobody", inner, token)
    assert answer.problem == "401 inspector.unauthorized"


@pytest.mark.parametrize("token", [INSPECTOR, ADMIN])
def test_the_inspector_shows_the_history_and_replays_it(guarded: RealService, token: str) -> None:
    key = f"replayed-{token}"
    fresh = _ask(guarded, "GET", key, "workflow-history", token).json
    assert fresh["isWorkflowEnabled"] is True

    asyncio.run(_serve(guarded, key, token))

    shown = _ask(guarded, "GET", key, "workflow-history", token).json
    assert shown["workflowState"] == "completed"
    names = [entry["key"] for entry in shown["history"]["entries"]]
    assert names == ["order", "reserve", "approved", "charge"]
    replayed = _ask(guarded, "POST", key, "workflow/replay", token, {"entryId": "charge"})
    assert replayed.status == 200
    assert replayed.json["isWorkflowEnabled"] is True
    missing = _ask(guarded, "POST", key, "workflow/replay", token, {"entryId": "nothing"})
    assert missing.status == 404


async def _serve(service: RealService, key: str, token: str) -> None:
    """Take a shop to the end of its workflow; clients inspect with their own token."""
    async with (
        _shop(service, key, CLIENT) as shop,
        _shop(service, key, token) as inspected,
    ):
        await shop.enqueue("orders", "tea")
        await _until_asked(inspected)
        await inspected.workflow.resolve("approved", True)
        await _until(inspected, "completed")


async def test_a_client_needs_the_inspectors_token_for_workflows(guarded: RealService) -> None:
    async with _shop(guarded, "tokens", CLIENT) as shop:
        assert await shop.notes() == []
        with pytest.raises(ActorError) as caught:
            await shop.workflow.status()
        assert (caught.value.group, caught.value.code) == ("inspector", "unauthorized")


# ------------------------------------------------------------------------ `stator workflow`


def _run(service: RealService, verb: str, *words: str, token: str = INSPECTOR) -> tuple[int, str]:
    """Run ``stator workflow``; return its exit code and what it printed."""
    command = [sys.executable, "-m", "stator", "workflow", verb, "--url", service.endpoint]
    done = subprocess.run(
        [*command, "--token", token, *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def test_a_terminal_follows_and_controls_a_run(guarded: RealService) -> None:
    async with _shop(guarded, "terminal", CLIENT) as shop:
        await shop.enqueue("orders", "tea")
    async with _shop(guarded, "terminal", INSPECTOR) as shop:
        await _until_asked(shop)

        def run(verb: str, *words: str) -> tuple[int, str]:
            return _run(guarded, verb, *words, "shop", "terminal")

        code, printed = await asyncio.to_thread(run, "status", "--json")
        assert (code, json.loads(printed)["state"]) == (0, "sleeping")
        code, printed = await asyncio.to_thread(run, "output")
        assert (code, "workflow.not_finished" in printed) == (1, True)
        code, printed = await asyncio.to_thread(run, "cancel")
        assert (code, printed.split()[0]) == (0, "cancelled")
        code, printed = await asyncio.to_thread(run, "fork", "--from", "reserve")
        assert code == 0
        await _until_asked(shop)
        code, printed = await asyncio.to_thread(run, "resolve", "approved", "true")
        assert code == 0
        await _until(shop, "completed")
        code, printed = await asyncio.to_thread(run, "output", "--json")
        assert (code, json.loads(printed)) == (0, {"number": 3})
        code, printed = await asyncio.to_thread(run, "history", "--json")
        keys = [entry["key"] for entry in json.loads(printed)["entries"]]
        assert (code, keys) == (0, ["order", "reserve", "approved", "charge"])


def test_a_terminal_without_the_right_token_is_refused(guarded: RealService) -> None:
    code, printed = _run(guarded, "status", "shop", "nobody", token=CLIENT)
    assert (code, "inspector.unauthorized" in printed) == (1, True)
