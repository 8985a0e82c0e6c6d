"""The registry: names on the wire and the classes behind them."""

from typing import Any

import pytest

from stator import Actor, Options, Registry, setup
from stator.runtime.declarations import DefinitionError


class Room(Actor):
    state = {"count": 0}  # noqa: RUF012 - as applications write it


class Lobby(Actor):
    options = Options(sleep_timeout=1)


def test_classes_are_found_by_their_names() -> None:
    registry = setup(use={"chatRoom": Room, "lobby": Lobby})
    assert isinstance(registry, Registry)
    assert len(registry) == 2
    assert [definition.name for definition in registry] == ["chatRoom", "lobby"]
    definition = registry.get("chatRoom")
    assert definition is not None
    assert definition.cls is Room
    assert registry.get("Room") is None
    assert registry.get("nobody") is None


def test_a_registry_keeps_what_it_was_given() -> None:
    use: dict[str, type[Actor]] = {"room": Room}
    registry = setup(use=use)
    use["lobby"] = Lobby
    assert registry.get("lobby") is None


def test_one_class_may_have_two_names() -> None:
    registry = setup(use={"a": Room, "b": Room})
    assert [definition.cls for definition in registry] == [Room, Room]
    assert [definition.name for definition in registry] == ["a", "b"]


def test_the_configuration_is_below_the_code() -> None:
    registry = setup(use={"room": Room, "lobby": Lobby}, on_connect_timeout=2)
    registry.configure({"sleep_timeout": 9, "on_connect_timeout": 9})
    room, lobby = registry
    assert (room.settings.sleep_timeout, room.settings.on_connect_timeout) == (9, 2)
    assert (lobby.settings.sleep_timeout, lobby.settings.on_connect_timeout) == (1, 2)


def test_an_empty_registry_is_legal() -> None:
    assert list(setup(use={})) == []


@pytest.mark.parametrize("name", ["", "a/b", "a@b", "a\0b", "n" * 65, 5, None])
def test_a_name_that_no_url_could_carry_is_refused(name: Any) -> None:
    with pytest.raises(DefinitionError, match="name"):
        setup(use={name: Room})


@pytest.mark.parametrize("name", ["n" * 64, "chat room", "a,b", "Zoë", "a.b-c_d"])
def test_other_names_are_fine(name: str) -> None:
    assert setup(use={name: Room}).get(name) is not None


@pytest.mark.parametrize("cls", [Actor, Room(), object, "Room", None])
def test_only_actor_classes_can_be_registered(cls: Any) -> None:
    with pytest.raises(DefinitionError, match="is not an Actor class"):
        setup(use={"room": cls})
