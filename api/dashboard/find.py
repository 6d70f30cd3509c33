"""The field in the head of each page: what was typed leads to the task, schedule, queue or list that it names."""

from __future__ import annotations

from flask import Response, request, url_for

from api.dashboard.desk import Visit
from timeball.dispatch import bulk, intake, queues, schedules
from timeball.errors import NotFound
from timeball.ids import id_bytes, id_text
from timeball.model.visitor import Role
from timeball.store.lists import Filter

MOST = 2000


def find(visit: Visit) -> Response:
    """Lead to what was typed: an id, the beginning of a URL, or the name of something."""
    typed = request.args.get("q", "").strip()[:MOST]
    where = _where(visit, typed)
    if where is None:
        told = f"Nothing here is called {typed}: neither an id nor a name, queue, tag or host."
        return visit.go(url_for("dashboard.tasks"), told if typed else "", False)
    return visit.go(where)


def _where(visit: Visit, typed: str) -> str | None:
    house, project = visit.house, visit.project.id
    raw = id_bytes(typed)
    if raw is not None:
        return _of_id(visit, raw)
    if not typed:
        return None
    if typed.lower().startswith(("http://", "https://")):
        return url_for("dashboard.tasks", url=typed)
    schedule = schedules.find(house, project, typed, 1, None).schedules
    if schedule:
        return url_for("dashboard.schedules", name=typed)
    if typed in {queue.name for queue in queues.list_queues(house, project)}:
        return url_for("dashboard.tasks", queue=typed)
    host = typed.lower()
    for wanted, where in (
        (Filter(name=typed), url_for("dashboard.tasks", name=typed)),
        (Filter(tag=typed), url_for("dashboard.tasks", tag=typed)),
        (Filter(host=host), url_for("dashboard.tasks", host=host)),
    ):
        if intake.find(house, project, wanted, 1, None).tasks:
            return where
    try:
        return url_for("dashboard.bulk_page", bulk_id=bulk.get(house, project, typed).id)
    except NotFound:
        return None


def _of_id(visit: Visit, raw: bytes) -> str | None:
    house, project, name = visit.house, visit.project.id, id_text(raw)
    try:
        intake.get(house, project, raw)
        return url_for("dashboard.task", task_id=name)
    except NotFound:
        pass
    try:
        schedules.get(house, project, name)
        return url_for("dashboard.schedule", schedule_id=name)
    except NotFound:
        return None


ROUTES = (("GET", "/find", "find", find, Role.VIEWER),)
