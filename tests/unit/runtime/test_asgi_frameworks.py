"""Starlette and FastAPI inside an actor."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi import Request as FastApiRequest
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request as StarletteRequest
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from stator import ActorError, Request, Response
from stator.asgi import AsgiApp
from tests.fakes.raw_requests import GONE, ScriptedBody, Served, make_request, streamed, whole_body


class Notes(Served):
    """An actor with something to serve."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = ["first"]
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.ends: list[str] = []
        self.has_ended = asyncio.Event()


# -- Starlette


def notes_of(request: StarletteRequest) -> Notes:
    actor = request.state.actor
    assert isinstance(actor, Notes)
    return actor


async def show(request: StarletteRequest) -> StarletteResponse:
    number = int(request.path_params["number"])
    return JSONResponse(
        {"note": notes_of(request).notes[number], "q": request.query_params.getlist("q")}
    )


async def upload(request: StarletteRequest) -> StarletteResponse:
    parts = [part.decode() async for part in request.stream()]
    return JSONResponse([part for part in parts if part])


async def follow(request: StarletteRequest) -> StarletteResponse:
    actor = notes_of(request)

    async def lines() -> AsyncGenerator[str]:
        try:
            while True:
                yield f"data: {await actor.events.get()}\n\n"
        finally:
            actor.has_ended.set()

    return StreamingResponse(lines(), media_type="text/event-stream")


async def log_in(request: StarletteRequest) -> StarletteResponse:
    response = PlainTextResponse("hello")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def fail(request: StarletteRequest) -> StarletteResponse:
    raise ZeroDivisionError


async def work(request: StarletteRequest) -> StarletteResponse:
    actor = notes_of(request)

    async def later() -> None:
        actor.ends.append(await actor.events.get())

    return PlainTextResponse("soon", background=BackgroundTask(later))


async def move(request: StarletteRequest) -> StarletteResponse:
    return RedirectResponse("/notes/0")


async def add_header(
    request: StarletteRequest, call_next: RequestResponseEndpoint
) -> StarletteResponse:
    response = await call_next(request)
    response.headers["x-passed"] = "middleware"
    return response


ROUTES = [
    Route("/notes/{number}", show),
    Route("/upload", upload, methods=["POST"]),
    Route("/follow", follow),
    Route("/log-in", log_in),
    Route("/fail", fail),
    Route("/work", work),
    Route("/move", move),
]
plain = AsgiApp(Starlette(routes=ROUTES))
layered = AsgiApp(
    Starlette(routes=ROUTES, middleware=[Middleware(BaseHTTPMiddleware, dispatch=add_header)])
)
each_stack = pytest.mark.parametrize("app", [plain, layered], ids=["plain", "layered"])


@each_stack
async def test_routes_have_parameters_and_queries(app: AsgiApp) -> None:
    response = await app(Notes(), make_request("/notes/0?q=a+b&q=%C3%A9"))

    assert response.status == 200
    assert response.headers["content-type"] == "application/json"
    assert await whole_body(response) == '{"note":"first","q":["a b","é"]}'.encode()


@each_stack
async def test_other_paths_and_methods_are_refused(app: AsgiApp) -> None:
    assert (await app(Notes(), make_request("/nowhere"))).status == 404
    assert (await app(Notes(), make_request("/upload"))).status == 405


@each_stack
async def test_an_upload_arrives_in_chunks(app: AsgiApp) -> None:
    body = ScriptedBody(b"ab", b"c", b"")

    response = await app(Notes(), make_request("/upload", method="POST", body=body))

    assert await whole_body(response) == b'["ab","c"]'


@each_stack
async def test_an_upload_that_breaks_off_is_the_clients_error(app: AsgiApp) -> None:
    body = ScriptedBody(b"ab", GONE)
    actor = Notes()

    try:
        response = await app(actor, make_request("/upload", method="POST", body=body))
    except ActorError as error:
        assert error is GONE
    else:  # Starlette answers errors of its routes itself; nobody is there to read it.
        assert response.status == 500


@each_stack
async def test_server_sent_events_arrive_as_they_happen(app: AsgiApp) -> None:
    actor = Notes()
    response = await app(actor, make_request("/follow"))
    body = aiter(streamed(response))

    for text in ("one", "two"):
        actor.events.put_nowait(text)
        assert await anext(body) == f"data: {text}\n\n".encode()

    assert response.headers["content-type"].startswith("text/event-stream")
    await body.aclose()  # type: ignore[attr-defined]  # pyright: ignore
    await actor.has_ended.wait()  # asyncio closes a generator that nobody has, a turn later
    assert actor.kept == []


