"""With the virtual clock a year of 50 schedules in 9 zones fires exactly what the rules name, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.receiver import Receiver
from tests.schedules.conftest import NOON, World, at
from tests.workers.test_pump import pumping
from timeball.dispatch import timewarp
from timeball.model.schedule import Overlap
from timeball.model.task import Request
from timeball.store import codec
from timeball.timing.rule import parse_rule

ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Amsterdam",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "America/St_Johns",
)
RULES = (
    {"cron": "30 2 * * *"},
    {"cron": "30 1 * * *"},
    {"cron": "0 0 29 2 *"},
    {"cron": "0 9 * * 1-5"},
    {"cron": "15 2 L * *"},
    {"cron": "45 1 * * SUN#2"},
    {"cron": "0 */6 * * *"},
    {"rrule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0"},
    {"rrule": "FREQ=MONTHLY;BYDAY=-1SU;BYHOUR=2;BYMINUTE=15;BYSECOND=0"},
    {"rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SA;BYHOUR=1;BYMINUTE=59;BYSECOND=30"},
    {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=12;BYMINUTE=0;BYSECOND=0"},
    {"rrule": "FREQ=HOURLY;INTERVAL=5"},
)
BEGIN = datetime(2027, 9, 1, tzinfo=UTC)
"""So that the year holds each zone's gap and fold, and 29 February 2028."""
END = BEGIN + timedelta(days=366)


@pytest.mark.timeout(60)
def test_a_year_of_fifty_schedules_in_nine_zones(world: World) -> None:
    world.set(BEGIN)
    made = []
    for number in range(50):
        rule = RULES[number % len(RULES)]
        zone = ZONES[number % len(ZONES)]
        start = BEGIN - timedelta(days=40) if "rrule" in rule else None
        fields = {**rule, "timezone": zone, "dtstart": start}
        made.append((world.make(**fields, overlap=Overlap.ALLOW), fields))
    assert len({(schedule.cron, schedule.rrule, schedule.timezone) for schedule, _ in made}) >= 36
    order = []
    world.run(END)
    raw = world.client.zrange(f"{world.prefix}idx:{world.project}/default", 0, -1)
    pipe = world.client.pipeline(transaction=False)
    for task_id in raw:
        pipe.get(world.prefix.encode() + b"t:" + task_id)
    fired: dict[str, list[datetime]] = {}
    for task_id, record in zip(raw, pipe.execute(), strict=True):
        task = codec.decode_task(task_id, record)
        assert task.schedule is not None
        assert task.occurrence is not None
        fired.setdefault(task.schedule, []).append(task.occurrence)
        order.append((task.created_at, task.occurrence))
    for schedule, fields in made:
        named = parse_rule(**fields).between(BEGIN, END, 20_000)
        assert sorted(fired.get(schedule.id, [])) == named, fields
    assert len(order) > 10_000
    assert all(created >= occurrence for created, occurrence in order)
    assert all(created - occurrence < timedelta(seconds=5) for created, occurrence in order)


def test_the_clock_is_put_forward_step_by_step(world: World) -> None:
    """Where one must wait for the other to end, an hour of minutes is sixty calls in their order."""
    world.client.delete(f"{world.prefix}leader")
    with Receiver() as receiver, pumping(world.house):
        url = Request(receiver.url)
        minute = world.make(request=url, cron="* * * * *")
        daily = world.make(request=url, cron="30 12 * * *", timezone="UTC")
        before = world.now()
        passed = timewarp.advance(world.house, timedelta(hours=1))
        after = world.now()
    assert not passed.waited_in_vain
    assert passed.steps >= 60
    assert timedelta(0) <= after - before - timedelta(hours=1) < timedelta(seconds=30)
    called = [
        (
            datetime.fromisoformat(call.headers["timeball-occurrence"]),
            call.headers["timeball-schedule"],
        )
        for call in receiver.received
    ]
    minutes = [instant for instant, schedule in called if schedule == minute.id]
    assert minutes == [NOON + timedelta(minutes=n) for n in range(1, 61)]
    assert [instant for instant, schedule in called if schedule == daily.id] == [at(12, 30)]
    assert [instant for instant, _ in called] == sorted(instant for instant, _ in called)


def test_without_a_worker_the_clock_is_moved_all_the_same(world: World) -> None:
    made = world.make(overlap=Overlap.ALLOW)
    passed = timewarp.advance(world.house, timedelta(minutes=10), patience_seconds=0.1)
    assert passed.waited_in_vain
    assert at(12, 10) <= world.now() < at(12, 11)
    world.beat()
    assert world.get(made).next_at == at(12, 11)
