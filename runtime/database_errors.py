"""Errors of an actor's own database (semantics page, sections 5.7 and 9.2).

None of them reaches a caller whole: what SQLite says is about the actor's code. The text goes to
the log; values of parameters go nowhere.
"""

from __future__ import annotations

from .errors import ApplicationError, SystemTrouble


class DatabaseNotConfigured(ApplicationError):
    """The actor declares no database: give its class a `db = Database(...)`."""

    known = ("actor", "database_not_configured", 500)


class DatabaseClosed(ApplicationError):
    """The database is closed because its actor has stopped: end timers and background work when
    `self.abort_signal` is set."""

    known = ("sqlite", "closed", 500)


class StatementFailed(ApplicationError):
    """SQLite refused the statement; the log has its message."""

    known = ("sqlite", "error", 500)


class ConstraintFailed(ApplicationError):
    """A change broke a constraint of the schema; metadata has SQLite's code."""

    known = ("sqlite", "constraint", 500)


class InvalidBindParameter(ApplicationError):
    """A parameter is missing or superfluous, or not None, bool, int of 64 bits, float, str or
    bytes."""

    known = ("sqlite", "invalid_bind_parameter", 500)


class NotAuthorized(ApplicationError):
    """The statement does what an actor may not: reach other files, weaken durability or write to
    reserved tables."""

    known = ("sqlite", "not_authorized", 500)


class SchemaNewer(ApplicationError):
    """The database has more migrations than its class declares: a newer version of the application
    was here."""

    known = ("sqlite", "schema_newer", 500)


class TransactionExpired(ApplicationError):
    """The transaction was rolled back at its deadline. Inside the block use the transaction, not
    `self.db`, which waits behind it."""

    known = ("sqlite", "transaction_expired", 500)


class TransactionQueueFull(ApplicationError):
    """128 operations wait behind a transaction of this actor."""

    known = ("sqlite", "transaction_queue_full", 500)


class TransactionTerminal(ApplicationError):
    """The transaction is over."""

    known = ("sqlite", "transaction_terminal", 500)


class DatabaseUnavailable(SystemTrouble):
    """The actor's database cannot be read or written: its disk is full or failing."""

    known = ("sqlite", "unavailable", 503)


class DatabaseCorrupt(SystemTrouble):
    """The file of the actor's database is damaged: restore it from a backup."""

    known = ("sqlite", "corrupt", 500)
