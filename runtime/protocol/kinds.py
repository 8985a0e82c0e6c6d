"""Exact types of decoded values, said so that a strict type checker follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

kind_of: Callable[[Any], Any] = type
"""``type``, for exact comparisons; pyright finds ``type`` of an ``Any`` partly unknown."""


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a decoded value is an object."""
    return type(value) is dict


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Whether a decoded value is an array."""
    return type(value) is list
