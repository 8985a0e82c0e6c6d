"""When recurring schedules are due: ``runtime/cadence.py``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stator.runtime.cadence import (
    CronCadence,
    EveryCadence,
    check_history_limit,
    check_max_history,
    check_name,
    delay_to_ms,
    instant_to_ms,
    make_cron,
    make_every,
)
from stator.runtime.errors import ActorError
from stator.runtime.schedule_errors import (
    InvalidCronExpression,
    InvalidInterval,
    InvalidMaxHistory,
    InvalidScheduleName,
    InvalidScheduleTime,
    InvalidTimezone,
)

NOW_MS = 1_800_000_000_000


def ms(text: str) -> int:
    """Return an instant in milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def times(expression: str, zone: str, after: str, count: int) -> list[str]:
    """Return the first local times of an expression after an instant."""
    cadence = CronCadence(expression, zone)
    found: list[str] = []
    instant: int | None = ms(after)
    for _ in range(count):
        assert instant is not None
        instant = cadence.next_after(instant)
        assert instant is not None
        local = datetime.fromtimestamp(instant / 1000, ZoneInfo(zone))
        found.append(local.isoformat(timespec="minutes"))
    return found


# -- cron: which times


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("* * * * *", "2026-03-01T10:00:00.000Z", "2026-03-01T10:01:00Z"),
        ("* * * * *", "2026-03-01T10:00:59.999Z", "2026-03-01T10:01:00Z"),
        ("* * * * *", "2026-03-01T09:59:59.999Z", "2026-03-01T10:00:00Z"),
        ("*/15 * * * *", "2026-03-01T10:01:00Z", "2026-03-01T10:15:00Z"),
        ("0 9 * * 1-5", "2026-03-06T09:00:00Z", "2026-03-09T09:00:00Z"),
        ("0 9 * * mon-fri", "2026-03-06T09:00:00Z", "2026-03-09T09:00:00Z"),
        ("0 0 1 * *", "2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z"),
        ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("59 23 31 12 *", "2026-06-01T00:00:00Z", "2026-12-31T23:59:00Z"),
        ("0 0 * * 0", "2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("0 0 * * 7", "2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("0 0 13 * fri", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z"),
        ("0 12 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T12:00:00Z"),
        ("0 12 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T12:00:00Z"),
        ("0 0 L * *", "2026-02-01T00:00:00Z", "2026-02-28T00:00:00Z"),
    ],
)
def test_a_cron_expression_gives_the_first_time_after_an_instant(
    expression: str, after: str, expected: str
) -> None:
    assert CronCadence(expression, "UTC").next_after(ms(after)) == ms(expected)


def test_a_time_before_1970_is_a_time() -> None:
    assert CronCadence("0 0 1 1 *", "UTC").next_after(ms("1969-06-01T00:00:00Z")) == 0


def test_a_time_zone_says_whose_clock_is_meant() -> None:
    assert times("30 6 * * *", "Asia/Kolkata", "2026-07-01T00:00:00Z", 2) == [
        "2026-07-01T06:30+05:30",
        "2026-07-02T06:30+05:30",
    ]


# -- cron: clocks put forward


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-03-28T00:00:00Z",
            ["2026-03-28T02:30+01:00", "2026-03-30T02:30+02:00"],
        ),
        (
            "America/New_York",
            "15 2 * * *",
            "2026-03-07T00:00:00Z",
            ["2026-03-07T02:15-05:00", "2026-03-09T02:15-04:00"],
        ),
        (
            "Australia/Lord_Howe",  # puts its clocks forward by half an hour, at 2:00
            "*/15 1-2 * * *",
            "2026-10-03T14:59:00Z",
            ["2026-10-04T01:30+10:30", "2026-10-04T01:45+10:30", "2026-10-04T02:30+11:00"],
        ),
        (
            "Pacific/Apia",  # left out a whole day
            "0 12 30 12 *",
            "2010-12-31T00:00:00Z",
            ["2012-12-30T12:00+14:00"],
        ),
    ],
)
def test_a_local_time_that_does_not_exist_is_skipped(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    assert times(expression, zone, after, len(expected)) == expected


def test_minutes_go_on_after_the_skipped_hour() -> None:
    assert times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:15:00Z", 3) == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
    ]


# -- cron: clocks put back


