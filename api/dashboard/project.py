"""A project: its limits and quotas, how long its tasks are kept, its secrets by name, its way out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flask import Response, request, url_for

from api.dashboard import queues as queue_pages
from api.dashboard import shown
from api.dashboard.desk import Visit
from timeball.dispatch import hosts
from timeball.dispatch import queues as verbs
from timeball.errors import InvalidField, NotFound
from timeball.model.queue import Limits
from timeball.model.task import State
from timeball.model.visitor import Role
from timeball.settings import PREFIX
from timeball.store import figures, logins, projects, secrets, via
from timeball.store.figures import Standing
from timeball.store.secrets import Secret

FULL = 0.8
"""A quota of which more is used than this share is worth a colour."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What a project may have of something; `used` is None where it is not counted, `most` 0 for no limit."""

    what: str
    used: int | None
    most: int
    setting: str

    @property
    def share(self) -> float | None:
        """How much of it is used, from 0 to 1."""
        if self.used is None or not self.most:
            return None
        return min(1.0, self.used / self.most)


@dataclass(frozen=True, slots=True)
class Kept:
    """Tasks of one ending: how many are kept now, and until when."""

    what: str
    count: int
    life: str
    setting: str


def project(visit: Visit) -> Response:
    """The page. Who may not see the names of secrets sees how many there are."""
    house, project_id = visit.house, visit.project.id
    standing = figures.standing(house.client, visit.prefix, project_id)
    known = secrets.every(house.client, project_id)
    limits = verbs.project_limits(house, project_id)
    out = via.get(house.client, house.vault, project_id) if visit.may("operator") else None
    return visit.page(
        "project.html",
        limits=limits,
        limits_in_words=queue_pages.limits_in_words(limits),
        each_host=hosts.default_limit(house, project_id),
        limited=[q for q in verbs.list_queues(house, project_id) if _limited(q.limits)],
        words=queue_pages.limits_in_words,
        quotas=_quotas(visit, standing, len(known)),
        full=FULL,
        kept=_kept(visit, standing),
        secrets=known if visit.may("operator") else None,
        secret_count=len(known),
        out=out,
        now=logins.real_now(),
    )


def _limited(limits: Limits) -> bool:
    return limits.paused or queue_pages.limits_in_words(limits) != "none"


def _quotas(visit: Visit, standing: Standing, secret_count: int) -> list[Quota]:
    settings = visit.house.settings
    return [
        Quota(
            "Waiting tasks",
            standing.waiting,
            settings.quota_waiting_tasks,
            "quota_waiting_tasks",
        ),
        Quota("Schedules", standing.schedules, settings.quota_schedules, "quota_schedules"),
        Quota(
            "Requests of a key in a minute",
            None,
            settings.key_requests_per_minute,
            "key_requests_per_minute",
        ),
        Quota("Secrets", secret_count, secrets.MOST, ""),
    ]


def _kept(visit: Visit, standing: Standing) -> list[Kept]:
    settings, ended = visit.house.settings, standing.ended
    return [
        Kept(
            shown.STATE_WORDS[state],
            ended[state],
            shown.span(getattr(settings, name)),
            PREFIX + name.upper(),
        )
        for state, name in (
            (State.SUCCEEDED, "retention_succeeded"),
            (State.CANCELLED, "retention_succeeded"),
            (State.DEAD, "retention_failed"),
        )
    ]


def rename(visit: Visit) -> Response:
    """Give the project another name."""
    before, name = visit.project.name, request.form.get("name", "").strip()
    projects.rename(visit.house.client, visit.house.vault, visit.project.id, name)
    visit.desk.cache.forget()
    visit.wrote("rename project", before, before, name)
    return _done(visit, f"The project is called {name} now.")


def retries(visit: Visit) -> Response:
    """Switch the retries of the project on or off."""
    on = request.form.get("retries") == "on"
    projects.set_retries(visit.house.client, visit.project.id, on)
    visit.desk.cache.forget()
    words = {True: "on", False: "off"}
    visit.wrote("switch retries", visit.project.name, words[visit.project.retries], words[on])
    return _done(visit, f"Retries are {words[on]} for tasks that say nothing of their own.")


def limits(visit: Visit) -> Response:
    """Replace the limits of the whole project."""
    house, project_id = visit.house, visit.project.id
    before = verbs.project_limits(house, project_id)
    each_before = hosts.default_limit(house, project_id)
    fresh = replace(queue_pages.limits_of_form(), paused=before.paused)
    each = queue_pages.number_of_form("each_host")
    verbs.set_limits(house, project_id, None, fresh)
    hosts.limit_host(house, project_id, None, each)
    was, now = _both(before, each_before), _both(fresh, each)
    visit.wrote("limit project", visit.project.name, was, now)
    return _done(visit, f"Limits of the project: {now}.")


def _both(limits: Limits, each: int | None) -> str:
    words = queue_pages.limits_in_words(limits)
    return words if each is None else f"{words}; {each} at once to each host"


def secret_put(visit: Visit) -> Response:
    """Keep a secret, in place of one before. Its value goes to the store, sealed, and nowhere else."""
    name, value = request.form.get("name", "").strip(), request.form.get("value", "")
    replacing = request.form.get("replace") == "1"
    before = _find(visit, secrets.check_name(name))
    if before is not None and not replacing:
        raise InvalidField("name", f"there is a secret {name} already: replace it in its row")
    if before is None and replacing:
        raise NotFound("there is no such secret")
    secrets.put(visit.house.client, visit.house.vault, visit.project.id, name, value)
    if before is None:
        visit.wrote("set secret", name)
        told = f"{name} is kept: headers may say {{{{secret.{name}}}}}."
    else:
        visit.wrote("replace secret", name, f"of {shown.instant(before.changed_at)}")
        told = f"{name} is replaced: calls use the new value within seconds."
    return _done(visit, told)


def _find(visit: Visit, name: str) -> Secret | None:
    known = secrets.every(visit.house.client, visit.project.id)
    return next((one for one in known if one.name == name), None)


def secret_remove(visit: Visit) -> Response:
    """Forget a secret."""
    name = request.form.get("name", "")
    secrets.remove(visit.house.client, visit.project.id, name)
    visit.wrote("remove secret", name)
    return _done(visit, f"{name} is gone: calls that name it are not made any more.")


def _done(visit: Visit, told: str) -> Response:
    return visit.go(url_for("dashboard.project"), told)


ROUTES = (
    ("GET", "/project", "project", project, Role.VIEWER),
    ("POST", "/project/name", "rename_project", rename, Role.ADMIN),
    ("POST", "/project/retries", "set_retries", retries, Role.ADMIN),
    ("POST", "/project/limits", "set_project_limits", limits, Role.ADMIN),
    ("POST", "/project/secrets", "secret_put", secret_put, Role.ADMIN),
    ("POST", "/project/secrets/remove", "secret_remove", secret_remove, Role.ADMIN),
)
