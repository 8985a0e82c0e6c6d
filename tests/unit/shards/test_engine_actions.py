"""Running actions: kinds of methods, time limits, validation, errors, the answer hook."""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any

import pytest

from stator import Actor, ActorError, Options, UserError, action
from stator.runtime.link.frames import Answer, Call, Resolution
from stator.runtime.protocol.encoding import Encoding
from stator.shards.shard import Limits
from tests.fakes.engine_in_process import (
    LocalEngine,
    output_of,
    running_engine,
    turns,
    wait_until,
)
from tests.fakes.memory_store import MemoryStore
from tests.fakes.recording_port import RecordingPort

SECRET = "password in the text of an exception"


class Kinds(Actor, rename="camel"):
    options = Options(action_timeout=0.02)
    state: int = 0

    def create_vars(self) -> asyncio.Event:
        return asyncio.Event()

    @action
    def plain(self) -> str:
        return "plain"

    @action
    async def asynchronous(self) -> str:
        await asyncio.sleep(0)
        return "asynchronous"

    @action
    def returns_awaitable(self) -> Awaitable[str]:
        return self.asynchronous()

    @action(name="nested.deeper.name")
    def nested(self) -> str:
        return "nested"

    @action(timeout=5.0)
    async def waits(self) -> str:
        await self.vars.wait()
        return "told"

    @action
    def tell(self) -> None:
        self.vars.set()

    @action
    async def hangs(self) -> str:
        self.state += 1
        await self.vars.wait()
        self.state += 10
        return "late"

    @action
    async def fails_late(self) -> None:
        await self.vars.wait()
        raise RuntimeError(SECRET)

    @action
    def get(self) -> int:
        return self.state

    @action
    def echo(self, *values: Any) -> list[Any]:
        return list(values)

    @action
    def typed(self, count: int, name: str = "x") -> list[Any]:
        self.state += 1
        return [count, name]

    @action
    def unsendable(self) -> object:
        return object()

    @action
    def huge(self) -> str:
        return "x" * 2000


class Raising(Actor):
    @action
    def user(self, metadata: Any = None) -> None:
        raise UserError("You may not", code="denied", metadata=metadata)

    @action
    def user_plain(self) -> None:
        raise UserError("No")

    @action
    def own_group(self) -> None:
        raise ActorError("Sold out", group="shop", code="sold_out", metadata={"left": 0})

    @action
    def own_status(self) -> None:
        raise ActorError("Sold out", group="shop", code="sold_out", status=409)

    @action
    def private_runtime_group(self) -> None:
        raise ActorError(SECRET, group="sqlite", code="busy", metadata={"path": SECRET})

    @action
    def unexpected(self) -> None:
        raise RuntimeError(SECRET)

    @action
    async def unexpected_later(self) -> None:
        await asyncio.sleep(0)
        raise LookupError(SECRET)

    @action
    def exits(self) -> None:
        raise SystemExit(SECRET)

    @action
    def bad_metadata(self) -> None:
        raise UserError("You may not", metadata={"thing": object()})

    @action
    def ping(self) -> str:
        return "pong"


class Signing(Actor):
    async def on_before_action_response(self, name: str, args: tuple[Any, ...], output: Any) -> Any:
        if output == "fail":
            raise UserError("refused by the hook", code="hook")
        await asyncio.sleep(0)
        return [name, list(args), output]

    @action
    def echo(self, value: str) -> str:
        return value

    @action
    def fails(self) -> None:
        raise UserError("mine", code="mine")


USE: dict[str, type[Actor]] = {"kinds": Kinds, "raising": Raising, "signing": Signing}


async def _error(local: LocalEngine, *arguments: Any, **options: Any) -> ActorError:
    with pytest.raises(ActorError) as caught:
        await local.call(*arguments, **options)
    return caught.value


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("plain", "plain"),
        ("asynchronous", "asynchronous"),
        ("returnsAwaitable", "asynchronous"),
        ("nested.deeper.name", "nested"),
    ],
)
async def test_every_kind_of_method_is_an_action(name: str, output: str) -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("kinds", name) == output


