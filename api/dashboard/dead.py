"""Dead tasks, grouped by whom they could not reach and why; and sending them again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from flask import Response, request, url_for

from api.dashboard import bulk, charts, shown
from api.dashboard.commands import curl
from api.dashboard.desk import Visit, base_url
from timeball.dispatch import bulk as verbs
from timeball.dispatch import intake
from timeball.errors import Conflict, NotFound
from timeball.ids import id_bytes
from timeball.model.attempt import Attempt
from timeball.model.bulk import Action
from timeball.model.task import State, Task
from timeball.model.visitor import Role
from timeball.store import codec, figures
from timeball.store.lists import host_of

LOOKED_AT = 1000
"""The newest dead tasks that are grouped; the page says so when there are more."""
SHOWN_EACH = 10
REDRIVEN_HERE = 200
"""More than so many, or any with a rate, are redriven by a bulk."""


@dataclass(frozen=True, slots=True)
class Group:
    """Dead tasks with one host and one last error."""

    host: str
    error: str
    tasks: list[tuple[Task, Attempt | None]]
    last: datetime


def dead(visit: Visit) -> Response:
    """The groups, the largest first."""
    found = _newest(visit, LOOKED_AT)
    now_ms = visit.now_ms()
    standing = visit.desk.cache.get(
        ("standing", visit.project.id),
        1.0,
        lambda: figures.standing(visit.house.client, visit.prefix, visit.project.id),
    )
    gone = {"request": {"url": visit.receiver("/gone?status=410")}}
    return visit.page(
        "dead.html",
        command_text=curl(base_url(visit.desk), "tasks", gone),
        groups=groups(found),
        looked_at=len(found),
        total=standing.ended[State.DEAD],
        each=SHOWN_EACH,
        now=codec.from_ms(now_ms),
    )


def _newest(visit: Visit, most: int) -> list[tuple[Task, Attempt | None]]:
    return figures.ended_with_last(
        visit.house.client, visit.prefix, visit.project.id, State.DEAD, most
    )


def groups(found: list[tuple[Task, Attempt | None]]) -> list[Group]:
    """Tasks by host and error, the largest group first."""
    by: dict[tuple[str, str], list[tuple[Task, Attempt | None]]] = {}
    for entry in found:
        by.setdefault((host(entry[0]), why(entry[1])), []).append(entry)
    out = [
        Group(where, error, tasks, max(task.ended_at or task.created_at for task, _ in tasks))
        for (where, error), tasks in by.items()
    ]
    return sorted(out, key=lambda group: (-len(group.tasks), group.host, group.error))


def host(task: Task) -> str:
    """Host and port of a task's URL; all exports are one group."""
    if shown.is_export(task):
        return "exports"
    return host_of(task.request.url)


def why(attempt: Attempt | None) -> str:
    """The error that groups tasks: how the last attempt ended."""
    return "no attempt was recorded" if attempt is None else charts.outcome(attempt)


def redrive(visit: Visit) -> Response:
    """Make dead tasks due now: those chosen, or all of a group."""
    page = url_for("dashboard.dead")
    ids = [i for i in map(id_bytes, request.form.getlist("id")) if i is not None]
    where, error = request.form.get("host", ""), request.form.get("error", "")
    if request.form.get("all"):
        found = _newest(visit, verbs.MOST_IDS)
        ids = [t.id for t, last in found if (host(t), why(last)) == (where, error)]
    if not ids:
        return visit.go(page, "No task was chosen: tick the boxes before the rows.", False)
    rate = bulk.typed_rate()
    if rate is not None or len(ids) > REDRIVEN_HERE:
        name = visit.session.visitor.name
        made = verbs.begin(visit.house, visit.project.id, Action.REDRIVE, name, ids=ids, rate=rate)
        return bulk.started(visit, made, f"{where}: {error}")
    fates = Counter(_run(visit, task_id) for task_id in ids)
    visit.wrote("redrive", f"{where}: {error}", after=f"{fates[True]} made due now")
    return visit.go(
        page, f"Made {shown.many(fates[True], 'dead task')} due now.", bool(fates[True])
    )


def _run(visit: Visit, task_id: bytes) -> bool:
    try:
        intake.run(visit.house, visit.project.id, task_id)
    except (Conflict, NotFound):
        return False
    return True


ROUTES = (
    ("GET", "/dead", "dead", dead, Role.VIEWER),
    ("POST", "/dead", "redrive", redrive, Role.OPERATOR),
)
