"""The control API: actors as things that exist, namespaces, metadata (client-protocol, section 2).

JSON in snake_case. Unknown body fields and query parameters are refused, as the peer does: a
misspelt option must not be ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from stator.runtime.config import Config
from stator.runtime.errors import (
    ActorNotFound,
    ApiRouteNotFound,
    BadApiRequest,
    EmptyKey,
    InvalidInput,
    InvalidRequest,
)
from stator.runtime.keys import deserialize_key, serialize_key
from stator.runtime.link.frames import (
    ActorRecord,
    CreateActor,
    Created,
    DestroyActor,
    FindActors,
    ListNames,
    NamespaceRecord,
    Refusal,
    SleepActor,
)
from stator.runtime.protocol.actions import decode_input
from stator.runtime.version import PRODUCT, VERSION

from .actor_requests import POOL, REGION, Limits, check_placement
from .answers import json_response
from .auth import Gatekeeper, token_of
from .backends import Backends, refused
from .base64_forms import decode_base64
from .bodies import read_control_body
from .namespaces import KnownNamespaces
from .routes import ControlRoute, parse_form

MAX_IDS = 32
"""How many ids one look-up may name (client-protocol, 2.3)."""
MAX_LISTED = 1000

T = TypeVar("T")
Handler = Callable[[web.BaseRequest, "Query"], Awaitable[web.StreamResponse]]


class CreateBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``PUT`` and ``POST /actors`` (client-protocol, 2.2)."""

    name: str
    runner_name_selector: str = POOL
    key: str | None = None
    input: str | None = None
    crash_policy: str = "sleep"
    datacenter: str | None = None


class NamespaceBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /namespaces``."""

    name: str
    display_name: str | None = None


class Query:
    """The query of a control request; refuses parameters nobody asked for."""

    def __init__(self, text: str, allowed: frozenset[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in parse_form(text):
            if name not in allowed:
                raise BadApiRequest(metadata={"reason": f"unknown query parameter: {name[:60]}"})
            self._values.setdefault(name, []).append(value)

    def one(self, name: str) -> str | None:
        """Return a parameter. Raises ``api.bad_request`` if it is given twice."""
        values = self._values.get(name)
        if values is not None and len(values) > 1:
            raise BadApiRequest(metadata={"reason": f"query parameter given twice: {name}"})
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """Return all values of a repeatable parameter."""
        return self._values.get(name, [])

    def number(self, name: str) -> int | None:
        """Return a whole, non-negative number. Raises ``api.bad_request``."""
        text = self.one(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise BadApiRequest(metadata={"reason": f"{name} is a whole number, not '{text[:40]}'"})
        return int(text)

    def namespace(self) -> str:
        """Return the namespace, which every request names."""
        namespace = self.one("namespace")
        if not namespace:
            raise BadApiRequest(metadata={"reason": "missing query parameter: namespace"})
        return namespace


class ControlRequests:
    """Serves control routes."""

    def __init__(
        self,
        config: Config,
        backends: Backends,
        gatekeeper: Gatekeeper,
        namespaces: KnownNamespaces,
    ) -> None:
        self._config = config
        self._backends = backends
        self._gatekeeper = gatekeeper
        self._namespaces = namespaces
        self._limits = Limits(config)
        self._patience_s = config.server.header_timeout
        self._max_body = config.limits.max_input_size * 4 // 3 + 65_536
        everyone = frozenset({"namespace"})
        listing = everyone | {"name", "key", "actor_ids", "actor_id", "limit", "cursor"}
        self._routes: dict[tuple[str, str], tuple[Handler, frozenset[str]]] = {
            ("GET", "/"): (self._banner, everyone),
            ("GET", "/health"): (self._health, everyone),
            ("GET", "/metadata"): (self._metadata, everyone),
            ("GET", "/datacenters"): (self._datacenters, everyone),
            ("GET", "/actors"): (self._find, listing | {"include_destroyed"}),
            ("PUT", "/actors"): (self._get_or_create, everyone),
            ("POST", "/actors"): (self._create, everyone),
            ("GET", "/actors/names"): (self._names, everyone | {"limit", "cursor"}),
            ("GET", "/namespaces"): (self._list_namespaces, everyone | {"limit", "name"}),
            ("POST", "/namespaces"): (self._create_namespace, everyone),
        }
        self._methods: dict[str, list[str]] = {}
        for method, path in self._routes:
            self._methods.setdefault(path, []).append(method)

    async def serve(self, request: web.BaseRequest, route: ControlRoute) -> web.StreamResponse:
        """Answer a control request. Raises the errors of the control API."""
        path = route.path if route.path == "/" else route.path.removesuffix("/")
        entry = self._routes.get((request.method, path))
        if entry is not None:
            handler, allowed = entry
            return await handler(request, Query(route.query, allowed))
        if path.startswith("/actors/") and path.count("/") == 2 and path != "/actors/names":
            if request.method == "DELETE":
                query = Query(route.query, frozenset({"namespace"}))
                return await self._destroy(request, query, path.rpartition("/")[2])
            return web.Response(status=405, headers={"allow": "DELETE"})
        if path.startswith("/actors/") and path.count("/") == 3 and path.endswith("/sleep"):
            if request.method != "POST":
                return web.Response(status=405, headers={"allow": "POST"})
            query = Query(route.query, frozenset({"namespace"}))
            return await self._sleep(request, query, path.split("/")[2])
        if path in self._methods:
            return web.Response(status=405, headers={"allow": ", ".join(self._methods[path])})
        raise ApiRouteNotFound

    # -- about the service

    async def _banner(self, _: web.BaseRequest, __: Query) -> web.StreamResponse:
        return web.Response(text=f"stator {VERSION}: a Rivet-compatible actor service\n")

    async def _health(self, _: web.BaseRequest, __: Query) -> web.StreamResponse:
        return json_response({"runtime": "stator", "status": "ok", "version": VERSION})

    async def _metadata(self, _: web.BaseRequest, __: Query) -> web.StreamResponse:
        names = self._backends.actor_names
        metadata: dict[str, Any] = {
            "runtime": "rivetkit",
            "server": PRODUCT,
            "version": VERSION,
            "applicationVersion": self._config.application.version,
            "actorNames": {name: {"metadata": shown} for name, shown in names.items()},
        }
        if self._config.server.public_endpoint:
            metadata["clientEndpoint"] = self._config.server.public_endpoint
        return json_response(metadata)

    async def _datacenters(self, request: web.BaseRequest, _: Query) -> web.StreamResponse:
        self._check_client(request)
        return json_response({"datacenters": [{"label": 1, "name": REGION}], "pagination": {}})

    # -- actors

    async def _get_or_create(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        made = await self._make(request, query, reuse=True)
        return json_response({"actor": shown_actor(made.actor), "created": made.created})

    async def _create(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        made = await self._make(request, query, reuse=False)
        return json_response({"actor": shown_actor(made.actor)})

    async def _make(self, request: web.BaseRequest, query: Query, *, reuse: bool) -> Created:
        self._check_client(request)
        namespace = query.namespace()
        body = await self._decode(request, CreateBody)
        if body.key == "":
            raise EmptyKey
        if body.crash_policy not in ("restart", "sleep", "destroy"):
            raise BadApiRequest(metadata={"reason": "crash_policy is restart, sleep or destroy"})
        check_placement(body.runner_name_selector, body.datacenter, namespace)
        key = deserialize_key(body.key)
        self._limits.check_identity(body.name, key)
        given = self._decode_input(body.input)
        await self._namespaces.require(namespace)
        shard = self._backends.shard_of_key(namespace, body.name, key)
        payload = await self._backends.ask(
            shard,
            lambda number: CreateActor(
                number, shard, namespace, body.name, serialize_key(key), given, reuse
            ),
        )
        return msgspec.msgpack.decode(payload, type=Created)

    def _decode_input(self, text: str | None) -> bytes | None:
        if text is None:
            return None
        data = decode_base64(text)
        if data is None:
            raise BadApiRequest(metadata={"reason": "input is not base64 with padding"})
        self._limits.check_input(data)
        try:
            decode_input(data)
        except InvalidRequest as error:
            raise BadApiRequest(
                metadata={"reason": f"input is not CBOR: {error.message}"}
            ) from error
        return data

    async def _find(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        self._check_client(request)
        namespace = query.namespace()
        await self._namespaces.require(namespace)
        name, key = query.one("name"), query.one("key")
        ids = query.all("actor_id")
        ids += [text for text in (query.one("actor_ids") or "").split(",") if text]
        if ids:
            if name is not None or key is not None:
                raise InvalidInput("actor_ids goes neither with name nor with key")
            if len(ids) > MAX_IDS:
                raise InvalidInput(f"at most {MAX_IDS} actor ids can be looked up at once")
            records = await self._find_ids(namespace, ids)
        elif name is None:
            raise InvalidInput("a list needs name or actor_ids")
        elif key is not None:
            records = await self._find_key(namespace, name, key)
        else:
            limit = min(query.number("limit") or 100, MAX_LISTED)
            records = await self._list(namespace, name, limit, query.number("cursor"))
        cursor = str(records[-1].created_ms) if records else None
        actors = [shown_actor(record) for record in records]
        return json_response({"actors": actors, "pagination": {"cursor": cursor}})

    async def _find_key(self, namespace: str, name: str, key: str) -> list[ActorRecord]:
        parts = deserialize_key(key)
        self._limits.check_identity(name, parts)
        shard = self._backends.shard_of_key(namespace, name, parts)
        payload = await self._backends.ask(
            shard,
            lambda number: FindActors(
                number, (shard,), namespace, name=name, key=serialize_key(parts)
            ),
        )
        return msgspec.msgpack.decode(payload, type=list[ActorRecord])

    async def _find_ids(self, namespace: str, ids: list[str]) -> list[ActorRecord]:
        by_shard: dict[int, list[str]] = {}
        for actor_id in ids:
            shard = self._backends.shard_of_id(actor_id)
            if shard is not None:
                by_shard.setdefault(shard, []).append(actor_id)
        lists = await asyncio.gather(
            *(
                self._ask_for(FindActors(0, (shard,), namespace, actor_ids=tuple(wanted)))
                for shard, wanted in by_shard.items()
            )
        )
        found = {record.actor_id: record for records in lists for record in records}
        return [found[actor_id] for actor_id in dict.fromkeys(ids) if actor_id in found]

    async def _list(
        self, namespace: str, name: str, limit: int, before_ms: int | None
    ) -> list[ActorRecord]:
        lists = await asyncio.gather(
            *(
                self._ask_for(
                    FindActors(0, shards, namespace, name=name, limit=limit, before_ms=before_ms)
                )
                for shards in self._backends.owned_shards()
            )
        )
        records = [record for records in lists for record in records]
        return sorted(records, key=lambda record: record.created_ms, reverse=True)[:limit]

    async def _ask_for(self, question: FindActors) -> list[ActorRecord]:
        payload = await self._backends.ask(
            question.shards[0], lambda number: msgspec.structs.replace(question, id=number)
        )
        return msgspec.msgpack.decode(payload, type=list[ActorRecord])

    async def _names(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        self._check_client(request)
        namespace = query.namespace()
        await self._namespaces.require(namespace)
        lists = await asyncio.gather(
            *(self._names_of(shards, namespace) for shards in self._backends.owned_shards())
        )
        shown = self._backends.actor_names
        names = sorted({name for names in lists for name in names})
        described = {name: {"metadata": shown.get(name, {})} for name in names}
        return json_response({"names": described, "pagination": {"cursor": None}})

    async def _names_of(self, shards: tuple[int, ...], namespace: str) -> list[str]:
        payload = await self._backends.ask(
            shards[0], lambda number: ListNames(number, shards, namespace)
        )
        return msgspec.msgpack.decode(payload, type=list[str])

    async def _destroy(
        self, request: web.BaseRequest, query: Query, actor_id: str
    ) -> web.StreamResponse:
        self._gatekeeper.check_admin(token_of(request.headers))
        namespace = query.namespace()
        await self._namespaces.require(namespace)
        shard = self._backends.shard_of_id(actor_id)
        if shard is not None:
            link = self._backends.link_to(shard)
            reply, _ = await link.request(DestroyActor(link.next_id(), shard, namespace, actor_id))
            # Destroying is idempotent (client-protocol, 2.3): who is not there is destroyed.
            if isinstance(reply, Refusal) and (reply.group, reply.code) != ActorNotFound.known[:2]:
                raise refused(reply)
        return json_response({})

    async def _sleep(
        self, request: web.BaseRequest, query: Query, actor_id: str
    ) -> web.StreamResponse:
        """Put an actor to sleep and answer when it does (semantics page, 2.7)."""
        self._gatekeeper.check_admin(token_of(request.headers))
        namespace = query.namespace()
        await self._namespaces.require(namespace)
        shard = self._backends.shard_of_id(actor_id)
        if shard is None:
            raise ActorNotFound
        await self._backends.ask(
            shard, lambda number: SleepActor(number, shard, namespace, actor_id)
        )
        return json_response({})

    # -- namespaces

    async def _list_namespaces(self, request: web.BaseRequest, query: Query) -> web.StreamResponse:
        self._check_client(request)
        records = await self._namespaces.all()
        wanted = query.one("name")
        shown = [shown_namespace(record) for record in records if wanted in (None, record.name)]
        return json_response({"namespaces": shown, "pagination": {"cursor": None}})

    async def _create_namespace(self, request: web.BaseRequest, _: Query) -> web.StreamResponse:
        self._gatekeeper.check_admin(token_of(request.headers))
        body = await self._decode(request, NamespaceBody)
        record = await self._namespaces.resolve(body.name, create=True)
        return json_response({"namespace": shown_namespace(record)})

    def _check_client(self, request: web.BaseRequest) -> None:
        self._gatekeeper.check_client(token_of(request.headers))

    async def _decode(self, request: web.BaseRequest, kind: type[T]) -> T:
        if request.content_type != "application/json":
            raise BadApiRequest(metadata={"reason": "the content type must be application/json"})
        body = await read_control_body(request, self._max_body, self._patience_s)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BadApiRequest(metadata={"reason": str(error)[:200]}) from error


def shown_actor(record: ActorRecord) -> dict[str, Any]:
    """Return an actor object of the control API (client-protocol, 2.3).

    Actors wait for no capacity here and are not found once they are destroyed, so two of the
    instants are always null. ``error`` is there only if the last start failed.
    """
    shown: dict[str, Any] = {
        "actor_id": record.actor_id,
        "name": record.name,
        "key": record.key,
        "namespace_id": record.namespace,
        "datacenter": REGION,
        "runner_name_selector": POOL,
        "crash_policy": "sleep",
        "create_ts": record.created_ms,
        "start_ts": record.started_ms,
        "pending_allocation_ts": None,
        "connectable_ts": record.connectable_ms,
        "sleep_ts": record.slept_ms,
        "reschedule_ts": record.reschedule_ms,
        "destroy_ts": None,
    }
    if record.error is not None:
        shown["error"] = record.error
    return shown


def shown_namespace(record: NamespaceRecord) -> dict[str, Any]:
    """Return a namespace object of the control API."""
    return {
        "namespace_id": record.name,
        "name": record.name,
        "display_name": record.name,
        "create_ts": record.created_ms,
    }
