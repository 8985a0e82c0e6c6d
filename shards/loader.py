"""Importing the application: ``application.registry`` names a module and an attribute of it."""

from __future__ import annotations

import importlib
import sys

import msgspec

from stator.runtime.config import Actors, Application
from stator.runtime.declarations import DefinitionError
from stator.runtime.log import Logger
from stator.runtime.registry import Registry


class ApplicationUnusable(Exception):
    """The application cannot be imported or is not a registry; the text says what to do."""


def load_registry(application: Application, actors: Actors) -> Registry:
    """Import and return the registry. Raises :class:`ApplicationUnusable`, with its cause."""
    module_name, _, attribute = application.registry.partition(":")
    if application.path not in sys.path:
        sys.path.insert(0, application.path)
    try:
        module = importlib.import_module(module_name)
    except BaseException as error:
        raise ApplicationUnusable(
            f"cannot import the application's module '{module_name}' from {application.path}: "
            f"{type(error).__name__}: {error}"
        ) from error
    registry = getattr(module, attribute, None)
    if not isinstance(registry, Registry):
        found = "nothing" if registry is None else f"a {type(registry).__name__}"
        raise ApplicationUnusable(
            f"application.registry = '{application.registry}' names {found}; "
            "it must name what setup(use={...}) returned"
        )
    try:
        registry.configure(msgspec.structs.asdict(actors))
    except DefinitionError as error:
        raise ApplicationUnusable(f"the section [actors] does not fit: {error}") from error
    return registry


def log_unusable(log: Logger, error: ApplicationUnusable) -> None:
    """Tell the operator why the application cannot be used, with the stack in its code."""
    log.critical("application unusable", problem=str(error), exc_info=error.__cause__)
