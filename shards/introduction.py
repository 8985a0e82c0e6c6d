"""What a worker says of itself when a link opens."""

from __future__ import annotations

from stator.runtime.link.frames import Hello
from stator.runtime.registry import Registry


def introduce(registry: Registry, role: str, index: int, generation: int) -> Hello:
    """Return the Hello of a worker that serves ``registry``; the others name the process."""
    wants_requests = any(definition.wants_requests for definition in registry)
    return Hello(role, index, generation, _describe(registry), wants_requests=wants_requests)


def _describe(registry: Registry) -> dict[str, dict[str, str]]:
    """Return what clients may know of each actor class: its display name and icon."""
    described: dict[str, dict[str, str]] = {}
    for definition in registry:
        settings = definition.settings
        shown = {"name": settings.name, "icon": settings.icon}
        described[definition.name] = {key: text for key, text in shown.items() if text}
    return described
