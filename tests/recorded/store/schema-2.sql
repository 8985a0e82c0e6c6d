-- A shard file of schema 2, as `.dump` writes it: two actors that were started or not, one that
-- slept and keeps connections, one of another namespace with an empty state, one whose destruction
-- a crash interrupted.
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
INSERT INTO connections VALUES(1,'conn-b',X'',X'00');
INSERT INTO connections VALUES(4,'conn-c',X'6F',X'63');

CREATE TABLE namespaces (
    name       TEXT PRIMARY KEY,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO namespaces VALUES('default',1000);
INSERT INTO namespaces VALUES('staging',2000);

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

PRAGMA user_version = 2;

COMMIT TRANSACTION;
