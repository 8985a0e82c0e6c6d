"""What the runtime reads from an actor class, and what it refuses where the class is defined."""

import datetime as dt
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
import pytest

from stator import Actor, ActorError, Event, Options, Queue, action, setup
from stator.runtime.declarations import DefinitionError
from stator.runtime.definition import HOOKS, ActorDefinition, wire_names_of

if TYPE_CHECKING:
    from pathlib import Path as OnlyForCheckers


class RoomState(msgspec.Struct):
    messages: list[str] = []


class NeedsArguments(msgspec.Struct):
    title: str


@dataclass
class Basket:
    items: list[str] = field(default_factory=list[str])


class Doc(TypedDict, total=False):
    title: str


def define(cls: type[Actor], **defaults: Any) -> ActorDefinition:
    definition = setup(use={"room": cls}, **defaults).get("room")
    assert definition is not None
    return definition


def make(name: str = "Room", bases: tuple[type, ...] = (Actor,), /, **body: Any) -> type[Any]:
    """Define an actor class whose body is ``body``."""
    return type(name, bases, body)


# -- state and vars


class Annotated(Actor):
    state: RoomState
    vars: dict[str, int]


class Quoted(Actor):
    state: "RoomState"


def test_an_annotated_state_is_built_without_arguments() -> None:
    for cls in (Annotated, Quoted):
        definition = define(cls)
        assert definition.has_state
        assert definition.initial_state() == RoomState()
        assert definition.state_codec.is_closed
        assert definition.initial_state().messages is not definition.initial_state().messages


def test_a_state_value_is_copied_deeply_for_each_actor() -> None:
    definition = define(make(state={"rows": [[1]]}, vars=[[]]))
    for make_one in (definition.initial_state, definition.initial_vars):
        assert make_one() == make_one()
        assert make_one() is not make_one()
    definition.initial_state()["rows"][0].append(2)
    assert definition.initial_state() == {"rows": [[1]]}


def test_an_actor_without_state_says_so_when_asked() -> None:
    definition = define(make())
    assert not definition.has_state
    assert not definition.has_vars
    actor = definition.cls()
    for name in ("state", "vars"):
        with pytest.raises(ActorError) as caught:
            getattr(actor, name)
        assert (caught.value.group, caught.value.code) == ("actor", f"{name}_not_enabled")
    with pytest.raises(AttributeError, match="'Room' object has no attribute 'colour'"):
        _ = actor.colour


@pytest.mark.parametrize(
    ("annotation", "initial"),
    [
        (dict, {}),
        (dict[str, int], {}),
        (list[str], []),
        (int, 0),
        (Basket, Basket()),
        (Doc, {}),
    ],
)
def test_any_type_that_can_be_built_is_a_state(annotation: Any, initial: object) -> None:
    assert define(make(__annotations__={"state": annotation})).initial_state() == initial


@pytest.mark.parametrize("value", [RoomState(["x"]), Basket(["x"])])
def test_a_record_without_an_annotation_is_its_own_type(value: object) -> None:
    definition = define(make(state=value))
    assert definition.initial_state() == value
    assert definition.state_codec.type is type(value)


def test_a_subclass_inherits_state_and_may_replace_it() -> None:
    parent = make(state={"a": 1}, options=Options(sleep_timeout=3))
    child = make("Child", (parent,))
    other = make("Other", (parent,), state={"b": 1}, options=Options(no_sleep=True))
    assert define(child).initial_state() == {"a": 1}
    assert define(child).settings.sleep_timeout == 3
    assert define(other).initial_state() == {"b": 1}
    assert define(other).settings.sleep_timeout == 30
    assert define(parent).initial_state() == {"a": 1}
    typed = make("Typed", (parent,), __annotations__={"state": RoomState})
    assert define(typed).initial_state() == RoomState()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"__annotations__": {"state": NeedsArguments}}, "cannot be built without arguments"),
        ({"__annotations__": {"state": RoomState | None}}, "cannot be built without arguments"),
        ({"__annotations__": {"state": "Nowhere"}}, "'Nowhere' cannot be resolved"),
        ({"__annotations__": {"state": str | bytes}}, "cannot be a state type"),
        ({"state": {"at": object()}}, r"state\['at'\] is a object"),
        ({"state": {"lock": threading.Lock()}}, "cannot be copied"),
        (
            {"state": {"x": 1}, "__annotations__": {"state": RoomState}},
            "Expected `array`|come back",
        ),
    ],
)
def test_a_state_that_no_actor_could_start_with_is_refused(
    body: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DefinitionError, match=reason):
        define(make(**body))


def test_a_state_that_create_state_makes_need_not_be_built() -> None:
    def create_state(self: object, given: str) -> NeedsArguments:
        return NeedsArguments(given)

    definition = define(make(create_state=create_state, __annotations__={"state": NeedsArguments}))
    assert definition.has_state
    assert definition.state_codec.type is NeedsArguments
    assert define(make(create_state=create_state)).has_state


