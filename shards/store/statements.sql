-- The statements of the store by name: "-- name: what it is for".

-- find_by_key: the live actor of an identity, with input and state
SELECT a.pk, a.actor_id, a.namespace, a.name, a.key, a.created_ms, a.generation, a.started_ms,
       a.input, s.image, a.slept_ms
FROM actors a LEFT JOIN states s ON s.pk = a.pk
WHERE a.namespace = ? AND a.name = ? AND a.key = ? AND a.destroyed = 0;

-- find_by_id: the live actor of an id, with input and state
SELECT a.pk, a.actor_id, a.namespace, a.name, a.key, a.created_ms, a.generation, a.started_ms,
       a.input, s.image, a.slept_ms
FROM actors a LEFT JOIN states s ON s.pk = a.pk
WHERE a.actor_id = ? AND a.destroyed = 0;

-- find_connections: what is kept of an actor's connections
SELECT conn_id, opened, changing FROM connections WHERE pk = ? ORDER BY conn_id;

-- list_actors: live actors of a namespace, newest first, without input and state
SELECT pk, actor_id, namespace, name, key, created_ms, generation, started_ms, NULL, NULL,
       slept_ms
FROM actors
WHERE namespace = :namespace AND destroyed = 0
  AND (:name IS NULL OR name = :name)
  AND (:before_ms IS NULL OR created_ms < :before_ms)
ORDER BY created_ms DESC, pk DESC
LIMIT :limit;

-- list_names: the distinct names of live actors of a namespace
SELECT DISTINCT name FROM actors WHERE namespace = ? AND destroyed = 0;

-- list_namespaces: all namespaces
SELECT name, created_ms FROM namespaces ORDER BY name;

-- next_pk: the smallest number never used
SELECT coalesce(max(pk), 0) + 1 FROM actors;

-- insert_actor: a new actor
INSERT INTO actors (pk, actor_id, namespace, name, key, created_ms, input)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- record_start: a generation began
UPDATE actors SET generation = ?, started_ms = ? WHERE pk = ?;

-- record_sleep: the actor went to sleep
UPDATE actors SET slept_ms = ? WHERE pk = ?;

-- mark_destroyed: the actor no longer exists for anyone
UPDATE actors SET destroyed = 1 WHERE pk = ?;

-- delete_actor: the actor's rows; what it owns goes by foreign key
DELETE FROM actors WHERE pk = ?;

-- delete_destroyed: what a crash left of destroyed actors
DELETE FROM actors WHERE destroyed = 1;

-- insert_connection: keep a connection, whatever was kept of it before
INSERT INTO connections (pk, conn_id, opened, changing) VALUES (?, ?, ?, ?)
ON CONFLICT (pk, conn_id) DO UPDATE SET opened = excluded.opened, changing = excluded.changing;

-- update_connection: what changes of a connection
UPDATE connections SET changing = ? WHERE pk = ? AND conn_id = ?;

-- delete_connection: no longer keep a connection
DELETE FROM connections WHERE pk = ? AND conn_id = ?;

-- insert_namespace: a new namespace
INSERT INTO namespaces (name, created_ms) VALUES (?, ?) ON CONFLICT (name) DO NOTHING;

-- read_shard: which shard this file is
SELECT number, shards FROM shard;

-- insert_shard: say which shard this file is
INSERT INTO shard (number, shards) VALUES (?, ?);
