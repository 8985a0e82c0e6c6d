"""WebSockets as clients open them: 101 first, then what is right or wrong (client-protocol 9.6)."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from stator.runtime.config import Auth, Config, Cors, Limits
from stator.runtime.link.frames import (
    ClientGone,
    ConnectionKind,
    NamespaceRecord,
    OpenConnection,
    Opened,
    Refusal,
    Resolution,
    ResolveNamespace,
    Result,
    encode_payload,
)
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.held_clients import ACTOR, messages_in
from tests.fakes.public_port import DIRECT, PublicPort, WireClient, public_port
from tests.fakes.wire_frames import KEY, TEXT, client_frame

CONNECT = "/gateway/chat/connect?rvt-namespace=default&rvt-method=get&rvt-key=a%2Cb"
LIMITED = Config(limits=Limits(max_in_flight_per_client=1))


async def _asked(gateway: PublicPort, path: str, *protocols: str) -> OpenConnection:
    """Return what the worker is asked when a client opens ``path``."""
    client = await gateway.client()
    client.upgrade(path, *(protocols or ("rivet",)))
    assert (await client.head()).status == 101
    return await gateway.link.next(OpenConnection)


async def _ending(gateway: PublicPort, path: str, *protocols: str) -> tuple[int, str]:
    """Return how a socket ends that a client opens at ``path``; the ray is left out."""
    client = await gateway.client()
    client.upgrade(path, *protocols)
    answer = await client.head()
    assert answer.status == 101
    code, reason = await client.ending()
    reason, _, ray = reason.partition("#")
    assert ray in ("", answer["x-rivet-ray-id"])
    assert await gateway.link.sync() == []
    assert gateway.switchboard.connections == {}
    return code, reason + ("#" if ray else "")


# ----------------------------------------------------------------------------- what is opened


async def test_a_client_is_answered_at_once(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, "rivet", "rivet_encoding.json")
        answer = await client.head()
        assert (answer.status, answer["sec-websocket-protocol"]) == (101, "rivet")
        assert answer["x-rivet-ray-id"]


async def test_a_worker_is_asked_by_key(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        opening = await _asked(gateway, CONNECT, "rivet", "rivet_encoding.cbor")
        assert opening.resolution is Resolution.GET
        assert (opening.namespace, opening.name, opening.key) == ("default", "chat", "a/b")
        assert (opening.kind, opening.encoding) == (ConnectionKind.ACTOR, Encoding.CBOR)


async def test_a_worker_is_asked_to_create(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        path = CONNECT.replace("=get&", "=getOrCreate&rvt-runner=default&rvt-input=GCo&")
        opening = await _asked(gateway, path)
        assert (opening.resolution, opening.input) == (Resolution.GET_OR_CREATE, b"\x18*")


async def test_a_worker_is_asked_by_id(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        opening = await _asked(gateway, f"{DIRECT}/connect")
        assert (opening.resolution, opening.key) == (Resolution.BY_ID, ACTOR)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("json", Encoding.JSON), ("cbor", Encoding.CBOR), ("bare", Encoding.BARE)],
)
async def test_the_encoding_is_the_one_offered(
    short_tmp: Path, encoding: str, expected: Encoding
) -> None:
    async with public_port(short_tmp) as gateway:
        opening = await _asked(gateway, CONNECT, "rivet", f"rivet_encoding.{encoding}")
        assert opening.encoding is expected


async def test_without_an_encoding_it_is_json(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        assert (await _asked(gateway, CONNECT, "rivet")).encoding is Encoding.JSON


@pytest.mark.parametrize("inner", ["/websocket", "/websocket/", "/websocket/a/b", "/other", "/x/y"])
async def test_what_is_not_connect_is_raw(short_tmp: Path, inner: str) -> None:
    async with public_port(short_tmp) as gateway:
        opening = await _asked(gateway, f"{DIRECT}{inner}", "rivet", "rivet_encoding.bare")
        assert opening.kind is ConnectionKind.RAW


async def test_a_raw_socket_may_name_any_encoding(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        opening = await _asked(gateway, f"{DIRECT}/websocket", "rivet", "rivet_encoding.xml")
        assert opening.kind is ConnectionKind.RAW


async def test_each_connection_has_an_id_of_its_own(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        first = await _asked(gateway, CONNECT)
        second = await _asked(gateway, CONNECT)
        assert len({first.conn_id, second.conn_id}) == len({first.id, second.id}) == 2


async def test_subprotocols_may_name_the_actor(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        opening = await _asked(
            gateway,
            "/connect?x=1",
            "rivet",
            "rivet_encoding.bare",
            "rivet_target.actor",
            f"rivet_actor.{quote(ACTOR).replace('0', '%30', 1)}",
            "rivet_skip_ready_wait",
        )
        assert (opening.resolution, opening.key) == (Resolution.BY_ID, ACTOR)
        assert (opening.kind, opening.head.raw_query) == (ConnectionKind.ACTOR, "x=1")


async def test_a_raw_path_with_the_actor_in_subprotocols(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        actor = ("rivet_target.actor", f"rivet_actor.{ACTOR}")
        opening = await _asked(gateway, "/websocket/a?b=%20", "rivet", *actor)
        assert opening.kind is ConnectionKind.RAW
        assert (opening.head.path, opening.head.raw_query) == ("/a", "b=%20")


async def test_early_messages_reach_the_worker_once_it_is_open(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, "rivet")
        client.send(client_frame(TEXT, b"early"))
        opening = await gateway.link.next(OpenConnection)
        gateway.link.send(Opened(opening.id, ACTOR, True))
        assert messages_in(await gateway.link.sync()) == [(opening.id, 0, b"early")]


async def test_early_messages_in_the_segment_of_the_request(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        head = f"GET {CONNECT} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        lines = f"sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n"
        offer = "sec-websocket-protocol: rivet\r\n\r\n"
        frames = client_frame(TEXT, b"0") + client_frame(TEXT, b"1")
        client.send((head + lines + offer).encode() + frames)
        opening = await gateway.link.next(OpenConnection)
        gateway.link.send(Opened(opening.id, ACTOR, True))
        received = messages_in(await gateway.link.sync())
        assert received == [(opening.id, 0, b"0"), (opening.id, 1, b"1")]


async def test_a_worker_that_refuses_is_heard(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, "rivet")
        ray = (await client.head())["x-rivet-ray-id"]
        opening = await gateway.link.next(OpenConnection)
        assert opening.ray_id == ray
        gateway.link.send(Refusal(opening.id, "actor", "not_found", "No.", 404))
        assert await client.ending() == (1011, f"actor.not_found#{ray}")


# ------------------------------------------------------------------------------------ params


@pytest.mark.parametrize("value", [{"a": 1}, "ü€😀", [], 1, {"name": "a,b c"}])
async def test_params_reach_the_worker(short_tmp: Path, value: object) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        params = quote(json.dumps(value, ensure_ascii=False), safe="!*'()")
        client.upgrade(CONNECT, "rivet", f"rivet_conn_params.{params}")
        _, payload = await gateway.link.next_with_payload(OpenConnection)
        assert json.loads(payload) == value


@pytest.mark.parametrize("protocols", [("rivet",), ("rivet", "rivet_conn_params.")])
async def test_without_params_there_are_none(short_tmp: Path, protocols: tuple[str, ...]) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, *protocols)
        _, payload = await gateway.link.next_with_payload(OpenConnection)
        assert payload == b""


@pytest.mark.parametrize("params", ["%7B", "%", "%zz", "%ff", "plain", "%7B%7D%7D", "NaN"])
async def test_malformed_params(short_tmp: Path, params: str) -> None:
    async with public_port(short_tmp) as gateway:
        ending = await _ending(gateway, CONNECT, "rivet", f"rivet_conn_params.{params}")
        assert ending == (1011, "guard.websocket_closed_before_open#")


async def test_params_have_a_limit(short_tmp: Path) -> None:
    config = Config(limits=Limits(max_params_size=1024))
    async with public_port(short_tmp, config) as gateway:
        params = quote(json.dumps("x" * 1023))
        ending = await _ending(gateway, CONNECT, "rivet", f"rivet_conn_params.{params}")
        assert ending == (1011, "guard.params_too_large#")


# -------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("path", "protocols", "expected"),
    [
        (CONNECT, (), (1011, "guard.missing_header#")),
        (
            CONNECT,
            ("rivet", "rivet_encoding.xml"),
            (1003, "actor.unsupported_websocket_encoding"),
        ),
        ("/", ("rivet",), (1011, "guard.websocket_not_supported#")),
        ("/connect", ("rivet",), (1011, "guard.websocket_not_supported#")),
        ("/actors", ("rivet",), (1011, "guard.websocket_not_supported#")),
        ("/connect", ("rivet", "rivet_target.actor"), (1011, "guard.missing_header#")),
        ("/connect", ("rivet", "rivet_target.x", "rivet_actor.y"), (1011, "guard.no_route#")),
        (
            "/connect",
            ("rivet", "rivet_target.actor", "rivet_actor.unknown"),
            (1011, "actor.not_found#"),
        ),
        (
            "/connect",
            ("rivet", "rivet_target.actor", "rivet_actor.%ff"),
            (1011, "actor.not_found#"),
        ),
        ("/gateway/unknown/connect", ("rivet",), (1011, "actor.not_found#")),
        (
            "/gateway/chat/connect?rvt-method=get",
            ("rivet",),
            (1011, "guard.query_invalid_params#"),
        ),
        (
            "/gateway/chat/connect?rvt-namespace=default&rvt-method=getOrCreate",
            ("rivet",),
            (1011, "guard.query_missing_pool#"),
        ),
        (f"{CONNECT}&rvt-key=b", ("rivet",), (1011, "guard.query_duplicate_param#")),
        (f"{CONNECT}{'x' * 2000}", ("rivet",), (1011, "actor.key_too_large#")),
    ],
)
async def test_what_is_wrong_is_said_by_the_close(
    short_tmp: Path, path: str, protocols: tuple[str, ...], expected: tuple[int, str]
) -> None:
    async with public_port(short_tmp) as gateway:
        assert await _ending(gateway, path, *protocols) == expected


async def test_an_unknown_namespace(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT.replace("=default", "=other"), "rivet")
        await client.head()
        asked = await gateway.link.next(ResolveNamespace)
        gateway.link.send(Refusal(asked.id, "namespace", "not_found", "No.", 400))
        code, reason = await client.ending()
        assert (code, reason.partition("#")[0]) == (1011, "namespace.not_found")


@pytest.mark.parametrize("protocols", [(), ("rivet",), ("other",), ("rivet", "x y")])
async def test_only_what_was_offered_is_selected(
    short_tmp: Path, protocols: tuple[str, ...]
) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, *protocols)
        answer = await client.head()
        assert answer.all("sec-websocket-protocol") == list(protocols[:1])


async def test_an_error_of_ours_is_logged_and_not_told(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with public_port(short_tmp) as gateway:
        monkeypatch.setattr(gateway.backends, "link_to", lambda shard: 1 // 0)  # pyright: ignore
        code, reason = await _ending(gateway, CONNECT, "rivet")
        assert (code, reason) == (1011, "rivetkit.internal_error#")
        assert gateway.log.events() == ["connection failed"]


# ---------------------------------------------------------------------------------- tokens

GUARDED = Config(auth=Auth(client_token="s3cret/x"))


@pytest.mark.parametrize(
    ("path", "protocols"),
    [
        (f"{CONNECT}&rvt-token=s3cret%2Fx", ()),
        (f"/gateway/{ACTOR}@s3cret%2Fx/connect", ()),
        (f"{DIRECT}/connect", ("rivet_token.s3cret/x",)),
        (CONNECT, ("rivet_token.s3cret/x",)),
        ("/connect", ("rivet_target.actor", f"rivet_actor.{ACTOR}", "rivet_token.s3cret/x")),
    ],
)
async def test_a_token_may_stand_in_path_query_or_subprotocol(
    short_tmp: Path, path: str, protocols: tuple[str, ...]
) -> None:
    async with public_port(short_tmp, GUARDED) as gateway:
        assert await _asked(gateway, path, "rivet", *protocols)


@pytest.mark.parametrize("line", ["authorization: Bearer s3cret/x", "x-rivet-token: s3cret/x"])
@pytest.mark.parametrize("path", [CONNECT, f"{DIRECT}/websocket/a"])
async def test_a_token_may_stand_in_a_header(short_tmp: Path, line: str, path: str) -> None:
    async with public_port(short_tmp, GUARDED) as gateway:
        client = await gateway.client()
        client.upgrade(path, "rivet", lines=(line,))
        assert await gateway.link.next(OpenConnection)


@pytest.mark.parametrize("line", ["authorization: Bearer s3cret/x", "x-rivet-token: s3cret/x"])
async def test_a_token_in_a_header_does_not_excuse_a_wrong_one(short_tmp: Path, line: str) -> None:
    async with public_port(short_tmp, GUARDED) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, "rivet", "rivet_token.wrong", lines=(line,))
        await client.head()
        code, reason = await client.ending()
        assert (code, reason.partition("#")[0]) == (1011, "auth.forbidden")


@pytest.mark.parametrize(
    ("path", "protocols", "expected"),
    [
        (CONNECT, (), "auth.unauthorized#"),
        (f"{CONNECT}&rvt-token=wrong", (), "auth.forbidden#"),
        (f"{CONNECT}&rvt-token=wrong", ("rivet_token.s3cret/x",), "auth.forbidden#"),
        (f"{DIRECT}/connect", ("rivet_token.s3cret",), "auth.forbidden#"),
    ],
)
async def test_without_the_right_token_nothing_is_opened(
    short_tmp: Path, path: str, protocols: tuple[str, ...], expected: str
) -> None:
    async with public_port(short_tmp, GUARDED) as gateway:
        assert await _ending(gateway, path, "rivet", *protocols) == (1011, expected)


# ------------------------------------------------------------------------- the answer's head


async def test_pages_may_read_the_answer(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, "rivet", lines=("origin: https://page.test",))
        answer = await client.head()
        assert answer["access-control-allow-origin"] == "https://page.test"
        assert answer["access-control-allow-credentials"] == "true"
        assert answer["vary"] == "Origin"


async def test_pages_of_other_origins_may_not(short_tmp: Path) -> None:
    config = Config(cors=Cors(allow_origins=("https://mine.test",)))
    async with public_port(short_tmp, config) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, "rivet", lines=("origin: https://page.test",))
        assert (await client.head()).all("access-control-allow-origin") == []


# ------------------------------------------------------------------------- what is no upgrade


async def _http(gateway: PublicPort, method: str, *lines: str) -> tuple[int, str, str]:
    client = await gateway.client()
    upgrade = ("connection: Upgrade", "upgrade: websocket", "sec-websocket-protocol: rivet")
    client.request(method, CONNECT, *upgrade, *lines)
    answer = await client.answer()
    assert gateway.switchboard.connections == {}
    return answer.status, answer["x-rivet-error"], answer["sec-websocket-version"]


@pytest.mark.parametrize("version", ["8", "14", ""])
async def test_another_version_of_the_protocol(short_tmp: Path, version: str) -> None:
    async with public_port(short_tmp) as gateway:
        lines = (f"sec-websocket-version: {version}", f"sec-websocket-key: {KEY}")
        assert await _http(gateway, "GET", *lines) == (426, "guard.invalid_header", "13")


@pytest.mark.parametrize("key", ["", "short", "dGhlIHNhbXBsZSBub25jZQ", "a" * 200])
async def test_a_bad_key(short_tmp: Path, key: str) -> None:
    async with public_port(short_tmp) as gateway:
        lines = ("sec-websocket-version: 13", f"sec-websocket-key: {key}")
        status, error, _ = await _http(gateway, "GET", *lines)
        assert (status, error) == (400, f"guard.{'invalid' if key else 'missing'}_header")


async def test_a_post_is_no_upgrade(short_tmp: Path) -> None:
    async with public_port(short_tmp) as gateway:
        lines = ("sec-websocket-version: 13", f"sec-websocket-key: {KEY}")
        status, error, _ = await _http(gateway, "POST", *lines, "content-length: 0")
        assert (status, error) == (404, "actor.not_found")


# --------------------------------------------------------------------------------- rate limits


async def _opened(gateway: PublicPort) -> tuple[WireClient, int]:
    client = await gateway.client()
    client.upgrade(CONNECT, "rivet")
    await client.head()
    opening = await gateway.link.next(OpenConnection)
    gateway.link.send(Opened(opening.id, ACTOR, False))
    await gateway.link.sync()
    return client, opening.id


async def test_connections_count_while_they_are_open(short_tmp: Path) -> None:
    async with public_port(short_tmp, LIMITED) as gateway:
        client, _ = await _opened(gateway)
        assert gateway.counted == 1
        assert await _refused(gateway) == "guard.rate_limit"
        assert gateway.counted == 1
        client.leave()
        await gateway.link.next(ClientGone)
        assert gateway.counted == 0
        await _opened(gateway)


async def _refused(gateway: PublicPort) -> str:
    client = await gateway.client()
    client.upgrade(CONNECT, "rivet")
    await client.head()
    code, reason = await client.ending()
    assert code == 1011
    return reason.partition("#")[0]


async def test_connections_are_counted_by_the_address_of_their_client(short_tmp: Path) -> None:
    async with public_port(short_tmp, LIMITED) as gateway:
        await _opened(gateway)
        (connection,) = gateway.switchboard.connections.values()
        assert connection.admitted is not None
        assert connection.admitted[0] == "127.0.0.1"


@pytest.mark.parametrize("how", ["refused", "lost", "left"])
async def test_who_is_not_opened_counts_no_longer(short_tmp: Path, how: str) -> None:
    async with public_port(short_tmp, LIMITED) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT, "rivet")
        await client.head()
        opening = await gateway.link.next(OpenConnection)
        assert gateway.counted == 1
        if how == "refused":
            gateway.link.send(Refusal(opening.id, "actor", "not_found", "No.", 404))
            await client.ending()
        elif how == "lost":
            gateway.link.close()
            gateway.link = await gateway.worker.greet()
            await client.ending()
        else:
            client.leave()
            await gateway.link.next(ClientGone)
        assert gateway.counted == 0
        client.leave()
        await gateway.link.sync()
        assert gateway.counted == 0


async def test_who_left_before_the_place_was_known_never_counts(short_tmp: Path) -> None:
    async with public_port(short_tmp, LIMITED) as gateway:
        client = await gateway.client()
        client.upgrade(CONNECT.replace("=default", "=other"), "rivet")
        await client.head()
        asked = await gateway.link.next(ResolveNamespace)
        client.leave()
        await gateway.sockets.wait_empty()
        record = NamespaceRecord("other", 0)
        gateway.link.send(Result(asked.id), payload=encode_payload(record))
        await gateway.link.sync()
        assert gateway.counted == 0


async def test_who_is_refused_before_is_not_counted(short_tmp: Path) -> None:
    async with public_port(short_tmp, LIMITED) as gateway:
        await _ending(gateway, CONNECT, "rivet", "rivet_encoding.xml")
        assert gateway.counted == 0
