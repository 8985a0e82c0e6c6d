"""The registry: which actor classes a service has, and under which names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .actor import Actor
from .declarations import DefinitionError
from .definition import ActorDefinition
from .options import Settings

MAX_NAME_LENGTH = 64
"""Of an actor name (client-protocol, 10.1)."""


class Registry:
    """The actor classes of a service by their wire names; made by :func:`setup`."""

    def __init__(self, use: Mapping[str, type[Actor]], defaults: Mapping[str, Any]) -> None:
        """Raises :class:`DefinitionError`."""
        self._classes = dict(use)
        self._defaults = dict(defaults)
        self._definitions = self._define({})

    def configure(self, configured: Mapping[str, Any]) -> None:
        """Apply the ``[actors]`` section of the configuration. Raises :class:`DefinitionError`."""
        self._definitions = self._define(configured)

    def get(self, name: str) -> ActorDefinition | None:
        """Return the definition registered as ``name``."""
        return self._definitions.get(name)

    def __iter__(self) -> Iterator[ActorDefinition]:
        return iter(self._definitions.values())

    def __len__(self) -> int:
        return len(self._definitions)

    def _define(self, configured: Mapping[str, Any]) -> dict[str, ActorDefinition]:
        return {
            name: ActorDefinition(name, cls, self._defaults, configured)
            for name, cls in self._classes.items()
        }


def setup(use: Mapping[str, type[Actor]], **defaults: Any) -> Registry:
    """Return a registry of ``use``: actor names on the wire to actor classes.

    ``defaults`` are actor options for classes that do not set them themselves.
    Raises :class:`DefinitionError`.
    """
    if unknown := set(defaults) - set(Settings.__struct_fields__):
        raise DefinitionError(f"setup() got unknown actor options: {', '.join(sorted(unknown))}")
    for name, cls in use.items():
        _check_entry(name, cls)
        cls.__stator_name__ = name
    return Registry(use, defaults)


def _check_entry(name: object, cls: object) -> None:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH:
        raise DefinitionError(f"{name!r} is no actor name: 1 to {MAX_NAME_LENGTH} characters")
    if any(character in name for character in "/@\0"):
        raise DefinitionError(f"the actor name {name!r} must not contain '/', '@' or NUL")
    if not (isinstance(cls, type) and issubclass(cls, Actor)) or cls is Actor:
        raise DefinitionError(f"{name!r} is not an Actor class but {cls!r}")
