"""The Python client against a real service."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stator import ActorError, Client
from stator.client.client import EncodingName
from stator.client.sync import Client as BlockingClient
from tests.interop.service import Service
from tests.process.apps.client_calls.app import Probe

pytestmark = pytest.mark.process

APPLICATION = Path(__file__).parent / "apps" / "client_calls"
EACH_ENCODING = pytest.mark.parametrize("encoding", ["cbor", "bare", "json"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"namespaces.create_on_use": "true"}
    with Service(tmp_path_factory.mktemp("client") / "service", APPLICATION, settings) as running:
        yield running


@EACH_ENCODING
async def test_actions_are_called_by_attribute_by_method_and_by_name(
    service: Service, encoding: EncodingName
) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        by_class = client.get_or_create(Probe, ["calls", encoding])
        by_name = client.get_or_create("probe", ["calls", encoding])
        assert await by_class.add(2) == 2
        assert await by_class.call(Probe.add, 3) == 5
        assert await by_name.add(1) == 6
        await by_name.admin.reset()
        assert await by_name.call(Probe.add, 4) == 4
        assert await by_name.whoAmI() == [await by_class.resolve(), "probe", "calls", encoding]


LOSSLESS: list[Any] = [
    None,
    True,
    -(2**31),
    2**53 - 1,
    2**53,
    -(2**63),
    2**64,
    2**200,
    0.5,
    float(2**40),
    "héllo €",
    b"\x00\xff",
    dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.timezone(dt.timedelta(hours=2))),
    {1, 2},
    ["$BigInt", "1"],
    ["$Odd", 1],
    {"a": [{"b": None}], "": {}},
    {1: "one", b"k": "bytes"},
]

IN_EACH_ENCODING: list[Any] = [
    None,
    True,
    -5,
    2**53 - 1,
    2**60,
    0.5,
    "héllo",
    b"\x00\xff",
    {"a": [1]},
]


@pytest.mark.parametrize("value", LOSSLESS, ids=repr)
async def test_by_default_a_value_comes_back_as_it_is(service: Service, value: Any) -> None:
    async with Client(service.endpoint) as client:
        returned = await client.get_or_create("probe", "echo").echo(value)
        assert returned == value
        assert type(returned) is type(value)
        if isinstance(value, dt.datetime):
            assert returned.utcoffset() == value.utcoffset()


@EACH_ENCODING
async def test_what_javascript_has_too_comes_back_in_each_encoding(
    service: Service, encoding: EncodingName
) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        probe = client.get_or_create("probe", "echo")
        for value in IN_EACH_ENCODING:
            returned = await probe.echo(value)
            assert (returned, type(returned)) == (value, type(value))
        assert await probe.echo(["$BigInt", "1"]) == ["$BigInt", "1"]


@EACH_ENCODING
@pytest.mark.parametrize(
    "key",
    [[], ["a"], ["a", "b"], ["a,b"], [""], ["a", ""], ["a/b\\c", "é &=+%@?#"]],
    ids=repr,
)
async def test_every_key_means_one_actor_however_it_is_addressed(
    service: Service, encoding: EncodingName, key: Sequence[str]
) -> None:
    async with Client(service.endpoint, encoding=encoding, namespace="keys") as client:
        actor_id, name, *found = await client.get_or_create("probe", key).whoAmI()
        assert (name, found) == ("probe", list(key))
        assert await client.get("probe", key).resolve() == actor_id
        assert (await client.get("probe", key).whoAmI())[0] == actor_id
        assert (await client.get_for_id("probe", actor_id).whoAmI())[2:] == list(key)


@EACH_ENCODING
@pytest.mark.parametrize(
    "given", [0, "", False, {"x": b"\x01", "n": 2**60}, "x" * 100_000], ids=lambda v: repr(v)[:20]
)
async def test_an_actor_gets_its_input_however_it_is_created(
    service: Service, encoding: EncodingName, given: Any
) -> None:
    key = [encoding, repr(given)[:20]]
    async with Client(service.endpoint, encoding=encoding) as client:
        by_call = client.get_or_create("probe", ["call", *key], input=given)
        by_resolve = client.get_or_create("probe", ["resolve", *key], input=given)
        await by_resolve.resolve()
        created = await client.create("probe", ["create", *key], input=given)
        for probe in (by_call, by_resolve, created):
            assert await probe.readInput() == given


async def test_creating_twice_is_refused_with_the_first_ones_id(service: Service) -> None:
    async with Client(service.endpoint) as client:
        first = await client.create(Probe, "twice")
        with pytest.raises(ActorError) as caught:
            await client.create(Probe, "twice")
        assert (caught.value.group, caught.value.code) == ("actor", "duplicate_key")
        assert caught.value.metadata["existing_actor_id"] == await first.resolve()


def identity_of(error: ActorError) -> str:
    return f"{error.group}.{error.code}"


@EACH_ENCODING
async def test_errors_arrive_whole_and_secrets_do_not(
    service: Service, encoding: EncodingName
) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        probe = client.get_or_create("probe", "errors")
        with pytest.raises(ActorError) as caught:
            await probe.refuse()
        assert identity_of(caught.value) == "user.full"
        assert caught.value.message == "no seat"
        assert caught.value.metadata == {"seats": 3, "big": 2**60}
        assert caught.value.__notes__[0].startswith("ray id: ")
        with pytest.raises(ActorError) as caught:
            await probe.crash()
        assert identity_of(caught.value) == "rivetkit.internal_error"
        assert "secret" not in str(caught.value)
        with pytest.raises(ActorError) as caught:
            await probe.add("much")
        assert identity_of(caught.value) == "actor.validation_error"
        assert "amount" in caught.value.message
        with pytest.raises(ActorError) as caught:
            await probe.shout()
        assert identity_of(caught.value) == "actor.action_not_found"


@EACH_ENCODING
async def test_an_actor_that_does_not_exist_is_not_found(
    service: Service, encoding: EncodingName
) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        for missing in (
            client.get("probe", "nobody"),
            client.get("probe", "no,body"),
            client.get_for_id("probe", "nobody"),
        ):
            with pytest.raises(ActorError) as caught:
                await missing.add(1)
            assert identity_of(caught.value) == "actor.not_found"


async def test_a_destroyed_actor_is_gone_and_its_key_makes_another(service: Service) -> None:
    async with Client(service.endpoint) as client:
        for key in ("gone", "gone,too"):
            probe = client.get_or_create("probe", key)
            await probe.add(5)
            before = await probe.resolve()
            await probe.vanish()
            assert await probe.add(1) == 1
            assert await probe.resolve() != before


async def test_an_error_that_an_actor_passes_on_does_not_run_its_action_again(
    service: Service,
) -> None:
    async with Client(service.endpoint) as client:
        probe = client.get_or_create("probe", "passes on")
        with pytest.raises(ActorError) as caught:
            await probe.passOnARetryableError()
        assert identity_of(caught.value) == "actor.restarting"
        assert await probe.add(0) == 1


@EACH_ENCODING
async def test_a_call_whose_worker_dies_is_repeated_on_the_next_one(
    service: Service, encoding: EncodingName, tmp_path: Path
) -> None:
    async with Client(service.endpoint, encoding=encoding) as client:
        probe = client.get_or_create("probe", ["worker dies", encoding])
        assert await probe.add(7) == 7
        assert await probe.killWorkerOnce(str(tmp_path / "marker")) == "alive"
        assert await probe.add(0) == 7


async def test_namespaces_are_kept_apart(service: Service) -> None:
    async with (
        Client(service.endpoint, namespace="one") as one,
        Client(service.endpoint.replace("//", "//two@")) as two,
    ):
        assert await one.get_or_create("probe", "k").add(1) == 1
        assert await two.get_or_create("probe", "k").add(5) == 5
        with pytest.raises(ActorError, match="not_found"):
            await two.get("probe", "only one").add(1)


def test_the_blocking_client_does_the_same(service: Service) -> None:
    with BlockingClient(service.endpoint) as client, ThreadPoolExecutor(8) as threads:
        probe = client.get_or_create(Probe, "blocking")
        assert sorted(threads.map(probe.add, [1] * 40)) == list(range(1, 41))
        assert probe.call(Probe.add, 2) == 42
        assert client.get("probe", "blocking").whoAmI()[0] == probe.resolve()
        with pytest.raises(ActorError, match="no seat"):
            probe.refuse()


async def test_a_token_opens_a_closed_service(tmp_path: Path) -> None:
    settings = {"auth.client_token": "s/cr@t:1", "storage.shards": 1}
    with Service(tmp_path / "closed", APPLICATION, settings) as closed:
        async with Client(closed.endpoint, token="s/cr@t:1") as client:
            probe = client.get_or_create("probe", "x,y")
            assert await probe.add(1) == 1
            assert await client.get_for_id("probe", await probe.resolve()).add(1) == 2
        for token, identity in ((None, "auth.unauthorized"), ("wrong", "auth.forbidden")):
            async with Client(closed.endpoint, token=token) as client:
                for call in (client.get("probe").add(1), client.create("probe")):
                    with pytest.raises(ActorError) as caught:
                        await call
                    assert identity_of(caught.value) == identity
