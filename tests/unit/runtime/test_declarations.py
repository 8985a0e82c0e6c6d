"""What a class body declares: actions, events and queues."""

from datetime import timedelta
from typing import Any

import pytest

from stator import Actor, Event, Queue, action
from stator.runtime.declarations import DefinitionError, to_camel
from stator.runtime.definition import wire_names_of


def test_a_declaration_is_named_after_its_attribute() -> None:
    class Room(Actor):
        new_message = Event[str]()
        left = Event[str](name="user.left")
        jobs = Queue[str, int]()

    assert (Room.new_message.python_name, Room.new_message.wire_name) == ("new_message",) * 2
    assert (Room.left.python_name, Room.left.wire_name) == ("left", "user.left")
    assert Room.jobs.wire_name == "jobs"


def test_types_of_declarations() -> None:
    assert Event[str]().payload_type is str
    assert Event().payload_type is Any
    assert (Queue[str, int]().body_type, Queue[str, int]().reply_type) == (str, int)
    assert (Queue[str]().body_type, Queue[str]().reply_type) == (str, type(None))
    assert (Queue().body_type, Queue().reply_type) == (Any, Any)
    assert Event[dict[str, list[int]]]().payload_type == dict[str, list[int]]


def test_gates_are_given_by_keyword_or_by_decorator() -> None:
    class Room(Actor):
        open_to_all = Event[str](can_subscribe=lambda actor, conn: True)
        news = Event[str]()
        jobs = Queue[str]()

        @news.can_subscribe
        def may_read(self, conn: Any) -> bool:
            return conn is self

        @jobs.can_publish
        async def may_work(self, conn: Any) -> bool:
            return conn is not self

    room = Room()
    assert Room.open_to_all.subscribe_gate is not None
    assert Room.open_to_all.subscribe_gate(None, None) is True
    assert Room.news.subscribe_gate is Room.may_read
    assert Room.jobs.publish_gate is Room.may_work
    assert room.may_read(room)


@pytest.mark.parametrize("kind", [Event, Queue])
def test_an_empty_wire_name_is_refused(kind: type[Any]) -> None:
    with pytest.raises(DefinitionError, match="must not be empty"):
        kind(name="")


@pytest.mark.parametrize(
    ("python", "camel"),
    [("a", "a"), ("send_all", "sendAll"), ("a_b_c", "aBC"), ("send2_all", "send2All"),
     ("already", "already"), ("get_URL", "getURL"), ("x__y", "xY")],
)  # fmt: skip
def test_camel_case(python: str, camel: str) -> None:
    assert to_camel(python) == camel


# -- actions


def test_an_action_is_a_plain_method_for_python() -> None:
    class Room(Actor):
        @action
        def add(self, a: int, b: int = 1) -> int:
            return a + b

        @action(name="x.y", timeout=timedelta(seconds=2))
        async def nested(self) -> str:
            return "deep"

    assert Room().add(1, b=2) == 3
    assert wire_names_of(Room) == {"add": "add", "nested": "x.y"}


@pytest.mark.parametrize("name", ["", ".", "x.", ".y", "x..y"])
def test_an_action_name_has_no_empty_parts(name: str) -> None:
    with pytest.raises(DefinitionError, match="not an action name"):
        action(name=name)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), timedelta(0)])
def test_a_timeout_is_a_time_that_passes(timeout: float | timedelta) -> None:
    with pytest.raises(DefinitionError, match="above 0"):
        action(timeout=timeout)


def test_an_action_is_a_method() -> None:
    with pytest.raises(DefinitionError, match="goes on a method"):
        action("send")  # type: ignore[call-overload]  # pyright: ignore


@pytest.mark.parametrize("wrapper", [staticmethod, classmethod])
def test_a_method_of_the_class_is_no_action(wrapper: Any) -> None:
    def method(*arguments: object) -> object:
        return arguments

    with pytest.raises(DefinitionError, match="method of the instance"):
        type("Room", (Actor,), {"send": wrapper(action(method))})
