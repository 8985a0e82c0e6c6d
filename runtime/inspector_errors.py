"""Errors of the inspector's routes; what ``errors.py`` says of all errors holds."""

from __future__ import annotations

from .errors import CallerError


class InspectorUnauthorized(CallerError):
    """Inspector request requires a valid bearer token"""

    known = ("inspector", "unauthorized", 401)


class InspectorRouteNotFound(CallerError):
    """Inspector route was not found"""

    known = ("actor", "not_found", 404)
