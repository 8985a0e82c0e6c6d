-- The statements of the store by name: "-- name: what it is for".

-- find_by_key: the live actor of an identity; whether it has connections, schedules
SELECT a.pk, a.actor_id, a.namespace, a.name, a.key, a.created_ms, a.generation, a.started_ms,
       a.input, s.image, a.slept_ms,
       EXISTS (SELECT 1 FROM connections WHERE pk = a.pk),
       EXISTS (SELECT 1 FROM schedules WHERE pk = a.pk)
FROM actors a LEFT JOIN states s ON s.pk = a.pk
WHERE a.namespace = ? AND a.name = ? AND a.key = ? AND a.destroyed = 0;

-- find_by_id: the live actor of an id; whether it has connections, schedules
SELECT a.pk, a.actor_id, a.namespace, a.name, a.key, a.created_ms, a.generation, a.started_ms,
       a.input, s.image, a.slept_ms,
       EXISTS (SELECT 1 FROM connections WHERE pk = a.pk),
       EXISTS (SELECT 1 FROM schedules WHERE pk = a.pk)
FROM actors a LEFT JOIN states s ON s.pk = a.pk
WHERE a.actor_id = ? AND a.destroyed = 0;

-- find_connections: what is kept of an actor's connections
SELECT conn_id, opened, changing FROM connections WHERE pk = ? ORDER BY conn_id;

-- find_schedules: the pending schedules of an actor
SELECT is_recurring, id, due_ms, image FROM schedules WHERE pk = ?
ORDER BY due_ms, id, is_recurring;

-- find_due: live actors that have to be awake by then, one row for each reason
SELECT a.actor_id, w.due_ms
FROM alarms w CROSS JOIN actors a ON a.pk = w.pk
WHERE w.due_ms <= ? AND a.destroyed = 0
ORDER BY w.due_ms;

-- next_due: when a live actor has to be awake next; ORDER BY, as min() would read all of a view
SELECT w.due_ms
FROM alarms w CROSS JOIN actors a ON a.pk = w.pk
WHERE w.due_ms > ? AND a.destroyed = 0
ORDER BY w.due_ms LIMIT 1;

-- find_messages: the messages of an actor
SELECT id, name, body, created_ms FROM messages WHERE pk = ? ORDER BY id;

-- find_last_id: the greatest message id an actor ever used; always one row
SELECT max(coalesce((SELECT last_id FROM queues WHERE pk = ?1), 0),
           coalesce((SELECT max(id) FROM messages WHERE pk = ?1), 0));

-- find_run: an actor's workflow without its entries; always one row
SELECT r.status, r.due_ms, r.is_live, r.image
FROM (SELECT ? AS pk) AS wanted LEFT JOIN workflows r ON r.pk = wanted.pk;

-- find_entries: the entries of an actor's workflow
SELECT seq, image FROM workflow_entries WHERE pk = ? ORDER BY seq;

-- find_live: live actors whose workflow is under way
SELECT a.actor_id
FROM workflows r CROSS JOIN actors a ON a.pk = r.pk
WHERE r.is_live = 1 AND a.destroyed = 0
ORDER BY r.pk;

-- list_fires: the history of a recurring schedule, newest first
SELECT scheduled_ms, fired_ms, finished_ms, action, result, error
FROM schedule_history WHERE pk = ? AND name = ?
ORDER BY scheduled_ms DESC LIMIT ?;

-- get_pair: one value
SELECT value FROM pairs WHERE pk = ? AND key = ?;

-- get_pairs: the values of some keys, which are a JSON array of hexadecimal text
SELECT key, value FROM pairs WHERE pk = ? AND key IN (SELECT unhex(value) FROM json_each(?));

-- list_pairs: a range of pairs; without an end it goes up to the next actor
SELECT key, is_text, value FROM pairs
WHERE (pk, key) >= (:pk, :start) AND (pk, key) < (:pk + (:end IS NULL), ifnull(:end, x''))
ORDER BY pk, key LIMIT :limit;

-- list_pairs_reversed: the same from its end
SELECT key, is_text, value FROM pairs
WHERE (pk, key) >= (:pk, :start) AND (pk, key) < (:pk + (:end IS NULL), ifnull(:end, x''))
ORDER BY pk DESC, key DESC LIMIT :limit;

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

