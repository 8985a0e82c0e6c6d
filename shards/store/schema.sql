-- The schema of a shard file. user_version names the last step applied; steps only ever follow.

-- step 1: actors, their states, namespaces

-- Identity and life of each actor. The state is kept apart, so that the row that changes with
-- every action is small and no index is touched by it.
CREATE TABLE actors (
    pk           INTEGER PRIMARY KEY,
    actor_id     TEXT NOT NULL UNIQUE,
    namespace    TEXT NOT NULL,
    name         TEXT NOT NULL,
    key          TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    generation   INTEGER NOT NULL DEFAULT 0,
    started_ms   INTEGER,
    destroyed    INTEGER NOT NULL DEFAULT 0,
    input        BLOB
) STRICT;

-- One live actor per identity; one that is being destroyed no longer counts.
CREATE UNIQUE INDEX actors_by_identity ON actors (namespace, name, key) WHERE destroyed = 0;

-- The state image (runtime/state_codec.py). A row exists once the first start was completed.
CREATE TABLE states (
    pk    INTEGER PRIMARY KEY REFERENCES actors (pk) ON DELETE CASCADE,
    image BLOB NOT NULL
) STRICT;

-- Namespaces of the whole service; used in shard 0 only.
CREATE TABLE namespaces (
    name       TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which shard of how many this file is, so that a misplaced file is refused.
CREATE TABLE shard (
    number INTEGER NOT NULL,
    shards INTEGER NOT NULL
) STRICT;

-- step 2: connections that outlive their actor's sleep; when an actor went to sleep

-- Written once when a connection opens, and its second image whenever that changes. In the order
-- of the key, so that all connections of an actor lie together and no index is kept beside them.
CREATE TABLE connections (
    pk       INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    conn_id  TEXT,
    opened   BLOB NOT NULL,
    changing BLOB NOT NULL,
    PRIMARY KEY (pk, conn_id)
) STRICT, WITHOUT ROWID;

-- NULL: it never slept.
ALTER TABLE actors ADD COLUMN slept_ms INTEGER;
