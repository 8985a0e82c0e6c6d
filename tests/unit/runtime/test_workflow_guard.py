"""What the body of a workflow may not use outside steps, and who may."""

import asyncio
import contextvars
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from stator.runtime.actor import Actor
from stator.runtime.calling import CALLER
from stator.runtime.database import Database
from stator.runtime.errors import StateMutationReentrant, StateNotEnabled, VarsNotEnabled
from stator.runtime.read_only import read_only
from stator.runtime.state_guard import guarded_state
from stator.runtime.workflow.guard import (
    BODY,
    CALLS,
    FEATURES,
    guard_workflow_class,
    has_guard,
    raw_state,
    set_raw_state,
)
from stator.runtime.workflow.loop_calls import call_on_loop
from stator.runtime.workflow_errors import OutsideStep


class Told(list[Any]):
    """A host that tells who asked it for what."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return SimpleNamespace(of=name)

    def broadcast(self, event: Any, args: Any) -> None:
        self.append(("broadcast", event, args, threading.get_ident()))

    def sleep(self) -> None:
        self.append("sleep")


class Scope:
    """The scope of a step."""

    def __init__(self, actor: Actor, draft: Any = None) -> None:
        self.actor = actor
        self.workflow_scope = self
        self.is_open = True
        self.draft = draft
        self.loop: asyncio.AbstractEventLoop | None = None

    def on_loop(self, call: Any) -> Any:
        if self.loop is None:
            return call()
        return call_on_loop(self.loop, call, lambda: self.is_open)


class Shop(Actor):
    state: Any = None
    vars: Any = None
    db = Database()

    async def run(self) -> None:
        """Is a workflow in real life."""


guard_workflow_class(Shop)


class Room(Actor):
    def on_state_change(self, state: Any) -> None:
        """Makes the class guard its state while this runs."""


guard_workflow_class(Room)


def make(cls: type[Actor] = Shop) -> Any:
    actor: Any = object.__new__(cls)
    actor._host = Told()
    actor.state, actor.vars = ["first"], {"n": 1}
    return actor


@contextmanager
def called_by(caller: object) -> Generator[None]:
    token = CALLER.set(caller)  # type: ignore[arg-type]
    try:
        yield
    finally:
        CALLER.reset(token)


def body_of(actor: Any) -> Any:
    return SimpleNamespace(actor=actor, workflow_scope=BODY, conn=None)


NAMES = sorted(FEATURES)


# ------------------------------------------------------------------------------ who may


@pytest.mark.parametrize("name", NAMES)
def test_the_body_may_not_use_it(name: str) -> None:
    actor = make()
    with called_by(body_of(actor)), pytest.raises(OutsideStep, match=rf"`self\.{name}`"):
        use = getattr(actor, name)
        use()


@pytest.mark.parametrize("name", sorted(FEATURES - {"broadcast"}))
def test_a_step_may_use_it_until_its_attempt_is_over(name: str) -> None:
    actor = make()
    scope = Scope(actor)
    with called_by(scope):
        getattr(actor, name)
        scope.is_open = False
        with pytest.raises(OutsideStep, match=r"attempt is over"):
            getattr(actor, name)


@pytest.mark.parametrize("scope", ["none", "absent", "nobody"])
@pytest.mark.parametrize("name", NAMES)
def test_everybody_else_may_use_it(name: str, scope: str) -> None:
    actor = make()
    callers: dict[str, Any] = {
        "none": SimpleNamespace(actor=actor, workflow_scope=None),
        "absent": SimpleNamespace(actor=actor),
        "nobody": None,
    }
    with called_by(callers[scope]):
        getattr(actor, name)


def test_the_body_of_one_actor_says_nothing_of_another() -> None:
    actor, other = make(), make()
    with called_by(body_of(other)):
        assert actor.state == ["first"]


def test_what_is_left_of_an_earlier_generation_is_refused_as_well() -> None:
    before, now = make(), make()
    now._host = before._host
    scope = Scope(now)
    scope.is_open = False
    with called_by(scope), pytest.raises(OutsideStep):
        before.broadcast("event")


@pytest.mark.parametrize("name", ["log", "actor_id", "key", "conn", "aborted"])
def test_what_changes_nothing_is_for_the_body_too(name: str) -> None:
    actor = make()
    with called_by(body_of(actor)):
        getattr(actor, name)


def test_the_body_may_not_assign_or_delete_the_state() -> None:
    actor: Any = make()
    with called_by(body_of(actor)):
        with pytest.raises(OutsideStep):
            actor.state = None
        with pytest.raises(OutsideStep):
            del actor.vars
    assert (actor.state, actor.vars) == (["first"], {"n": 1})


# ----------------------------------------------------------------------- it stays an actor


def test_state_and_vars_are_read_and_assigned_as_ever() -> None:
    actor = make()
    actor.state = "other"
    actor.vars["n"] += 1
    assert (actor.state, actor.vars) == ("other", {"n": 2})
    del actor.state
    with pytest.raises(StateNotEnabled):
        _ = actor.state


def test_an_actor_without_state_and_vars_says_so() -> None:
    actor: Any = object.__new__(Shop)
    actor._host = Told()
    with pytest.raises(StateNotEnabled):
        _ = actor.state
    with pytest.raises(VarsNotEnabled):
        _ = actor.vars
    with pytest.raises(StateNotEnabled):
        raw_state(actor)
    with pytest.raises(AttributeError):
        del actor.vars


def test_the_class_says_of_itself_what_it_said() -> None:
    assert isinstance(Shop.db, Database)
    assert not hasattr(Shop, "state")


def test_a_property_is_still_not_assigned() -> None:
    with pytest.raises(AttributeError, match="kv of an actor cannot be set"):
        make().kv = 1


def test_a_class_without_a_workflow_has_no_guard() -> None:
    class Plain(Actor):
        pass

    assert not has_guard(Plain)
    assert has_guard(Shop)


def test_a_subclass_is_guarded_once_and_its_own_database_too() -> None:
    class Sub(Shop):
        state: Any = "sub"
        db = Database()

    guard_workflow_class(Sub)
    actor = make(Sub)
    assert Sub.broadcast is Shop.broadcast
    with called_by(body_of(actor)):
        for name in ("state", "db"):
            with pytest.raises(OutsideStep):
                getattr(actor, name)


# ------------------------------------------------------------------------- the runtime


def test_the_runtime_reads_and_writes_the_state_whoever_calls() -> None:
    actor = make()
    with called_by(body_of(actor)):
        assert raw_state(actor) == ["first"]
        set_raw_state(actor, "other")
    assert actor.state == "other"


def test_the_first_state_of_a_generation_is_given_whoever_calls() -> None:
    actor: Any = object.__new__(Shop)
    actor._host = Told()
    with called_by(body_of(actor)):
        actor.state = "restored"
        with pytest.raises(OutsideStep):
            actor.state = "other"
    assert actor.state == "restored"


# --------------------------------------------------------------------------- transactions


def test_a_transaction_reads_and_assigns_its_draft() -> None:
    actor = make()
    draft = SimpleNamespace(value=["draft"])
    with called_by(Scope(actor, draft)):
        actor.state.append(1)
        assert actor.state == ["draft", 1]
        actor.state = "assigned"
        assert actor.state == "assigned"
        assert actor.vars == {"n": 1}
        assert raw_state(actor) == ["first"]
    assert (draft.value, actor.state) == ("assigned", ["first"])


def test_a_transaction_whose_attempt_is_over_has_no_draft_any_more() -> None:
    actor = make()
    scope = Scope(actor, SimpleNamespace(value=[]))
    scope.is_open = False
    with called_by(scope), pytest.raises(OutsideStep):
        actor.state = 1


# ------------------------------------------------------------------- beside the other guard


def test_while_a_change_is_told_the_state_is_a_view_for_a_workflow_too() -> None:
    actor = make(Room)
    with guarded_state(actor):
        assert type(actor.state) is type(read_only([]))
        with pytest.raises(StateMutationReentrant):
            actor.state.append(1)
        with pytest.raises(StateMutationReentrant):
            actor.state = 1
    actor.state = "after"
    assert actor.state == "after"


def test_a_class_that_is_told_of_changes_is_guarded_from_its_workflow() -> None:
    actor = make(Room)
    with called_by(body_of(actor)), pytest.raises(OutsideStep):
        actor.state = 1


# ------------------------------------------------------------------------------ in threads


async def in_thread(function: Any) -> Any:
    context = contextvars.copy_context()
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def work() -> None:
        try:
            result = context.run(function)
        except BaseException as error:
            loop.call_soon_threadsafe(outcome.set_exception, error)
        else:
            loop.call_soon_threadsafe(outcome.set_result, result)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        return await outcome
    finally:
        thread.join()


async def test_a_body_in_a_thread_broadcasts_on_the_loop() -> None:
    actor = make()
    scope = Scope(actor)
    scope.loop = asyncio.get_running_loop()
    with called_by(scope):
        await in_thread(lambda: actor.broadcast("event", 1))
    assert actor._host == [("broadcast", "event", (1,), threading.get_ident())]


async def test_on_the_loop_itself_a_call_is_a_call() -> None:
    actor = make()
    scope = Scope(actor)
    scope.loop = asyncio.get_running_loop()
    with called_by(scope):
        actor.sleep()
    assert actor._host == ["sleep"]


def test_what_is_called_without_a_step_is_called_as_it_is() -> None:
    actor = make()
    actor.broadcast("event")
    with called_by(body_of(actor)):
        actor.sleep()  # an actor may go to sleep between two steps
    assert [told if told == "sleep" else told[0] for told in actor._host] == ["broadcast", "sleep"]


async def test_a_call_that_raises_raises_in_the_thread() -> None:
    loop = asyncio.get_running_loop()

    def fail() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await in_thread(lambda: call_on_loop(loop, fail, lambda: True))


async def test_a_call_that_nobody_wants_any_more_does_nothing() -> None:
    loop = asyncio.get_running_loop()
    done: list[int] = []
    with pytest.raises(OutsideStep, match="is over"):
        await in_thread(lambda: call_on_loop(loop, lambda: done.append(1), lambda: False))
    assert done == []


def test_a_call_after_the_end_of_the_loop_is_refused() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(OutsideStep, match="has ended"):
        call_on_loop(loop, lambda: None, lambda: True)


def test_a_call_that_the_end_of_the_loop_overtakes_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.new_event_loop()
    refused: list[Exception] = []
    given = threading.Event()

    def work() -> None:
        try:
            call_on_loop(loop, lambda: None, lambda: True)
        except OutsideStep as error:
            refused.append(error)

    schedule = loop.call_soon_threadsafe

    def tell(*args: Any, **keywords: Any) -> Any:
        handle = schedule(*args, **keywords)
        given.set()
        return handle

    monkeypatch.setattr(loop, "call_soon_threadsafe", tell)
    thread = threading.Thread(target=work)
    thread.start()
    given.wait()
    loop.close()
    thread.join()
    assert len(refused) == 1


def test_the_calls_are_methods_of_an_actor() -> None:
    assert all(callable(getattr(Actor, name)) for name in CALLS)
