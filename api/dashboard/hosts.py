"""Hosts: which of them are held by their breakers, how their calls fail, and letting them be called again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from flask import Response, request, url_for

from api.dashboard import charts, shown
from api.dashboard.commands import curl
from api.dashboard.dead import host as host_of
from api.dashboard.desk import Visit, base_url
from api.dashboard.queues import number_of_form
from timeball.dispatch import hosts as verbs
from timeball.errors import InvalidField
from timeball.model.host import Breaker, HostState
from timeball.model.task import State
from timeball.model.visitor import Role
from timeball.store import codec, figures

NEWEST = 500
"""Of each of succeeded and dead, the newest tasks whose last calls are looked at."""
SAMPLED_SECONDS = 5.0
LIVE_SECONDS = 1.0
MOST_ROWS = 200
WAYS_SHOWN = 5


@dataclass(slots=True)
class Sample:
    """What came of the last calls to one host, of the newest tasks that have ended."""

    calls: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    microseconds: list[int] = field(default_factory=list)

    @property
    def median_seconds(self) -> float | None:
        """Half of the calls took no longer; None when none was timed."""
        times = sorted(t for t in self.microseconds if t)
        return times[len(times) // 2] / 1_000_000 if times else None


@dataclass(frozen=True, slots=True)
class Row:
    """A host: what its breaker says when it is in trouble, and what is seen of its last calls."""

    name: str
    state: HostState | None
    sample: Sample

    @property
    def breaker(self) -> Breaker:
        return Breaker.CLOSED if self.state is None else self.state.breaker


def hosts(visit: Visit) -> Response:
    """Hosts in trouble first, then those that are called most."""
    base = base_url(visit.desk)
    return visit.page(
        "hosts.html",
        each_host=verbs.default_limit(visit.house, visit.project.id),
        cap_text=curl(base, "hosts/api.example.com", {"concurrency": 5}, "PATCH"),
        **_shown(visit),
    )


def live(visit: Visit) -> Response:
    """Only what changes of the page, as it was a second ago at most."""
    return visit.live("hosts_live.html", None, LIVE_SECONDS, lambda: _shown(visit))


def _shown(visit: Visit) -> dict[str, Any]:
    found = verbs.list_hosts(visit.house, visit.project.id)
    samples = visit.desk.cache.get(
        ("hosts", visit.project.id), SAMPLED_SECONDS, lambda: _samples(visit)
    )
    rows = [Row(state.host, state, samples.get(state.host, Sample())) for state in found]
    rows.sort(key=lambda row: row.breaker is Breaker.CLOSED)
    known = {row.name for row in rows}
    others = sorted(samples.items(), key=lambda item: (-item[1].calls, item[0]))
    rows += [Row(name, None, sample) for name, sample in others if name not in known]
    nobody = {"request": {"url": "http://localhost:1/"}, "retry": {"max_attempts": 1}}
    return {
        "rows": rows[:MOST_ROWS],
        "total": len(rows),
        "newest": NEWEST,
        "ways": WAYS_SHOWN,
        "now": codec.from_ms(visit.now_ms()),
        "command_text": "for n in $(seq 12); do\n"
        f"{curl(base_url(visit.desk), 'tasks', nobody)}\ndone",
    }


def _samples(visit: Visit) -> dict[str, Sample]:
    out: dict[str, Sample] = {}
    for state in (State.SUCCEEDED, State.DEAD):
        found = figures.ended_with_last(
            visit.house.client, visit.prefix, visit.project.id, state, NEWEST
        )
        for task, last in found:
            if last is None or shown.is_export(task):
                continue
            sample = out.setdefault(host_of(task), Sample())
            sample.calls += 1
            sample.ended[charts.outcome(last).removeprefix("answered ")] += 1
            sample.microseconds.append(last.timing.total_us)
    return out


def act(visit: Visit) -> Response:
    """Let a held host be called, by one call that decides or by all that wait; or limit a host."""
    host, verb = request.form.get("host", "")[:300], request.form.get("verb", "")
    if verb == "probe":
        verbs.probe(visit.house, visit.project.id, host)
        told = f"The next call to {host} goes through; how it ends decides for the others."
    elif verb == "close":
        verbs.close_breaker(visit.house, visit.project.id, host)
        told = f"Calls to {host} go through again."
    elif verb == "limit":
        return _limit(visit, host)
    else:
        raise InvalidField("verb", "must be probe, close or limit")
    visit.wrote("probe host" if verb == "probe" else "close breaker", host)
    return visit.go(url_for("dashboard.hosts"), told)


def _limit(visit: Visit, host: str) -> Response:
    house, project = visit.house, visit.project.id
    before = verbs.get_host(house, project, host)
    most = number_of_form("most")
    verbs.limit_host(house, project, host, most)
    now = "no limit of its own" if most is None else f"{most} at once"
    was = f"{before.limit} at once" if before.own else "no limit of its own"
    visit.wrote("limit host", host, was, now)
    return visit.go(url_for("dashboard.hosts"), f"{host} has {now}.")


ROUTES = (
    ("GET", "/hosts", "hosts", hosts, Role.VIEWER),
    ("GET", "/hosts/live", "hosts_live", live, Role.VIEWER),
    ("POST", "/hosts", "host_verb", act, Role.OPERATOR),
)
