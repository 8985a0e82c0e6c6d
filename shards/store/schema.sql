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

-- step 3: queues, schedules and their history, key-value pairs

-- In the order of arrival, of all actors together: the messages of a commit share a page or two
-- and only the small index is written to all over. In the order of the key a growing queue costs
-- more than twice as much, and five times with bodies of 2 KiB (docs/storage.md).
CREATE TABLE messages (
    pk         INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    id         INTEGER,
    name       TEXT NOT NULL,
    body       BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (pk, id)
) STRICT;

-- The greatest message id an actor ever used. Written only when the message that has it goes:
-- until then the message itself says so, and a message that is added costs one row.
CREATE TABLE queues (
    pk      INTEGER PRIMARY KEY REFERENCES actors (pk) ON DELETE CASCADE,
    last_id INTEGER NOT NULL
) STRICT;

-- Names of recurring schedules and ids of others do not meet: is_recurring is part of the key.
CREATE TABLE schedules (
    pk           INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    is_recurring INTEGER,
    id           TEXT,
    due_ms       INTEGER NOT NULL,
    image        BLOB NOT NULL,
    PRIMARY KEY (pk, is_recurring, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedules_by_due ON schedules (due_ms);

-- What became of the runs of a recurring schedule; goes with it, hence is_recurring.
CREATE TABLE schedule_history (
    pk           INTEGER,
    name         TEXT,
    scheduled_ms INTEGER,
    is_recurring INTEGER NOT NULL DEFAULT 1 CHECK (is_recurring = 1),
    fired_ms     INTEGER NOT NULL,
    finished_ms  INTEGER,
    action       TEXT NOT NULL,
    result       TEXT NOT NULL,
    error        BLOB,
    PRIMARY KEY (pk, name, scheduled_ms),
    FOREIGN KEY (pk, is_recurring, name) REFERENCES schedules (pk, is_recurring, id)
        ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- By the bytes of their keys; values may be large and lie apart, for the same reason as messages.
-- ANY: text comes back as text and bytes as bytes.
CREATE TABLE pairs (
    pk      INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    key     BLOB,
    is_text INTEGER NOT NULL,
    value   ANY NOT NULL,
    PRIMARY KEY (pk, key)
) STRICT;

-- When actors have to be awake. One SELECT for each table with an instant and an index on it; a
-- step that adds another makes the view again, with UNION ALL.
CREATE VIEW alarms (pk, due_ms) AS
SELECT pk, due_ms FROM schedules;

-- step 4: workflows

-- How far an actor's workflow is. The image is of the run, without its entries.
CREATE TABLE workflows (
    pk      INTEGER PRIMARY KEY REFERENCES actors (pk) ON DELETE CASCADE,
    status  TEXT NOT NULL,
    due_ms  INTEGER,
    is_live INTEGER NOT NULL,
    image   BLOB NOT NULL
) STRICT;

CREATE INDEX workflows_by_due ON workflows (due_ms) WHERE due_ms IS NOT NULL;

-- Those that a crash interrupts: few, and looked for when the shard is opened.
CREATE INDEX workflows_live ON workflows (pk) WHERE is_live = 1;

-- In the order of the key, unlike messages: of an actor an entry changes when the next one comes,
-- and they are all read when its workflow is replayed (docs/storage.md).
CREATE TABLE workflow_entries (
    pk    INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    seq   INTEGER,
    image BLOB NOT NULL,
    PRIMARY KEY (pk, seq)
) STRICT, WITHOUT ROWID;

DROP VIEW alarms;
CREATE VIEW alarms (pk, due_ms) AS
SELECT pk, due_ms FROM schedules
UNION ALL
SELECT pk, due_ms FROM workflows;