@each_stack
async def test_cookies_are_headers_of_their_own(app: AsgiApp) -> None:
    response = await app(Notes(), make_request("/log-in"))

    cookies = [value for name, value in response.raw_headers() if name == b"set-cookie"]
    assert [cookie.partition(b";")[0] for cookie in cookies] == [b"a=1", b"b=2"]
    await whole_body(response)


async def test_an_error_of_a_route_is_answered_and_logged() -> None:
    actor = Notes()

    response = await plain(actor, make_request("/fail"))

    assert (response.status, response.body) == (500, b"Internal Server Error")
    (line,) = [line for line in actor.lines.lines if line["level"] == "error"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_a_background_task_outlives_the_response() -> None:
    actor = Notes()

    response = await plain(actor, make_request("/work"))

    assert response.body == b"soon"
    assert actor.ends == []
    actor.events.put_nowait("done")
    await asyncio.gather(*actor.kept)
    assert actor.ends == ["done"]


@each_stack
@pytest.mark.parametrize("path", ["/notes/0", "/log-in"])
async def test_head_has_the_length_of_get(app: AsgiApp, path: str) -> None:
    got = await app(Notes(), make_request(path))
    asked = await app(Notes(), make_request(path, method="HEAD"))

    assert asked.headers["content-length"] == got.headers["content-length"]
    assert int(got.headers["content-length"]) == len(await whole_body(got))
    assert asked.body == b""


async def test_head_of_an_endless_stream_ends() -> None:
    actor = Notes()

    response = await plain(actor, make_request("/follow", method="HEAD"))

    assert (response.status, response.body) == (200, b"")
    actor.events.put_nowait("one")
    await asyncio.gather(*actor.kept)


async def test_a_redirect_is_passed_on() -> None:
    response = await plain(Notes(), make_request("/move"))

    assert (response.status, response.headers["location"]) == (307, "/notes/0")


async def test_what_the_lifespan_yields_is_in_the_state_of_requests() -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[dict[str, Any]]:
        yield {"pool": "opened"}

    async def show_pool(request: StarletteRequest) -> StarletteResponse:
        return JSONResponse([request.state.pool, notes_of(request).notes])

    serve = AsgiApp(Starlette(routes=[Route("/", show_pool)], lifespan=lifespan))

    assert (await serve(Notes(), make_request())).body == b'["opened",["first"]]'


async def test_a_lifespan_that_fails_tells_why() -> None:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        raise OSError("no database")
        yield

    with pytest.raises(RuntimeError, match="no database"):
        await AsgiApp(Starlette(lifespan=lifespan))(Notes(), make_request())


# -- FastAPI


class Note(BaseModel):
    text: str
    urgent: bool = False


api = FastAPI()


async def current_actor(request: FastApiRequest) -> Notes:
    actor = request.state.actor
    assert isinstance(actor, Notes)
    return actor


Current = Annotated[Notes, Depends(current_actor)]


@api.post("/notes", status_code=201)
async def add(note: Note, actor: Current) -> dict[str, int]:
    actor.notes.append(note.text)
    return {"count": len(actor.notes)}


@api.get("/notes")
def listed(actor: Current, limit: int = 10) -> list[str]:
    return actor.notes[:limit]


class Site(Notes):
    """An actor whose requests FastAPI answers, but for one."""

    app = AsgiApp(api)

    async def on_request(self, request: Request) -> Response:
        """Answer a request."""
        if request.path == "/health":
            return Response("ok")
        return await self.app(request)


async def test_json_is_validated_and_reaches_the_actor() -> None:
    site = Site()
    headers = {"content-type": "application/json"}

    async def post(body: bytes) -> Response:
        return await site.on_request(
            make_request("/notes", method="POST", headers=headers, body=body)
        )

    assert (await post(b'{"text": "second"}')).body == b'{"count":2}'
    assert (await post(b'{"urgent": true}')).status == 422
    assert (await post(b"{")).status == 422
    assert site.notes == ["first", "second"]


async def test_plain_functions_and_query_parameters_work() -> None:
    site = Site()

    assert await whole_body(await site.on_request(make_request("/notes"))) == b'["first"]'
    assert await whole_body(await site.on_request(make_request("/notes?limit=0"))) == b"[]"
    assert (await site.on_request(make_request("/notes?limit=x"))).status == 422


async def test_an_application_may_be_one_part_of_a_hook() -> None:
    assert (await Site().on_request(make_request("/health"))).body == b"ok"