@pytest.mark.parametrize(
    "name", ["nobody", "", "create_vars", "state", "_host", "save_state", "returns_awaitable"]
)
async def test_what_is_not_an_action_under_this_name_is_not_found(name: str) -> None:
    async with running_engine(use=USE) as local:
        error = await _error(local, "kinds", name)
        assert (error.group, error.code, error.status) == ("actor", "action_not_found", 404)


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.CBOR, Encoding.NATIVE])
async def test_the_answer_has_the_encoding_of_the_request(encoding: Encoding) -> None:
    async with running_engine(use=USE) as local:
        _, body = await local.send("kinds", "plain", encoding=encoding)
        assert (
            body
            == {
                Encoding.JSON: b'{"output":"plain"}',
                Encoding.CBOR: b"\xa1\x66output\x65plain",
                Encoding.NATIVE: b"\xa1\x66output\x65plain",
            }[encoding]
        )


async def test_actions_of_one_actor_run_concurrently() -> None:
    async with running_engine(use=USE) as local:
        waiting = local.send("kinds", "waits")
        await turns()
        await local.call("kinds", "tell")
        assert output_of(await waiting) == "told"


async def test_an_action_over_its_time_is_answered_and_left_running() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        error = await _error(local, "kinds", "hangs")
        assert (error.group, error.code, error.status) == ("actor", "action_timed_out", 408)
        assert "hangs" in error.message
        await local.call("kinds", "tell")
        await turns()
        assert await local.call("kinds", "get") == 11
        assert "action ended after its time limit; its result was dropped" in local.log.events()


async def test_what_a_timed_out_action_changed_so_far_is_durable_with_its_answer() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await _error(local, "kinds", "hangs")
        (row,) = store.disk.live()
        assert row.state == b"\x00\x01"


async def test_a_late_failure_of_a_timed_out_action_is_logged_and_dropped() -> None:
    async with running_engine(use=USE) as local:
        assert (await _error(local, "kinds", "failsLate")).code == "action_timed_out"
        sent = len(local.port.sent)
        await local.call("kinds", "tell")
        await turns()
        assert len(local.port.sent) == sent + 1
        assert isinstance(local.log.lines[-1]["exc_info"], RuntimeError)


async def test_the_time_limit_of_the_decorator_wins_over_that_of_the_class() -> None:
    async with running_engine(use=USE) as local:
        waiting = local.send("kinds", "waits")
        assert (await _error(local, "kinds", "hangs")).code == "action_timed_out"
        assert not waiting.done()
        await local.call("kinds", "tell")
        assert output_of(await waiting) == "told"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "needs the argument 'count'"),
        ((1, "a", "b"), "takes 1 to 2 arguments, 3 were given"),
        (("1",), "argument 'count'"),
        ((1, 2), "argument 'name'"),
        ((True,), "argument 'count'"),
        ((1.5,), "argument 'count'"),
        ((None,), "argument 'count'"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_the_method_runs(
    arguments: tuple[Any, ...], message: str
) -> None:
    async with running_engine(use=USE) as local:
        error = await _error(local, "kinds", "typed", *arguments)
        assert (error.group, error.code, error.status) == ("actor", "validation_error", 400)
        assert re.search(re.escape(message), error.message)
        assert error.metadata["issues"]
        assert await local.call("kinds", "get") == 0


@pytest.mark.parametrize(
    "value", [None, True, 3, -(2**70), 1.5, "text", b"bytes", [1, [2]], {"": 1}]
)
async def test_arguments_without_annotation_are_passed_as_they_came(value: Any) -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("kinds", "echo", value, value) == [value, value]


async def test_an_undecodable_body_is_an_invalid_request() -> None:
    async with running_engine(use=USE) as local:
        await local.call("kinds", "plain")
        reply = local.port.expect(10_000)
        call = Call(
            10_000,
            0,
            Resolution.GET_OR_CREATE,
            "default",
            "kinds",
            "/",
            "plain",
            Encoding.JSON,
            "ray",
        )
        local.engine.accept(call, b"{", local.port)
        answer, body = await reply
        assert isinstance(answer, Answer)
        assert answer.status == 400
        assert b'"invalid_request"' in body


async def test_a_user_error_reaches_the_caller_intact() -> None:
    async with running_engine(use=USE) as local:
        error = await _error(local, "raising", "user", {"why": [1, None]})
        assert (error.group, error.code, error.message) == ("user", "denied", "You may not")
        assert (error.metadata, error.status) == ({"why": [1, None]}, 400)
        assert (await _error(local, "raising", "user_plain")).code == "user_error"


async def test_an_error_with_a_group_of_the_application_reaches_the_caller_intact() -> None:
    async with running_engine(use=USE) as local:
        error = await _error(local, "raising", "own_group")
        assert (error.group, error.code, error.message) == ("shop", "sold_out", "Sold out")
        assert error.metadata == {"left": 0}
        assert (await _error(local, "raising", "own_status")).status == 409


async def test_a_private_error_of_the_runtime_keeps_its_code_and_loses_its_text() -> None:
    async with running_engine(use=USE) as local:
        error = await _error(local, "raising", "private_runtime_group")
        assert (error.group, error.code) == ("sqlite", "busy")
        assert (error.message, error.metadata) == ("An internal error occurred", None)


@pytest.mark.parametrize("name", ["unexpected", "unexpected_later", "exits"])
async def test_any_other_exception_is_redacted_and_logged(name: str) -> None:
    async with running_engine(use=USE) as local:
        reply, body = await local.send("raising", name)
        assert isinstance(reply, Answer)
        assert reply.status == 500
        assert SECRET.encode() not in body
        error = await _error(local, "raising", name)
        assert (error.group, error.code) == ("rivetkit", "internal_error")
        assert error.message == "An internal error occurred"
        line = next(line for line in local.log.lines if line["event"] == "action failed")
        assert SECRET in str(line["exc_info"])
        assert (line["actor"], line["action"], line["ray_id"]) == ("raising", name, "ray")
        assert await local.call("raising", "ping") == "pong"


async def test_a_user_error_is_not_logged_as_a_failure() -> None:
    async with running_engine(use=USE) as local:
        await _error(local, "raising", "user")
        assert local.log.events() == []


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.CBOR, Encoding.NATIVE])
async def test_metadata_that_cannot_be_sent_does_not_swallow_the_error(encoding: Encoding) -> None:
    async with running_engine(use=USE) as local:
        reply, body = await local.send("raising", "bad_metadata", encoding=encoding)
        assert isinstance(reply, Answer)
        assert reply.status >= 400
        assert b"object at 0x" not in body
        assert await local.call("raising", "ping") == "pong"


