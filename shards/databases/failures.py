"""What SQLite raises, as the errors of ``runtime/database_errors.py``."""

from __future__ import annotations

from typing import Any

import apsw

from stator.runtime.database_errors import (
    ConstraintFailed,
    DatabaseCorrupt,
    DatabaseUnavailable,
    InvalidBindParameter,
    NotAuthorized,
    StatementFailed,
)
from stator.runtime.errors import ActorError, KnownError

_UNAVAILABLE = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.FullError,
    apsw.IOError,
    apsw.NoLFSError,
    apsw.NoMemError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
    MemoryError,
    OSError,
)
_CORRUPT = (apsw.CorruptError, apsw.NotADBError)


def translated(error: Exception, refused: str = "") -> Exception:
    """Return what the actor's code sees of ``error``; ``refused`` is what was not authorized."""
    if isinstance(error, ActorError):
        return error
    if refused:
        ours: KnownError = NotAuthorized(
            f"{refused} is not allowed in an actor's database", metadata={"refused": refused}
        )
    elif isinstance(error, _UNAVAILABLE):
        ours = DatabaseUnavailable(f"the database cannot be used: {error}", metadata=_code(error))
    elif isinstance(error, _CORRUPT):
        ours = DatabaseCorrupt(f"the database is damaged: {error}", metadata=_code(error))
    elif isinstance(error, apsw.ConstraintError):
        ours = ConstraintFailed(str(error), metadata=_code(error))
    elif isinstance(error, apsw.BindingsError):
        ours = InvalidBindParameter(str(error))
    elif isinstance(error, KeyError):  # APSW's own, of a dict of parameters
        ours = InvalidBindParameter(f"no value was given for the parameter {error.args[0]!r}")
    elif isinstance(error, UnicodeEncodeError):
        # Its text would show the value.
        ours = InvalidBindParameter("a text has a lone surrogate, which is not UTF-8")
    elif isinstance(error, UnicodeDecodeError):
        ours = StatementFailed("a text in the database is not UTF-8; read it as CAST(... AS BLOB)")
    else:
        ours = StatementFailed(str(error), metadata=_code(error))
    ours.__cause__ = error
    return ours


def _code(error: Exception) -> dict[str, str] | None:
    """Return SQLite's own name of an error."""
    extended = getattr(error, "extendedresult", None)
    if not isinstance(extended, int):
        return None
    names: dict[Any, Any] = apsw.mapping_extended_result_codes
    plain: dict[Any, Any] = apsw.mapping_result_codes
    name = names.get(extended) or plain.get(extended & 0xFF)
    return {"code": str(name)} if name else None
