-- A shard file of schema 3, as `.dump` writes it: one actor that keeps a connection, a message,
-- schedules with a history and pairs; one that was never started and whose messages are all gone;
-- one of another namespace with messages of two queues; one whose destruction a crash interrupted.
-- Never change a line: files like this lie on disks.

BEGIN TRANSACTION;

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
, slept_ms INTEGER) STRICT;
INSERT INTO actors VALUES(1,'id-1','default','counter','/a',1001,3,5000,0,X'A1616101',6000);
INSERT INTO actors VALUES(2,'id-2','default','counter','/b',1002,0,NULL,0,NULL,NULL);
INSERT INTO actors VALUES(3,'id-3','staging','chat','/c',1003,1,7000,0,NULL,NULL);
INSERT INTO actors VALUES(4,'id-4','default','counter','/gone',1004,0,NULL,1,NULL,NULL);
CREATE UNIQUE INDEX actors_by_identity ON actors (namespace, name, key) WHERE destroyed = 0;

CREATE TABLE connections (
    pk       INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    conn_id  TEXT,
    opened   BLOB NOT NULL,
    changing BLOB NOT NULL,
    PRIMARY KEY (pk, conn_id)
) STRICT, WITHOUT ROWID;
INSERT INTO connections VALUES(1,'conn-a',X'6F70656E65642061',X'6368616E67696E672061');

CREATE TABLE messages (
    pk         INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    id         INTEGER,
    name       TEXT NOT NULL,
    body       BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (pk, id)
) STRICT;
INSERT INTO messages VALUES(3,2,'jobs',X'626F64792032',8002);
INSERT INTO messages VALUES(1,5,'jobs',X'626F64792035',8005);
INSERT INTO messages VALUES(3,3,'other',X'',8003);
INSERT INTO messages VALUES(4,1,'jobs',X'78',8004);

CREATE TABLE namespaces (
    name       TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO namespaces VALUES('default',1000);
INSERT INTO namespaces VALUES('staging',2000);

CREATE TABLE pairs (
    pk      INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    key     BLOB,
    is_text INTEGER NOT NULL,
    value   ANY NOT NULL,
    PRIMARY KEY (pk, key)
) STRICT;
INSERT INTO pairs VALUES(1,X'61',1,'text');
INSERT INTO pairs VALUES(1,X'62FF',0,X'0001');
INSERT INTO pairs VALUES(4,X'61',1,'gone');

CREATE TABLE queues (
    pk      INTEGER PRIMARY KEY REFERENCES actors (pk) ON DELETE CASCADE,
    last_id INTEGER NOT NULL
) STRICT;
INSERT INTO queues VALUES(1,4);
INSERT INTO queues VALUES(2,9);

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
INSERT INTO schedule_history VALUES(1,'tick',7000,1,7001,7005,'beat','ok',NULL);
INSERT INTO schedule_history VALUES(1,'tick',8000,1,8001,NULL,'beat','running',NULL);
INSERT INTO schedule_history VALUES(3,'daily',7500,1,7501,7502,'clean','error',X'6661756C74');

CREATE TABLE schedules (
    pk           INTEGER REFERENCES actors (pk) ON DELETE CASCADE,
    is_recurring INTEGER,
    id           TEXT,
    due_ms       INTEGER NOT NULL,
    image        BLOB NOT NULL,
    PRIMARY KEY (pk, is_recurring, id)
) STRICT, WITHOUT ROWID;
INSERT INTO schedules VALUES(1,0,'7c1e',9500,X'6F6E6365');
INSERT INTO schedules VALUES(1,1,'tick',9000,X'6576657279');
INSERT INTO schedules VALUES(3,1,'daily',9900,X'63726F6E');
INSERT INTO schedules VALUES(4,0,'gone',1,X'78');
CREATE INDEX schedules_by_due ON schedules (due_ms);

CREATE TABLE shard (
    number INTEGER NOT NULL,
    shards INTEGER NOT NULL
) STRICT;
INSERT INTO shard VALUES(0,1);

CREATE TABLE states (
    pk    INTEGER PRIMARY KEY REFERENCES actors (pk) ON DELETE CASCADE,
    image BLOB NOT NULL
) STRICT;
INSERT INTO states VALUES(1,X'696D616765206F662031');
INSERT INTO states VALUES(3,X'');
INSERT INTO states VALUES(4,X'78');

CREATE VIEW alarms (pk, due_ms) AS
SELECT pk, due_ms FROM schedules;

pragma user_version=3;

COMMIT TRANSACTION;
