"""The options of an actor class and how they become settings.

Rule 1. What the class says wins over ``setup(**defaults)``, which wins over the configuration's
        ``[actors]``, which wins over the defaults of :class:`Settings`.
Rule 2. Durations are seconds, as ``float`` or ``timedelta`` (semantics page, section 1.2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from .declarations import DefinitionError

Seconds = float | timedelta | UnsetType
_Positive = Annotated[float, Meta(gt=0, le=1e9)]  # 30 years: a timer cannot wait for infinity
_Count = Annotated[int, Meta(ge=1)]
Durability = Literal["commit", "interval"]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an actor class may set; see :class:`Settings` for meanings and defaults.

    Raises :class:`DefinitionError` for a value out of range.
    """

    name: str | UnsetType | None = UNSET
    icon: str | UnsetType | None = UNSET
    action_timeout: Seconds = UNSET
    create_vars_timeout: Seconds = UNSET
    create_conn_state_timeout: Seconds = UNSET
    on_before_connect_timeout: Seconds = UNSET
    on_connect_timeout: Seconds = UNSET
    on_migrate_timeout: Seconds = UNSET
    sleep_timeout: Seconds = UNSET
    sleep_grace_period: Seconds = UNSET
    no_sleep: bool | UnsetType = UNSET
    state_save_interval: Seconds = UNSET
    can_hibernate_websocket: bool | Callable[[Any], bool] | UnsetType = UNSET
    max_queue_size: int | UnsetType = UNSET
    max_queue_message_size: int | UnsetType = UNSET
    max_schedules: int | UnsetType = UNSET
    durability: Durability | UnsetType = UNSET

    def __post_init__(self) -> None:
        resolve_settings(self, {}, {})


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The resolved options of an actor class. Durations in seconds, sizes in bytes."""

    name: str | None = None
    """Display name; the registry's name is shown without one."""
    icon: str | None = None
    """Emoji or FontAwesome id."""
    action_timeout: _Positive = 60.0
    """Bounds one action."""
    create_vars_timeout: _Positive = 5.0
    create_conn_state_timeout: _Positive = 5.0
    on_before_connect_timeout: _Positive = 5.0
    on_connect_timeout: _Positive = 5.0
    on_migrate_timeout: _Positive = 30.0
    sleep_timeout: _Positive = 30.0
    """Idle time before an actor sleeps."""
    sleep_grace_period: _Positive = 15.0
    """One budget for a whole stop: running actions, hooks, the last save."""
    no_sleep: bool = False
    state_save_interval: _Positive = 1.0
    """With durability "interval", how long changes stay unsaved at most; with either, how often
    the changes of long work are looked at."""
    can_hibernate_websocket: bool | Any = False
    max_queue_size: _Count = 1000
    max_queue_message_size: _Count = 65536
    max_schedules: Annotated[int, Meta(ge=0)] = 1000
    durability: Durability = "commit"
    """Whether replies wait for the commit of the changes before them (python-api, section 9)."""


CREATE_STATE_TIMEOUT_S = 5.0
ON_CREATE_TIMEOUT_S = 5.0
ON_WAKE_TIMEOUT_S = 30.0
"""Budgets that cannot be set (semantics page, section 1.2)."""


def resolve_settings(
    options: Options, registry_defaults: Mapping[str, Any], configured: Mapping[str, Any]
) -> Settings:
    """Merge by rule 1. Raises :class:`DefinitionError` naming the option."""
    given = {
        field: value
        for field in options.__struct_fields__
        if (value := getattr(options, field)) is not UNSET
    }
    merged = {**configured, **registry_defaults, **given}
    plain = {name: _in_seconds(value) for name, value in merged.items()}
    decider = plain.get("can_hibernate_websocket", False)
    if not isinstance(decider, bool) and not callable(decider):
        raise DefinitionError(
            f"can_hibernate_websocket is a bool or a function of the request, not {decider!r}"
        )
    try:
        return msgspec.convert(plain, Settings)
    except msgspec.ValidationError as error:
        raise DefinitionError(f"invalid actor option: {error}".replace("`$.", "`")) from error


def _in_seconds(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value
