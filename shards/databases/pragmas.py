"""Which pragmas an actor may use on its database, and which change only its open connection.

Rule 1. What reaches other files, weakens durability or isolation, or concerns the whole process
        may be read at most. A pragma that is not named here is refused.
Rule 2. A setting of the connection is lost when its file is closed. So that an idle actor does not
        lose it unawares, its file then stays open until the actor sleeps.
"""

from __future__ import annotations

FREE = frozenset(
    {
        "application_id",
        "auto_vacuum",
        "collation_list",
        "compile_options",
        "data_version",
        "database_list",
        "defer_foreign_keys",
        "foreign_key_check",
        "foreign_key_list",
        "freelist_count",
        "function_list",
        "incremental_vacuum",
        "index_info",
        "index_list",
        "index_xinfo",
        "integrity_check",
        "module_list",
        "optimize",
        "page_count",
        "pragma_list",
        "quick_check",
        "shrink_memory",
        "table_info",
        "table_list",
        "table_xinfo",
        "user_version",
        "wal_checkpoint",
    }
)
"""Read, act, or are kept in the file."""

OF_THE_CONNECTION = frozenset(
    {
        "analysis_limit",
        "automatic_index",
        "cache_size",
        "case_sensitive_like",
        "cell_size_check",
        "foreign_keys",
        "ignore_check_constraints",
        "legacy_alter_table",
        "max_page_count",
        "recursive_triggers",
        "reverse_unordered_selects",
        "secure_delete",
    }
)
"""May be set (rule 2)."""

READ_ONLY = frozenset(
    {
        "busy_timeout",
        "cache_spill",
        "checkpoint_fullfsync",
        "encoding",
        "fullfsync",
        "hard_heap_limit",
        "journal_mode",
        "journal_size_limit",
        "locking_mode",
        "mmap_size",
        "page_size",
        "query_only",
        "read_uncommitted",
        "schema_version",
        "soft_heap_limit",
        "synchronous",
        "temp_store",
        "threads",
        "trusted_schema",
        "wal_autocheckpoint",
        "writable_schema",
    }
)
"""May be read (rule 1)."""

AS_IT_IS = frozenset(
    {
        ("foreign_keys", "1"),
        ("foreign_keys", "on"),
        ("foreign_keys", "true"),
        ("foreign_keys", "yes"),
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("synchronous", "full"),
    }
)
"""Settings that scripts often make and every database has anyway."""


def is_allowed(name: str, value: str | None) -> bool:
    """Whether an actor may use this pragma; ``value`` is what it is set to, or its argument."""
    return (
        name in FREE
        or name in OF_THE_CONNECTION
        or (name in READ_ONLY and value is None)
        or (name, (value or "").lower()) in AS_IT_IS
    )


def is_lost_on_close(name: str, value: str | None) -> bool:
    """Whether this sets something that is not kept in the file (rule 2)."""
    return name in OF_THE_CONNECTION and value is not None and (name, value.lower()) not in AS_IT_IS
