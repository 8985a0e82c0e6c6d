"""The reminders of the examples: who rings when, for those who are there and those who are not."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from examples.reminders.app import Reminders, Rung, registry
from stator import ActorError
from stator.client import Handle
from stator.testing import TestingClient, running

DAY = 86400.0
BERLIN = ZoneInfo("Europe/Berlin")


def ann_of(client: TestingClient) -> Handle:
    return client.get_or_create(Reminders, ["ann"])


async def rung_of(ann: Handle) -> list[Rung]:
    return await ann.call(Reminders.get_rung)


async def test_who_is_there_hears_a_reminder_when_it_is_due() -> None:
    async with running(registry) as client, ann_of(client).connect() as conn:
        rings = conn.events(Reminders.rang)
        set_at = client.testing.now()
        await conn.call(Reminders.remind_in, "tea", 60)
        await client.testing.advance(60)
        rung = await anext(rings)

    assert rung.text == "tea"
    assert rung.due_at == pytest.approx(set_at + 60, abs=0.01)
    assert rung.rang_at == pytest.approx(rung.due_at, abs=0.01)


async def test_nothing_rings_early() -> None:
    async with running(registry) as client:
        await ann_of(client).call(Reminders.remind_in, "tea", 60)
        await client.testing.advance(59)

        assert await rung_of(ann_of(client)) == []


async def test_a_sleeping_actor_rings_in_time() -> None:
    async with running(registry) as client:
        ann = ann_of(client)
        await ann.call(Reminders.remind_in, "tea", 3600)
        await client.testing.advance(60)
        slept = not await client.testing.is_awake(ann)
        await client.testing.advance(3600)
        (rung,) = await rung_of(ann)

    assert slept
    assert rung.rang_at == pytest.approx(rung.due_at, abs=0.01)


async def test_a_reminder_rings_at_a_point_in_time() -> None:
    async with running(registry) as client:
        when = datetime.fromtimestamp(client.testing.now() + 90, timezone(timedelta(hours=5)))
        await ann_of(client).call(Reminders.remind_at, "tea", when)
        await client.testing.advance(90)
        (rung,) = await rung_of(ann_of(client))

    assert rung.due_at == pytest.approx(when.timestamp(), abs=0.001)


async def test_a_time_of_no_zone_is_refused() -> None:
    async with running(registry) as client:
        with pytest.raises(ActorError) as refused:
            await ann_of(client).remind_at("tea", "2099-01-01T00:00:00")

    assert refused.value.code == "validation_error"


async def test_what_was_cancelled_does_not_ring() -> None:
    async with running(registry) as client:
        ann = ann_of(client)
        tea = await ann.call(Reminders.remind_in, "tea", 60)
        await ann.call(Reminders.repeat, "standup", "Stand up", "* * * * *")

        answers = [await ann.call(Reminders.cancel, each) for each in (tea, "standup", tea)]
        await client.testing.advance(120)

        assert answers == [True, True, False]
        assert await rung_of(ann) == []


async def test_upcoming_reminders_are_told_in_order() -> None:
    async with running(registry) as client:
        ann = ann_of(client)
        await ann.call(Reminders.remind_in, "later", 500)
        await ann.call(Reminders.repeat_every, "stretch", "Stretch", 90)
        await ann.call(Reminders.remind_in, "sooner", 5)

        upcoming = await ann.call(Reminders.get_upcoming)

    assert [(each.text, each.every) for each in upcoming] == [
        ("sooner", None),
        ("Stretch", "90 s"),
        ("later", None),
    ]


async def test_a_repeating_reminder_keeps_to_the_clocks_of_its_zone() -> None:
    async with running(registry) as client:
        ann = ann_of(client)
        await ann.call(Reminders.repeat, "standup", "Stand up", "0 9 * * *", "Europe/Berlin")
        await client.testing.advance(3 * DAY)
        rung = [datetime.fromtimestamp(each.due_at, BERLIN) for each in await rung_of(ann)]

    assert [(each.hour, each.minute) for each in rung] == [(9, 0)] * 3


async def test_the_runs_of_a_repeating_reminder_are_kept() -> None:
    async with running(registry) as client:
        ann = ann_of(client)
        await ann.call(Reminders.repeat_every, "stretch", "Stretch", 90)
        await client.testing.advance(280)

        runs = await ann.call(Reminders.get_runs, "stretch")

    assert [run.result for run in runs] == ["ok", "ok", "ok"]
    assert runs[0].scheduled_at > runs[-1].scheduled_at


async def test_a_reminder_outlives_a_crash() -> None:
    async with running(registry) as client:
        ann = ann_of(client)
        await ann.call(Reminders.remind_in, "tea", 60)
        await client.testing.crash()
        await client.testing.advance(60)

        assert [each.text for each in await rung_of(ann)] == ["tea"]


async def test_only_schedules_ring() -> None:
    fire = {"kind": "at", "id": "x", "name": None, "scheduled_at": 0.0, "fired_at": 0.0}
    async with running(registry) as client:
        with pytest.raises(ActorError) as refused:
            await ann_of(client).ring("tea", fire)

    assert refused.value.code == "not_for_callers"


@pytest.mark.parametrize(
    ("cron", "zone", "code"),
    [("at nine", "UTC", "invalid_cron_expression"), ("0 9 * * *", "Atlantis", "invalid_timezone")],
)
async def test_what_cannot_be_kept_is_refused_with_a_reason(
    cron: str, zone: str, code: str
) -> None:
    async with running(registry) as client:
        with pytest.raises(ActorError) as refused:
            await ann_of(client).call(Reminders.repeat, "standup", "Stand up", cron, zone)

    assert (refused.value.group, refused.value.code) == ("schedule", code)