-- delete_destroyed: what a crash left of destroyed actors; their ids
DELETE FROM actors WHERE destroyed = 1 RETURNING actor_id;

-- find_absent: those of some ids, which are a JSON array, that no actor has
SELECT value FROM json_each(?) WHERE value NOT IN (SELECT actor_id FROM actors);

-- insert_connection: keep a connection, whatever was kept of it before
INSERT INTO connections (pk, conn_id, opened, changing) VALUES (?, ?, ?, ?)
ON CONFLICT (pk, conn_id) DO UPDATE SET opened = excluded.opened, changing = excluded.changing;

-- update_connection: what changes of a connection
UPDATE connections SET changing = ? WHERE pk = ? AND conn_id = ?;

-- delete_connection: no longer keep a connection
DELETE FROM connections WHERE pk = ? AND conn_id = ?;

-- delete_messages: some messages, which are a JSON array of [pk, id]; one statement for any number
DELETE FROM messages
WHERE (pk, id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?));

-- put_schedule: keep a schedule, whatever was kept under its id before
INSERT INTO schedules (pk, is_recurring, id, due_ms, image) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (pk, is_recurring, id) DO UPDATE SET due_ms = excluded.due_ms, image = excluded.image;

-- delete_schedule: no longer keep a schedule; its history goes by foreign key
DELETE FROM schedules WHERE pk = ? AND is_recurring = ? AND id = ?;

-- put_fire: a line of the history of a recurring schedule, unless that was deleted meanwhile
INSERT INTO schedule_history
    (pk, name, scheduled_ms, fired_ms, finished_ms, action, result, error)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
WHERE EXISTS (SELECT 1 FROM schedules WHERE pk = ?1 AND is_recurring = 1 AND id = ?2)
ON CONFLICT (pk, name, scheduled_ms) DO UPDATE SET
    fired_ms = excluded.fired_ms, finished_ms = excluded.finished_ms, action = excluded.action,
    result = excluded.result, error = excluded.error;

-- interrupt_fires: end what was running when its process died
UPDATE schedule_history SET result = 'error', finished_ms = ?, error = ?
WHERE pk = ? AND result = 'running';

-- prune_fires: keep the newest lines of one schedule
DELETE FROM schedule_history
WHERE pk = ?1 AND name = ?2 AND scheduled_ms <= (
    SELECT scheduled_ms FROM schedule_history WHERE pk = ?1 AND name = ?2
    ORDER BY scheduled_ms DESC LIMIT 1 OFFSET ?3
);

-- prune_all_fires: keep the newest lines of an actor
DELETE FROM schedule_history
WHERE pk = ?1 AND (scheduled_ms, name) <= (
    SELECT scheduled_ms, name FROM schedule_history WHERE pk = ?1
    ORDER BY scheduled_ms DESC, name DESC LIMIT 1 OFFSET ?2
);

-- put_pair: a key-value pair, whatever its key had before
INSERT INTO pairs (pk, key, is_text, value) VALUES (?, ?, ?, ?)
ON CONFLICT (pk, key) DO UPDATE SET is_text = excluded.is_text, value = excluded.value;

-- delete_pair: one pair
DELETE FROM pairs WHERE pk = ? AND key = ?;

-- delete_pairs: a range of pairs; without an end it goes up to the next actor
DELETE FROM pairs
WHERE (pk, key) >= (?1, ?2) AND (pk, key) < (?1 + (?3 IS NULL), ifnull(?3, x''));

-- put_run: how far an actor's workflow is, whatever was kept of it before
INSERT INTO workflows (pk, status, due_ms, is_live, image) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (pk) DO UPDATE SET
    status = excluded.status, due_ms = excluded.due_ms, is_live = excluded.is_live,
    image = excluded.image;

-- delete_entries: some entries, which are a JSON array of [pk, seq], as for messages
DELETE FROM workflow_entries
WHERE (pk, seq) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?));

-- insert_namespace: a new namespace
INSERT INTO namespaces (name, created_ms) VALUES (?, ?) ON CONFLICT (name) DO NOTHING;

-- read_shard: which shard this file is
SELECT number, shards FROM shard;

-- insert_shard: say which shard this file is
INSERT INTO shard (number, shards) VALUES (?, ?);
