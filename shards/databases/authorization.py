"""What the SQL of an actor may do: everything, within its own file.

SQLite asks while it prepares a statement, about each thing the statement would do, so comments,
quotes, letter case, triggers and scripts make no difference. A statement that is taken from the
cache of prepared ones was asked about before.

Rule 1. No other file: no ``ATTACH``, ``DETACH``, ``VACUUM INTO``, extension, or virtual table that
        is not on the list. A plain ``VACUUM`` attaches a temporary file of its own: the text then
        has no word "attach", which cannot be spelt in another way.
Rule 2. Pragmas as ``pragmas.py`` says.
Rule 3. Tables, indexes, views and triggers called ``_stator_...`` or ``_rivet_...`` are not the
        actor's to make, change or drop. Reading them is free.
Rule 4. Within a migration and within the transaction of a step no ``BEGIN``, ``COMMIT`` or
        ``ROLLBACK``: it would tear apart what stands or falls together. Savepoints are free.
Rule 5. What SQLite may ask some day and this file does not know is refused.
"""

from __future__ import annotations

from typing import Any

import apsw

from . import pragmas

RESERVED = ("_stator_", "_rivet_")
MODULES = frozenset({"fts3", "fts4", "fts4aux", "fts5", "fts5vocab", "geopoly", "rtree"}) | {
    "dbstat",
    "fts3tokenize",
    "rtree_i32",
}
"""Virtual tables that live in the actor's own file."""
FUNCTIONS = frozenset({"edit", "fts3_tokenizer", "load_extension", "readfile", "writefile"})
"""Functions that reach files or code; most are not even built in."""

_NAMED_FIRST = frozenset(
    {
        apsw.SQLITE_CREATE_TABLE,
        apsw.SQLITE_CREATE_TEMP_TABLE,
        apsw.SQLITE_CREATE_TEMP_VIEW,
        apsw.SQLITE_CREATE_VIEW,
        apsw.SQLITE_DELETE,
        apsw.SQLITE_DROP_TABLE,
        apsw.SQLITE_DROP_TEMP_TABLE,
        apsw.SQLITE_DROP_TEMP_VIEW,
        apsw.SQLITE_DROP_VIEW,
        apsw.SQLITE_DROP_VTABLE,
        apsw.SQLITE_INSERT,
        apsw.SQLITE_UPDATE,
    }
)
"""Their first argument is the table, view or index they change."""
_NAMED_TWICE = frozenset(
    {
        apsw.SQLITE_ALTER_TABLE,
        apsw.SQLITE_CREATE_INDEX,
        apsw.SQLITE_CREATE_TEMP_INDEX,
        apsw.SQLITE_CREATE_TEMP_TRIGGER,
        apsw.SQLITE_CREATE_TRIGGER,
        apsw.SQLITE_DROP_INDEX,
        apsw.SQLITE_DROP_TEMP_INDEX,
        apsw.SQLITE_DROP_TEMP_TRIGGER,
        apsw.SQLITE_DROP_TRIGGER,
    }
)
"""Their second argument is the table, their first the index or trigger (or the database)."""
_MAKES_TEMPORARY = frozenset(
    {
        apsw.SQLITE_CREATE_TEMP_INDEX,
        apsw.SQLITE_CREATE_TEMP_TABLE,
        apsw.SQLITE_CREATE_TEMP_TRIGGER,
        apsw.SQLITE_CREATE_TEMP_VIEW,
    }
)
_HARMLESS = frozenset(
    {
        apsw.SQLITE_ANALYZE,
        apsw.SQLITE_READ,
        apsw.SQLITE_RECURSIVE,
        apsw.SQLITE_REINDEX,
        apsw.SQLITE_SAVEPOINT,
        apsw.SQLITE_SELECT,
    }
)
_VACUUM = "vacuum_"
"""How SQLite calls the file that ``VACUUM`` attaches."""


class Authorizer:
    """Answers SQLite for one open file; remembers why it refused."""

    __slots__ = ("is_pinned", "is_trusted", "refused", "sql", "within")

    def __init__(self) -> None:
        self.sql = ""
        """What is being run."""
        self.refused = ""
        """What was refused last; empty if nothing was."""
        self.is_trusted = False
        """Whether stator itself is asking."""
        self.within = ""
        """What may not be torn apart (rule 4); empty if nothing."""
        self.is_pinned = False
        """Whether the connection has something that closing it would lose."""

    def __call__(
        self,
        action: int,
        first: str | None,
        second: str | None,
        database: str | None,
        _trigger: str | None,
    ) -> int:
        if action in _HARMLESS or self.is_trusted:
            return apsw.SQLITE_OK
        refused = self._refusal(action, first, second, database)
        if refused:
            self.refused = refused
            return apsw.SQLITE_DENY
        if action in _MAKES_TEMPORARY:
            self.is_pinned = True
        return apsw.SQLITE_OK

    def _refusal(
        self, action: int, first: str | None, second: str | None, database: str | None
    ) -> str:
        """Return what is refused, or nothing."""
        if action in _NAMED_FIRST:
            return self._of_table(action, database, first)
        if action in _NAMED_TWICE:
            return self._of_table(action, database, first, second)
        if action == apsw.SQLITE_FUNCTION:
            name = (second or "").lower()
            return f"the function {name}" if name in FUNCTIONS else ""
        if action == apsw.SQLITE_PRAGMA:
            return self._of_pragma((first or "").lower(), second)
        if action == apsw.SQLITE_TRANSACTION:
            return f"{first} within {self.within}" if self.within else ""
        if action == apsw.SQLITE_ATTACH:
            return "ATTACH or VACUUM INTO" if first != "" or "attach" in self.sql.lower() else ""
        if action == apsw.SQLITE_CREATE_VTABLE:
            return self._of_module(first, (second or "").lower())
        return _word(action)

    def _of_table(self, action: int, database: str | None, *names: str | None) -> str:
        if database is not None and database.startswith(_VACUUM):
            return ""
        for name in names:
            if name is not None and name.lower().startswith(RESERVED):
                return f"{_word(action)} of {name}"
        if action == apsw.SQLITE_ALTER_TABLE and _renames_to_reserved(self.sql.lower()):
            return "ALTER TABLE to a reserved name"
        return ""

    def _of_module(self, table: str | None, module: str) -> str:
        if module not in MODULES:
            return f"the virtual table module {module}"
        return self._of_table(apsw.SQLITE_CREATE_VTABLE, None, table)

    def _of_pragma(self, name: str, value: str | None) -> str:
        if not pragmas.is_allowed(name, value):
            return f"PRAGMA {name}" if value is None else f"PRAGMA {name} = {value}"
        if pragmas.is_lost_on_close(name, value):
            self.is_pinned = True
        return ""


def _renames_to_reserved(sql: str) -> bool:
    """Whether a text with an ``ALTER TABLE`` may give a reserved name: SQLite does not say."""
    return "rename" in sql and any(prefix in sql for prefix in RESERVED)


def _word(action: int) -> str:
    names: dict[Any, Any] = apsw.mapping_authorizer_function
    return str(names.get(action, action)).removeprefix("SQLITE_").replace("_", " ")
