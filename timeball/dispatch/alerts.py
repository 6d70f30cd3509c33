"""Alerts of our own: beat looks at each project now and then, and tells what begins and what is over.

A URL is told by a task like any other, of a project of our own, so it is signed and tried again; mail, Slack and
others by messengers. Each alert ends at a lower mark than it begins at, so that one that hovers is told once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import orjson

from timeball import logs
from timeball.dispatch import intake, messengers
from timeball.dispatch.house import House
from timeball.model.task import BodyKind, Draft, Request
from timeball.store import figures, gauges, keys, projects
from timeball.store.figures import Unit
from timeball.store.scripts import store_errors

OWNER = "timeball"
"""The project whose tasks tell of alerts."""
QUEUE = "alerts"
KEY = keys.prefix(0) + "alerts"
BEGIN_MINUTES, END_MINUTES = 5, 15
"""What happened so lately begins an alert; what did not happen for so long ends it."""
LEAST_ATTEMPTS = 20
"""A share of fewer attempts says nothing."""
END_SHARE = 0.5
"""An alert of a measure ends at this share of the mark at which it begins."""
MOST_PROJECTS = 1000

log = logs.get(__name__)


class Kind(StrEnum):
    """What an alert is about."""

    DEAD = "dead"
    """Tasks died."""
    FAILURES = "failures"
    """A large share of attempts fails."""
    LATE = "late"
    """The oldest due task has waited long."""
    MISSED = "missed"
    """Occurrences of schedules were left out, because nobody saw to them in time."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One measure of a project: whether it begins an alert, whether it ends one; in words."""

    kind: Kind
    begins: bool
    ends: bool
    words: str


def watch(house: House, _fence: int) -> None:
    """Look at every project, and tell what changed. Does nothing when nobody is to be told."""
    if house.settings.alert_url is None and not house.settings.alert_urls:
        return
    with store_errors():
        raised = {field.decode(): float(ms) for field, ms in house.client.hgetall(KEY).items()}
    names = gauges.project_names(house.client)
    for project, name in list(names.items())[:MOST_PROJECTS]:
        if name == OWNER:
            continue
        for sight in _look(house, project):
            field = f"{project}:{sight.kind}"
            if field not in raised and sight.begins:
                _tell(house, field, name, sight, begins=True)
            elif field in raised and sight.ends:
                _tell(house, field, name, sight, begins=False)
    if house.settings.alert_urls:
        messengers.send_beside(house)


def _look(house: House, project: str) -> Iterator[Sight]:
    prefix = house.prefix(project)
    told = gauges.gauges(house.client, prefix, [project])
    minutes = figures.series(
        house.client, prefix, project, Unit.MINUTE, told.now_ms, END_MINUTES + 1
    )
    lately: Counter[str] = sum(minutes[-BEGIN_MINUTES - 1 :], Counter())
    long: Counter[str] = sum(minutes, Counter())
    for kind, counter, noun in (
        (Kind.DEAD, "dead", "tasks died"),
        (Kind.MISSED, "missed", "times occurrences were missed"),
    ):
        words = f"{lately[counter]} {noun} in the last {BEGIN_MINUTES} minutes"
        yield Sight(kind, lately[counter] > 0, long[counter] == 0, words)
    failed = lately["retried"] + lately["dead"]
    attempts = failed + lately["succeeded"]
    share, mark = (failed / attempts if attempts else 0.0), house.settings.alert_failures
    yield Sight(
        Kind.FAILURES,
        attempts >= LEAST_ATTEMPTS and share >= mark,
        share < mark * END_SHARE,
        f"{share:.0%} of {attempts} attempts failed in the last {BEGIN_MINUTES} minutes",
    )
    oldest_ms = told.projects[0].oldest_due_ms
    age = (told.now_ms - oldest_ms) / 1000 if oldest_ms else 0.0
    limit = house.settings.alert_late.total_seconds()
    words = f"the oldest due task has waited {age:.0f} s"
    yield Sight(Kind.LATE, age >= limit, age < limit * END_SHARE, words)


def _tell(house: House, field: str, name: str, sight: Sight, *, begins: bool) -> None:
    """Tell first, then note it: a beat that dies in between tells twice rather than never."""
    text = f"Timeball, {name}: {sight.words}" + ("" if begins else ": over")
    if house.settings.alert_url is not None:
        event = "alert.begun" if begins else "alert.ended"
        said = {"event": event, "kind": sight.kind, "project": name, "words": sight.words}
        _submit(house, house.settings.alert_url, {**said, "text": text})
    title = f"Timeball: {name}" if begins else f"Timeball: {name} (over)"
    messengers.put(house, title, text, good=not begins)
    with store_errors():
        if begins:
            seconds, _ = house.client.time()
            house.client.hset(KEY, field, seconds * 1000)
        else:
            house.client.hdel(KEY, field)
    log.warning("an alert began" if begins else "an alert ended", alert=sight.kind, project=name)


def _submit(house: House, url: str, said: dict[str, str]) -> None:
    owner = projects.create_project(house.client, house.vault, OWNER)
    request = Request(
        url,
        headers=(("Content-Type", "application/json"),),
        body=orjson.dumps(said),
        body_kind=BodyKind.JSON,
    )
    intake.submit(house, owner.id, [Draft(owner.id, request, queue=QUEUE)])
