"""The day ahead of many schedules, minute by minute, is what their rules name one by one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from timeball.ids import id_text, new_task_id
from timeball.model.schedule import Schedule, Share
from timeball.model.task import Request
from timeball.timing.agenda import first_at, preview, rule_of
from timeball.timing.load import DAY, Load

BEGIN = datetime(2027, 3, 27, 12, 0, 30, tzinfo=UTC)
"""The day before clocks are put forward in Europe."""


def schedule(**fields: Any) -> Schedule:
    made = Schedule(
        id=id_text(new_task_id()),
        project="p",
        created_at=BEGIN,
        request=Request("http://h/"),
        **fields,
    )
    rule = rule_of(made)
    return Schedule(
        **{
            **{name: getattr(made, name) for name in Schedule.__slots__},
            "next_at": first_at(made, rule, BEGIN),
            "last": rule.last,
        }
    )


def plainly(one: Schedule) -> Counter[int]:
    """The same by a walk over all instants."""
    found: Counter[int] = Counter()
    shown = preview(one, rule_of(one), one.next_at, 6000).instants
    for instant, due_at in shown:
        if instant.utc < BEGIN + DAY:
            found[due_at.hour * 60 + due_at.minute] += 1
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {"cron": "0 9 * * *"},
        {"cron": "*/30 * * * * *"},
        {"cron": "30 2 * * *", "timezone": "Europe/Amsterdam"},
        {"cron": "@every 7m"},
        {"cron": "0 * * * *", "window": timedelta(minutes=30)},
        {"cron": "*/10 * * * *", "window": Share(50)},
        {"cron": "*/10 * * * *", "end_at": BEGIN + timedelta(hours=3)},
        {"cron": "*/10 * * * *", "start_at": BEGIN + timedelta(hours=3)},
        {"rrule": "FREQ=MINUTELY;INTERVAL=3", "dtstart": BEGIN - timedelta(days=9)},
        {"rrule": "FREQ=DAILY;COUNT=1"},
        {"rrule": "FREQ=YEARLY", "dtstart": BEGIN + timedelta(days=90)},
    ],
)
def test_each_rule_is_counted_where_it_falls(fields: dict[str, Any]) -> None:
    one, load = schedule(**fields), Load(BEGIN)
    load.add(one)
    assert load.calls == plainly(one)


def test_many_with_one_text_count_as_many() -> None:
    load = Load(BEGIN)
    for _ in range(50):
        load.add_cron("0 9,13 * * *", "UTC")
    load.add(schedule(cron="0 9 * * *", paused=True))
    load.add_none()
    assert load.calls == {9 * 60: 50, 13 * 60: 50}
    assert load.schedules == 52


def test_a_text_counts_as_the_schedule_that_has_it() -> None:
    for cron, zone in (("30 2 * * *", "Europe/Amsterdam"), ("*/7 9-11 * * 6,0", "UTC")):
        load, text = Load(BEGIN), Load(BEGIN)
        load.add(schedule(cron=cron, timezone=zone))
        text.add_cron(cron, zone)
        assert load.calls == text.calls
        assert text.calls


def test_one_that_begins_later_today_adds_no_more_for_its_neighbours_text() -> None:
    load = Load(BEGIN)
    load.add_cron("0 * * * *", "UTC")
    load.add(schedule(cron="0 * * * *", start_at=BEGIN + timedelta(hours=20)))
    assert load.calls.total() == 24 + 4


@pytest.mark.parametrize(("cron", "a_minute"), [("* * * * * *", 60), ("@every 2s", 30)])
def test_a_quick_rule_is_not_walked_second_by_second(cron: str, a_minute: int) -> None:
    load = Load(BEGIN)
    load.add(schedule(cron=cron))
    begin = BEGIN.hour * 60 + BEGIN.minute
    assert {load.calls[minute] for minute in range(1440) if minute != begin} == {a_minute}