async def test_an_output_that_cannot_be_sent_is_an_error_naming_its_place() -> None:
    async with running_engine(use=USE) as local:
        error = await _error(local, "kinds", "unsendable")
        assert (error.group, error.code) == ("actor", "output_not_serializable")
        assert "output" in error.message


async def test_an_answer_over_the_limit_is_refused() -> None:
    limits = Limits(max_response_bytes=1000)
    async with running_engine(use=USE, limits=limits) as local:
        error = await _error(local, "kinds", "huge")
        assert (error.group, error.code, error.status) == ("message", "outgoing_too_long", 400)
        assert "limits.max_outgoing_message_size" in error.message


async def test_the_answer_hook_sees_name_arguments_and_output_and_replaces_the_output() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("signing", "echo", "x") == ["echo", ["x"], "x"]


async def test_an_error_in_the_answer_hook_replaces_the_answer() -> None:
    async with running_engine(use=USE) as local:
        assert (await _error(local, "signing", "echo", "fail")).code == "hook"


async def test_the_answer_hook_does_not_run_after_a_failure() -> None:
    async with running_engine(use=USE) as local:
        assert (await _error(local, "signing", "fails")).code == "mine"


async def test_every_request_is_answered_exactly_once() -> None:
    async with running_engine(use=USE) as local:
        names = ["plain", "asynchronous", "hangs", "failsLate", "nobody", "unsendable"]
        replies = [local.send("kinds", name) for name in names * 5]
        await asyncio.gather(*replies)
        await local.call("kinds", "tell")
        await wait_until(lambda: len(local.port.sent) == len(replies) + 1, "all replies")
        await turns()
        assert sorted(local.port.order) == list(range(1, len(replies) + 2))


@pytest.mark.parametrize("version", [1, 3, 4])
async def test_an_unknown_action_is_answered_in_the_version_of_the_request(version: int) -> None:
    async with running_engine(use=USE) as local:
        port = RecordingPort()
        body = version.to_bytes(2, "little") + b"\x01\x80"
        call = Call(
            1,
            local.engine.total_shards - 1,
            Resolution.GET_OR_CREATE,
            "default",
            "kinds",
            "bare",
            "unheardOf",
            Encoding.BARE,
            "ray",
        )
        answered = port.expect(1)
        local.engine.accept(call, body, port)
        reply, payload = await answered
        assert isinstance(reply, Answer)
        assert reply.status == 404
        assert int.from_bytes(payload[:2], "little") == version