@pytest.mark.parametrize(
    ("zone", "expression", "after", "expected"),
    [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"],
        ),
        (
            "America/New_York",
            "0,30 1 * * *",
            "2026-10-31T12:00:00Z",
            ["2026-11-01T01:00-04:00", "2026-11-01T01:30-04:00", "2026-11-02T01:00-05:00"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-04T00:00:00Z",
            ["2026-04-05T01:45+11:00", "2026-04-06T01:45+10:30"],
        ),
        (
            "Europe/Berlin",
            "*/30 * * * *",
            "2026-10-25T00:15:00Z",
            ["2026-10-25T02:30+02:00", "2026-10-25T03:00+01:00"],
        ),
    ],
)
def test_a_local_time_that_comes_twice_occurs_at_the_first(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    assert times(expression, zone, after, len(expected)) == expected


def test_the_second_showing_of_an_hour_is_not_before_what_comes_next() -> None:
    within_the_second_showing = "2026-10-25T01:10:00Z"  # 2:10 in Berlin, again
    assert times("15 2 * * *", "Europe/Berlin", within_the_second_showing, 1) == [
        "2026-10-26T02:15+01:00"
    ]


# -- cron: what is refused


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "*",
        "* * * *",
        "* * * * * *",
        "0 * * * * *",
        "@daily",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "-1 * * * *",
        "a * * * *",
        "1,,2 * * * *",
        "1/2/3 * * * *",
        "9" * 5000 + " * * * *",
        "0," * 200 + "0 * * * *",
        "0 0 30 2 *",
        "0 0 31 2,4,6,9,11 *",
        None,
        5,
    ],
)
def test_what_is_no_expression_of_five_fields_or_never_matches_is_refused(
    expression: object,
) -> None:
    with pytest.raises(InvalidCronExpression):
        make_cron(expression, "UTC", NOW_MS)


def test_an_expression_whose_every_time_is_skipped_by_the_clock_never_matches() -> None:
    last_sunday_of_march = "30 2 * 3 7L"
    with pytest.raises(InvalidCronExpression, match="never matches"):
        make_cron(last_sunday_of_march, "Europe/Berlin", NOW_MS)


@pytest.mark.parametrize(
    "zone",
    ["", "Nowhere", "Europe", "europe berlin", "../etc/passwd", "/etc/localtime", "a\0b", None, 1],
)
def test_what_is_no_zone_of_the_database_is_refused(zone: object) -> None:
    with pytest.raises(InvalidTimezone):
        make_cron("* * * * *", zone, NOW_MS)


@given(st.text(alphabet="0123456789*/-,LW#? JANMOFRI\t\n²ß\u0131", max_size=40))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        cadence = make_cron(text, "Europe/Berlin", NOW_MS)
    except InvalidCronExpression:
        return
    following = cadence.next_after(NOW_MS)
    assert following is not None
    assert following > NOW_MS


# -- cron: what holds always

_minutes = st.sampled_from(["*", "0", "30", "15,45", "*/7", "5-10"])
_hours = st.sampled_from(["*", "0", "2", "1-3", "*/5", "23"])
_days = st.sampled_from(["*", "1", "28-31", "29", "*/10", "L"])
_months = st.sampled_from(["*", "3", "10,11", "2", "*/4"])
_weekdays = st.sampled_from(["*", "0", "1-5", "7", "MON#5", "5L"])
_zones = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "America/Sao_Paulo",
    ]
)
_instants = st.integers(ms("1990-01-01T00:00:00Z"), ms("2080-01-01T00:00:00Z"))
_expressions = st.builds(" ".join, st.tuples(_minutes, _hours, _days, _months, _weekdays))


@given(_expressions, _zones, _instants)
def test_the_next_time_is_later_and_has_whole_minutes_on_the_wall(
    expression: str, zone: str, instant: int
) -> None:
    following = CronCadence(expression, zone).next_after(instant)
    assume(following is not None)
    assert following is not None
    assert following > instant
    local = datetime.fromtimestamp(following / 1000, ZoneInfo(zone))
    assert (local.second, local.microsecond, local.fold) == (0, 0, 0)


@given(_expressions, _zones, _instants, st.integers(0, 10**9))
def test_no_time_is_passed_over(expression: str, zone: str, instant: int, later: int) -> None:
    cadence = CronCadence(expression, zone)
    following = cadence.next_after(instant)
    assume(following is not None)
    assert following is not None
    between = min(instant + later, following - 1)
    assert cadence.next_after(between) == following


_near_a_change = st.tuples(
    st.sampled_from(
        [
            ("Europe/Berlin", ms("2026-03-28T20:00:00Z")),
            ("Europe/Berlin", ms("2026-10-24T20:00:00Z")),
            ("America/New_York", ms("2026-03-07T22:00:00Z")),
            ("America/New_York", ms("2026-10-31T22:00:00Z")),
            ("Australia/Lord_Howe", ms("2026-04-04T10:00:00Z")),
            ("Australia/Lord_Howe", ms("2026-10-03T10:00:00Z")),
        ]
    ),
    st.integers(0, 10 * 3_600_000),
)


@given(
    st.sets(st.integers(0, 59), min_size=1, max_size=5),
    st.sets(st.integers(0, 23), min_size=6),
    _near_a_change,
)
def test_the_next_time_is_the_one_found_by_walking_through_all_minutes(
    minutes: set[int], hours: set[int], place: tuple[tuple[str, int], int]
) -> None:
    (zone, change), offset = place
    expression = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    following = CronCadence(expression, zone).next_after(change + offset)
    minute = (change + offset) // 60_000 + 1
    while True:
        local = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
        if local.fold == 0 and local.minute in minutes and local.hour in hours:
            break
        minute += 1
    assert following == minute * 60_000


