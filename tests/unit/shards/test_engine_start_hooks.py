"""The hooks of creation and wake: order, arguments, time limits, failures (semantics page, 2.2)."""

import asyncio
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, Options, UserError, action
from stator.runtime.storage import ActorRow
from tests.fakes.engine_in_process import LocalEngine, running_engine, wait_until
from tests.fakes.memory_store import MemoryDisk, MemoryStore


class Size(msgspec.Struct):
    width: int


class Hooked(Actor):
    """Notes what it is called with; ``create_state`` and ``on_wake`` are asynchronous."""

    def on_migrate(self, is_new: bool) -> None:
        SEEN.append(("on_migrate", is_new, None if is_new else dict(self.state)))

    async def create_state(self, given: Any) -> dict[str, Any]:
        SEEN.append(("create_state", given))
        await asyncio.sleep(0)
        return {"given": given, "wakes": 0}

    def on_create(self, given: Any) -> None:
        SEEN.append(("on_create", given, dict(self.state)))

    def create_vars(self) -> str:
        SEEN.append(("create_vars", self.state["wakes"]))
        return "vars"

    async def on_wake(self) -> None:
        self.state["wakes"] += 1
        SEEN.append(("on_wake", self.vars))

    @action
    def wakes(self) -> int:
        return int(self.state["wakes"])


class Failing(Actor):
    """Fails in the hook that ``FAIL`` names."""

    options = Options(on_migrate_timeout=0.02, create_vars_timeout=0.02)

    async def _maybe(self, hook: str) -> None:
        SEEN.append((hook,))
        kind = FAIL.get(hook)
        if kind == "hang":
            await asyncio.Event().wait()
        elif kind == "timeout error of its own":
            raise TimeoutError("mine")
        elif kind == "user error":
            raise UserError("not for you", code="refused")
        elif kind is not None:
            raise RuntimeError("broken hook")

    async def on_migrate(self, is_new: bool) -> None:
        await self._maybe("on_migrate")

    async def create_state(self, given: Any) -> int:
        await self._maybe("create_state")
        return 1

    async def on_create(self, given: Any) -> None:
        await self._maybe("on_create")

    async def create_vars(self) -> int:
        await self._maybe("create_vars")
        return 2

    async def on_wake(self) -> None:
        await self._maybe("on_wake")

    @action
    def get(self) -> list[int]:
        return [self.state, self.vars]


class Typed(Actor):
    state: int

    def create_state(self, size: Size) -> int:
        return size.width

    @action
    def get(self) -> int:
        return self.state


class Values(Actor):
    state = {"list": [1]}  # noqa: RUF012 - a state, which every actor gets a copy of
    vars = {"cache": [1]}  # noqa: RUF012

    @action
    def touch(self) -> list[Any]:
        self.state["list"].append(2)
        self.vars["cache"].append(2)
        return [self.state["list"], self.vars["cache"]]


class Talkative(Actor):
    state: str = ""

    async def on_create(self, given: Any) -> None:
        self.state = await self.client.get_or_create(Values).touch() and "told"

    @action
    def get(self) -> str:
        return self.state


SEEN: list[Any] = []
FAIL: dict[str, str] = {}
HOOKS = ["on_migrate", "create_state", "on_create", "create_vars", "on_wake"]
USE: dict[str, type[Actor]] = {
    "hooked": Hooked,
    "failing": Failing,
    "typed": Typed,
    "values": Values,
    "talkative": Talkative,
}


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    SEEN.clear()
    FAIL.clear()


async def _error(local: LocalEngine, *arguments: Any, **options: Any) -> ActorError:
    with pytest.raises(ActorError) as caught:
        await local.call(*arguments, **options)
    return caught.value


async def test_creation_runs_the_hooks_in_order_with_the_input() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("hooked", "wakes", given={"a": 1}) == 1
        assert SEEN == [
            ("on_migrate", True, None),
            ("create_state", {"a": 1}),
            ("on_create", {"a": 1}, {"given": {"a": 1}, "wakes": 0}),
            ("create_vars", 0),
            ("on_wake", "vars"),
        ]


async def test_waking_runs_only_the_hooks_of_waking_upon_the_stored_state() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("hooked", "wakes", given=1)
    SEEN.clear()
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("hooked", "wakes", given=2) == 2
        assert SEEN == [
            ("on_migrate", False, {"given": 1, "wakes": 1}),
            ("create_vars", 1),
            ("on_wake", "vars"),
        ]


async def test_what_on_wake_changed_is_saved_before_the_first_reply() -> None:
    disk = MemoryDisk()
    for wakes in (1, 2, 3):
        async with running_engine(MemoryStore(disk), use=USE) as local:
            assert await local.call("hooked", "wakes") == wakes


