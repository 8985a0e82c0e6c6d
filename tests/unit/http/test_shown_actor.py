"""Actors as the control API shows them: statuses are read from instants (semantics page, 2.12)."""

from __future__ import annotations

from stator.http.control_requests import shown_actor
from stator.runtime.link.frames import ActorRecord

MEMBERS = {
    "actor_id",
    "name",
    "key",
    "namespace_id",
    "datacenter",
    "runner_name_selector",
    "crash_policy",
    "create_ts",
    "start_ts",
    "pending_allocation_ts",
    "connectable_ts",
    "sleep_ts",
    "reschedule_ts",
    "destroy_ts",
}


def test_an_actor_that_never_started_has_instants_but_no_error() -> None:
    shown = shown_actor(ActorRecord("id", "default", "room", "a/b", 5))
    assert shown.keys() == MEMBERS
    assert shown["create_ts"] == 5
    assert not any(shown[name] for name in MEMBERS if name.endswith("_ts") and name != "create_ts")


def test_each_instant_has_its_member() -> None:
    record = ActorRecord(
        "id",
        "default",
        "room",
        "",
        1,
        started_ms=2,
        slept_ms=3,
        connectable_ms=4,
        reschedule_ms=5,
    )
    shown = shown_actor(record)
    names = ("create_ts", "start_ts", "sleep_ts", "connectable_ts", "reschedule_ts")
    assert [shown[name] for name in names] == [1, 2, 3, 4, 5]


def test_a_failed_start_is_an_error() -> None:
    error = {"crashed": {"message": "An internal error occurred"}}
    shown = shown_actor(ActorRecord("id", "default", "room", "", 1, error=error))
    assert shown.keys() == MEMBERS | {"error"}
    assert shown["error"] == error