def test_what_a_hook_returns_says_the_type_of_the_state_it_makes() -> None:
    def create(self: object, given: str) -> NeedsArguments:
        return NeedsArguments(given)

    definition = define(make(create_state=create, create_conn_state=create))
    assert definition.state_codec.type is NeedsArguments
    assert definition.conn_state_codec.type is NeedsArguments


def test_vars_that_a_hook_makes_need_no_resolvable_annotation() -> None:
    class Room(Actor):
        vars: "OnlyForCheckers"

        def create_vars(self) -> "OnlyForCheckers":
            raise AssertionError

    assert define(Room).has_vars


# -- actions


class Base(Actor):
    new_message = Event[str]()
    work_items = Queue[str]()

    @action
    def send_text(self, text: str) -> str:
        return text

    @action(name="deep.down", timeout=3)
    async def deep(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def helper(self) -> int:
        return 1


class Camel(Base, rename="camel"):
    @action
    def more_text(self) -> None: ...


def test_actions_are_found_by_wire_name() -> None:
    actions = define(Base).actions
    assert set(actions) == {"send_text", "deep.down"}
    assert (actions["deep.down"].is_async, actions["deep.down"].timeout) == (True, 3)
    assert (actions["send_text"].is_async, actions["send_text"].timeout) == (False, 60)
    assert actions["send_text"].method(None, "x") == "x"
    assert define(Base, action_timeout=7).actions["send_text"].timeout == 7


def test_rename_is_for_a_class_and_its_subclasses_only() -> None:
    assert set(define(Camel).actions) == {"sendText", "moreText", "deep.down"}
    assert set(define(Camel).events) == {"newMessage"}
    assert set(define(Camel).queues) == {"workItems"}
    assert Camel.new_message.wire_name == "newMessage"
    assert Camel.new_message.payload_type is str
    assert set(define(Base).actions) == {"send_text", "deep.down"}
    assert set(define(Base).events) == {"new_message"}
    assert set(define(Base).queues) == {"work_items"}
    assert wire_names_of(type("Grandchild", (Camel,), {}))["send_text"] == "sendText"


def test_an_override_without_the_decorator_is_no_action() -> None:
    class Quiet(Base):
        def send_text(self, text: str) -> str:
            return text.lower()

    assert set(define(Quiet).actions) == {"deep.down"}


def test_an_action_is_called_by_its_attribute_whatever_its_function_is_called() -> None:
    def wrapper(self: object, *arguments: Any) -> Any:
        return arguments

    room = make(send=action(wrapper), other=action(define))
    assert wire_names_of(room) == {"send": "send", "other": "other"}


@pytest.mark.parametrize("name", ["state", "broadcast", "destroy", "name", "on_wake", "kv"])
def test_an_action_may_not_hide_a_member_of_actor(name: str) -> None:
    def method(self: object) -> None: ...

    with pytest.raises(DefinitionError, match=name):
        make(**{name: action(method)})


@pytest.mark.parametrize("name", ["broadcast", "key", "queue", "on_wake", "log"])
@pytest.mark.parametrize("kind", [Event, Queue])
def test_a_declaration_may_not_hide_a_member_of_actor(name: str, kind: type[Any]) -> None:
    with pytest.raises(DefinitionError, match=f"Room.{name} is a member of Actor"):
        make(**{name: kind()})


def test_two_of_a_kind_may_not_share_a_wire_name() -> None:
    def method(self: object) -> None: ...

    def other(self: object) -> None: ...

    with pytest.raises(DefinitionError, match="two actions are called 'x'"):
        make(a=action(name="x")(method), x=action(other))
    with pytest.raises(DefinitionError, match="a and x are both event 'x'"):
        make(a=Event(name="x"), x=Event())
    with pytest.raises(DefinitionError, match="a and x are both queue 'x'"):
        make(a=Queue(name="x"), x=Queue())
    assert make(a=Event(name="x"), b=Queue(name="x"))


# -- the rest of a class


def test_a_bad_class_is_refused_where_it_is_defined() -> None:
    with pytest.raises(DefinitionError, match="rename is 'camel' or absent, not 'snake'"):
        type("Room", (Actor,), {}, rename="snake")
    with pytest.raises(DefinitionError, match=r"options is an Options\(\.\.\.\)"):
        make(options={"sleep_timeout": 3})
    with pytest.raises(DefinitionError, match="on_wake is a hook and must be a method"):
        make(on_wake=5)


def test_hooks_are_the_methods_with_their_names() -> None:
    def hook(self: object) -> None: ...

    assert define(make()).hooks == frozenset()
    for name in HOOKS - {"create_state"}:
        assert define(make(**{name: hook})).hooks == {name}


def test_durability_is_read_from_the_options() -> None:
    assert define(make()).is_durable
    assert not define(make(), durability="interval").is_durable
    assert define(make(options=Options(durability="commit")), durability="interval").is_durable