async def test_the_input_is_validated_against_the_annotation_of_the_hook() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("typed", "get", given={"width": 3}) == 3
        error = await _error(local, "typed", "get", key="bad", given={"width": "wide"})
        assert (error.group, error.code) == ("actor", "validation_error")
        assert "size" in error.message


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_hook_that_raises_fails_the_start_and_the_next_request_repeats_it(
    hook: str,
) -> None:
    async with running_engine(use=USE) as local:
        FAIL[hook] = "broken"
        error = await _error(local, "failing", "get")
        assert (error.group, error.code) == ("rivetkit", "internal_error")
        assert "broken hook" not in error.message
        assert not local.is_awake("failing")
        assert SEEN[-1] == (hook,)
        SEEN.clear()
        FAIL.clear()
        assert await local.call("failing", "get") == [1, 2]
        created = HOOKS.index(hook) > HOOKS.index("on_create")
        assert [
            (name,) for name in HOOKS if not (created and name in ("create_state", "on_create"))
        ] == SEEN


@pytest.mark.parametrize("hook", ["on_migrate", "create_vars"])
async def test_a_hook_that_takes_too_long_fails_the_start(hook: str) -> None:
    async with running_engine(use=USE) as local:
        FAIL[hook] = "hang"
        error = await _error(local, "failing", "get")
        assert (error.group, error.code) == ("actor", "callback_timed_out")
        assert error.metadata["callback_name"] == hook
        assert 20 <= error.metadata["duration_ms"] < 5000
        FAIL.clear()
        assert await local.call("failing", "get") == [1, 2]


async def test_a_timeout_error_raised_by_a_hook_itself_is_not_the_hooks_time_limit() -> None:
    async with running_engine(use=USE) as local:
        FAIL["on_wake"] = "timeout error of its own"
        error = await _error(local, "failing", "get")
        assert (error.group, error.code) == ("rivetkit", "internal_error")


async def test_a_user_error_of_a_hook_reaches_the_caller_intact() -> None:
    async with running_engine(use=USE) as local:
        FAIL["create_state"] = "user error"
        error = await _error(local, "failing", "get")
        assert (error.group, error.code, error.message) == ("user", "refused", "not for you")


async def test_all_who_waited_for_a_start_that_failed_are_told() -> None:
    async with running_engine(use=USE) as local:
        FAIL["on_create"] = "broken"
        codes = [
            error.code
            for error in await asyncio.gather(*(_error(local, "failing", "get") for _ in range(3)))
        ]
        assert codes == ["internal_error"] * 3


async def test_a_failed_start_is_logged_with_its_error() -> None:
    async with running_engine(use=USE) as local:
        FAIL["on_wake"] = "broken"
        await _error(local, "failing", "get")
        (line,) = [line for line in local.log.lines if line["event"] == "actor did not start"]
        assert isinstance(line["exc_info"], RuntimeError)
        assert line["actor"] == "failing"


async def test_the_input_survives_until_creation_is_complete() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        FAIL["on_create"] = "broken"
        await _error(local, "failing", "get", given=[1, 2])
        (row,) = store.disk.actors.values()
        assert row.state is None
        assert row.input == b"\x82\x01\x02"


async def test_requests_that_come_during_the_start_are_held_and_served_in_order() -> None:
    async with running_engine(use=USE) as local:
        replies = [local.send("hooked", "wakes")]
        await wait_until(lambda: bool(SEEN), "the first hook")
        replies += [local.send("hooked", "wakes") for _ in range(3)]
        await asyncio.gather(*replies)
        assert local.port.order == sorted(local.port.order)


async def test_a_hook_of_creation_may_call_other_actors() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("talkative", "get") == "told"


async def test_values_of_the_class_are_copied_deeply_for_each_actor() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("values", "touch", key="a") == [[1, 2], [1, 2]]
        assert await local.call("values", "touch", key="b") == [[1, 2], [1, 2]]


async def test_vars_are_made_anew_at_each_start() -> None:
    disk = MemoryDisk()
    for expected in ([1, 2], [1, 2, 2]):
        async with running_engine(MemoryStore(disk), use=USE) as local:
            assert await local.call("values", "touch") == [expected, [1, 2]]


async def test_each_start_is_a_generation() -> None:
    disk = MemoryDisk()
    for generation in (1, 2, 3):
        async with running_engine(MemoryStore(disk), use=USE) as local:
            await local.call("values", "touch")
        (row,) = disk.actors.values()
        assert row.generation == generation
        assert row.started_ms is not None


async def test_an_interrupted_creation_is_repeated_with_its_input() -> None:
    disk = MemoryDisk()
    disk.actors[4] = ActorRow(
        4, "0" * 25 + "0000s", "default", "hooked", "/", 5, 1, 6, b"\x07", None
    )
    async with running_engine(MemoryStore(disk), use=USE) as local:
        assert await local.call("hooked", "wakes", given="another") == 1
        assert ("create_state", 7) in SEEN


class Quitting(Actor):
    """Raises in its start what no ``except Exception`` sees."""

    async def on_wake(self) -> None:
        raise QUIT[0]

    @action
    def get(self) -> int:
        return 1


QUIT: list[BaseException] = [SystemExit(3)]


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()])
async def test_a_start_that_tries_to_end_the_worker_fails_alone(error: BaseException) -> None:
    QUIT[0] = error
    async with running_engine(use={"quitting": Quitting, "hooked": Hooked}) as local:
        with pytest.raises(ActorError) as caught:
            await local.call("quitting", "get")
        assert (caught.value.group, caught.value.code) == ("rivetkit", "internal_error")
        assert await local.call("hooked", "wakes") == 1
