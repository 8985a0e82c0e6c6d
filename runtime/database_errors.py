"""Errors of an actor's own SQLite database (semantics page, sections 5.7 and 9.2)."""

from __future__ import annotations

from .errors import ApplicationError


class DatabaseNotConfigured(ApplicationError):
    """The actor declares no database: give its class a `db = Database(...)`."""

    known = ("actor", "database_not_configured", 500)
