"""A world of schedules: a project, a clock that only tests move, and beats that do what they are told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from timeball.dispatch import expand, schedules
from timeball.dispatch.house import House
from timeball.model.project import Project
from timeball.model.schedule import Occurrence, Schedule
from timeball.model.task import Request, State, Task
from timeball.store import codec, keys, pumps, tasks
from timeball.store.scripts import Client

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


class World:
    """The house seen from a schedule. Its clock stands where it was set, but for the time that tests take."""

    def __init__(self, house: House, project: Project) -> None:
        self.house, self.project, self.prefix = house, project.id, house.prefix(project.id)
        self.fence = pumps.lead(house.client, keys.prefix(0), "beat", 3_600_000).fence
        self.set(NOON)

    @property
    def client(self) -> Client:
        return self.house.client

    def now(self) -> datetime:
        return codec.from_ms(pumps.clock(self.client, self.prefix)[0])

    def set(self, instant: datetime) -> None:
        """Put the clock to an instant, without waking anybody."""
        seconds, micros = self.client.time()
        ahead = instant.timestamp() * 1000 - (seconds * 1000 + micros / 1000)
        self.client.set(f"{self.prefix}clock", math.ceil(ahead))

    def pass_by(self, **span: float) -> None:
        """Let time go by while no beat looks: an outage."""
        self.client.incrby(f"{self.prefix}clock", timedelta(**span) // timedelta(milliseconds=1))

    def make(self, **fields: Any) -> Schedule:
        """A schedule, each minute unless it is said otherwise."""
        if not fields.get("rrule"):
            fields.setdefault("cron", "* * * * *")
        fields.setdefault("request", Request("http://localhost/"))
        return schedules.create(self.house, self.project, fields)

    def get(self, schedule: Schedule) -> Schedule:
        return schedules.get(self.house, self.project, schedule.id)

    def beat(self, fence: int | None = None) -> float | None:
        """What a leading beat does until nothing more is due. Answers the seconds until then."""
        while (wait := expand.expand(self.house, self.fence if fence is None else fence)) == 0.0:
            pass
        return wait

    def run(self, until: datetime) -> None:
        """Move the clock from one occurrence to the next until an instant, with a beat at each."""
        while (wait := self.beat()) is not None and self.now() + timedelta(seconds=wait) <= until:
            self.pass_by(seconds=wait + 0.002)
        self.set(until)
        self.beat()

    def tasks(self, schedule: Schedule | None = None) -> list[Task]:
        """The tasks that schedules made, in order of their occurrence."""
        members = self.client.zrange(f"{self.prefix}idx:{self.project}/default", 0, -1)
        found = tasks.get_many(self.client, self.prefix, members)
        wanted = [t for t in found if schedule is None or t.schedule == schedule.id]
        return sorted(wanted, key=lambda task: task.occurrence or NOON)

    def instants(self, schedule: Schedule | None = None) -> list[datetime]:
        """The occurrences that became tasks."""
        return [task.occurrence for task in self.tasks(schedule) if task.occurrence]

    def history(self, schedule: Schedule) -> list[Occurrence]:
        """Oldest first."""
        return schedules.history(self.house, self.project, schedule.id)[::-1]

    def claim(self, want: int = 100) -> list[bytes]:
        """Take due tasks as a pump does."""
        claimed = pumps.claim(self.client, self.prefix, "pump", want, 1000, 1000).tasks
        return [task.id for task in claimed]

    def finish(self, *ids: bytes, state: State = State.SUCCEEDED, due_ms: int = 0) -> None:
        """End the running attempts of tasks."""
        results = [
            pumps.Finished(
                i,
                tasks.get(self.client, self.prefix, self.project, i).attempt,
                codec.STATE_CODES[state],
                due_ms,
                b'{"n":1,"o":"answered","at":1}',
            )
            for i in ids
        ]
        assert pumps.finish(self.client, self.prefix, "pump", results, {}) == [1] * len(ids)

    def call(self) -> list[bytes]:
        """Claim all that is due and let it succeed."""
        ids = self.claim()
        if ids:
            self.finish(*ids)
        return ids


@pytest.fixture
def world(house: House, project: Project) -> Iterator[World]:
    """An empty world at noon of 1 March 2027."""
    made = World(house, project)
    yield made
    made.client.delete(f"{made.prefix}clock")


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    """A time on the day of NOON."""
    return NOON.replace(hour=hour, minute=minute, second=second)
