"""Actor options: what is accepted, and whose word counts."""

import re
from datetime import timedelta
from typing import Any

import pytest

from stator import Actor, Options, setup
from stator.runtime.declarations import DefinitionError
from stator.runtime.options import Settings, resolve_settings

DURATIONS = [
    "action_timeout",
    "create_vars_timeout",
    "create_conn_state_timeout",
    "on_before_connect_timeout",
    "on_connect_timeout",
    "on_migrate_timeout",
    "sleep_timeout",
    "sleep_grace_period",
    "state_save_interval",
]
DOCUMENTED: dict[str, Any] = {
    "name": None,
    "icon": None,
    "action_timeout": 60.0,
    "create_vars_timeout": 5.0,
    "create_conn_state_timeout": 5.0,
    "on_before_connect_timeout": 5.0,
    "on_connect_timeout": 5.0,
    "on_migrate_timeout": 30.0,
    "sleep_timeout": 30.0,
    "sleep_grace_period": 15.0,
    "no_sleep": False,
    "state_save_interval": 1.0,
    "can_hibernate_websocket": False,
    "max_queue_size": 1000,
    "max_queue_message_size": 65536,
    "max_schedules": 1000,
    "durability": "commit",
}


def resolved(**options: Any) -> Settings:
    return resolve_settings(Options(**options), {}, {})


def test_the_defaults_are_the_documented_ones() -> None:
    settings = resolved()
    assert {name: getattr(settings, name) for name in settings.__struct_fields__} == DOCUMENTED
    assert set(Options.__struct_fields__) == set(DOCUMENTED)


@pytest.mark.parametrize("option", DURATIONS)
def test_durations_are_seconds(option: str) -> None:
    for given in (2, 2.0, timedelta(seconds=2)):
        assert getattr(resolved(**{option: given}), option) == 2.0


@pytest.mark.parametrize("option", DURATIONS)
@pytest.mark.parametrize(
    "bad", [0, -1, float("nan"), float("inf"), None, "5", True, timedelta(0), timedelta(-1)]
)
def test_an_impossible_duration_is_refused_by_name(option: str, bad: Any) -> None:
    with pytest.raises(DefinitionError, match=option):
        Options(**{option: bad})


@pytest.mark.parametrize(
    ("option", "bad"),
    [
        ("name", 5),
        ("icon", b"x"),
        ("no_sleep", 1),
        ("no_sleep", None),
        ("can_hibernate_websocket", "yes"),
        ("can_hibernate_websocket", None),
        ("max_queue_size", 0),
        ("max_queue_size", 1.5),
        ("max_queue_message_size", -1),
        ("max_schedules", -1),
        ("durability", "sometimes"),
        ("durability", None),
    ],
)
def test_an_impossible_option_is_refused_by_name(option: str, bad: Any) -> None:
    with pytest.raises(DefinitionError, match=option):
        Options(**{option: bad})


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="sleep_timout"):
        Options(sleep_timout=3)  # type: ignore[call-arg]  # pyright: ignore


def test_hibernation_may_depend_on_the_request() -> None:
    def decide(request: object) -> bool:
        return request is None

    assert resolved(can_hibernate_websocket=decide).can_hibernate_websocket is decide


def test_the_class_wins_over_setup_over_configuration_over_defaults() -> None:
    settings = resolve_settings(
        Options(action_timeout=1),
        {"action_timeout": 2, "sleep_timeout": timedelta(seconds=2)},
        {"action_timeout": 3, "sleep_timeout": 3, "state_save_interval": 3},
    )
    assert (settings.action_timeout, settings.sleep_timeout) == (1, 2)
    assert (settings.state_save_interval, settings.on_connect_timeout) == (3, 5)


def test_an_option_that_repeats_the_default_still_wins() -> None:
    assert resolve_settings(Options(durability="commit"), {"durability": "interval"}, {}) == (
        Settings(durability="commit")
    )


def test_bad_defaults_of_a_registry_are_refused_by_name() -> None:
    class Room(Actor):
        pass

    with pytest.raises(DefinitionError, match="sleep_timeout"):
        setup(use={"room": Room}, sleep_timeout=0)
    with pytest.raises(DefinitionError, match=re.escape("unknown actor options: a, b")):
        setup(use={"room": Room}, b=1, a=2)
    with pytest.raises(DefinitionError, match="sleep_timeout"):
        setup(use={"room": Room}).configure({"sleep_timeout": 0})