# -- cron: the same again


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (CronCadence("0 9 * * *", "UTC"), CronCadence(" 0  9 * * *", "UTC"), True),
        (CronCadence("0 9 * * *", "UTC"), CronCadence("0 10 * * *", "UTC"), False),
        (CronCadence("0 9 * * *", "UTC"), CronCadence("0 9 * * *", "Europe/Berlin"), False),
        (CronCadence("0 9 * * *", "UTC"), EveryCadence(5000, 0), False),
        (EveryCadence(5000, 0), CronCadence("0 9 * * *", "UTC"), False),
        (EveryCadence(5000, 0), EveryCadence(5000, 77), True),
        (EveryCadence(5000, 0), EveryCadence(5001, 0), False),
    ],
)
def test_cadences_are_the_same_by_what_was_asked_for(
    one: CronCadence | EveryCadence, other: CronCadence | EveryCadence, same: bool
) -> None:
    assert one.is_same(other) is same


# -- every


@pytest.mark.parametrize(
    ("instant", "expected"),
    [(0, 16_000), (1_000, 16_000), (15_999, 16_000), (16_000, 31_000), (95_500, 106_000)],
)
def test_an_interval_is_a_grid_from_its_anchor(instant: int, expected: int) -> None:
    assert EveryCadence(15_000, anchor_ms=1_000).next_after(instant) == expected


@given(
    st.integers(5_000, 10**10), st.integers(0, 10**13), st.integers(0, 10**13), st.integers(0, 10)
)
def test_the_next_of_a_grid_is_the_smallest_in_the_future(
    interval: int, anchor: int, instant: int, runs: int
) -> None:
    cadence = EveryCadence(interval, anchor)
    following = cadence.next_after(instant)
    for _ in range(runs):
        following = cadence.next_after(following)
    assert (following - anchor) % interval == 0
    assert following > anchor
    first = cadence.next_after(instant)
    assert first > instant
    assert first - interval <= max(instant, anchor)


@pytest.mark.parametrize(
    "interval",
    [0, -5, 4.999, float("nan"), float("inf"), 10**400, timedelta(seconds=4), "10", True, None],
)
def test_an_interval_under_five_seconds_is_refused(interval: object) -> None:
    with pytest.raises(InvalidInterval):
        make_every(interval, NOW_MS)


@pytest.mark.parametrize("interval", [5, 5.0, timedelta(seconds=5)])
def test_an_interval_is_seconds_or_a_timedelta(interval: object) -> None:
    assert make_every(interval, NOW_MS) == EveryCadence(5_000, NOW_MS)


# -- names, lines and times


@pytest.mark.parametrize("name", ["", "a" * 129, "ä" * 65, "\ud800", 5, None])
def test_a_name_that_is_empty_too_long_or_no_text_is_refused(name: object) -> None:
    with pytest.raises(InvalidScheduleName):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "a" * 128, "ä" * 64])
def test_a_name_has_up_to_128_bytes(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("lines", [-1, 1001, 1.5, True, "5", None])
def test_a_history_of_other_than_0_to_1000_lines_is_refused(lines: object) -> None:
    with pytest.raises(InvalidMaxHistory):
        check_max_history(lines)


@pytest.mark.parametrize("limit", [0, 1001])
def test_other_than_1_to_1000_lines_cannot_be_read(limit: int) -> None:
    with pytest.raises(InvalidMaxHistory):
        check_history_limit(limit)


@pytest.mark.parametrize(
    "when",
    [
        datetime(2026, 1, 1),
        timedelta(seconds=1),
        float("nan"),
        float("inf"),
        1e300,
        True,
        "now",
        None,
    ],
)
def test_what_is_no_point_in_time_is_refused(when: object) -> None:
    with pytest.raises(InvalidScheduleTime):
        instant_to_ms(when)


@pytest.mark.parametrize(
    "when",
    [1_800_000_000, 1_800_000_000.0, datetime.fromtimestamp(1_800_000_000, UTC)],
)
def test_a_point_in_time_is_unix_seconds_or_an_aware_datetime(when: object) -> None:
    assert instant_to_ms(when) == NOW_MS


@pytest.mark.parametrize("delay", [1.5, timedelta(milliseconds=1500)])
def test_a_delay_is_seconds_or_a_timedelta(delay: object) -> None:
    assert delay_to_ms(delay) == 1_500


def test_every_refusal_is_told_to_the_caller_whole() -> None:
    with pytest.raises(ActorError) as caught:
        make_every(1, NOW_MS)
    assert (caught.value.group, caught.value.code, caught.value.status) == (
        "schedule",
        "invalid_interval",
        400,
    )
