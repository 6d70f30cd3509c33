"""What every page needs: who looks, at which project, and how answers are made."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from flask import Response, redirect, render_template, request

from api.dashboard import shown
from api.dashboard.sessions import PROJECT, TOLD, Session, Sessions
from api.door import Door
from api.mergent.dump import Dumper
from api.mergent.reader import Reader
from api.mergent.schemas import Terms
from timeball import __version__, logs
from timeball.dispatch.house import House
from timeball.ids import token
from timeball.model.project import Project
from timeball.model.visitor import Role, Written
from timeball.store import logins, projects, pumps

T = TypeVar("T")

PROJECTS_KNOWN_SECONDS = 2.0
CACHED_KEYS = 256

NAV = (
    ("overview", "Overview", Role.VIEWER),
    ("tasks", "Tasks", Role.VIEWER),
    ("schedules", "Schedules", Role.VIEWER),
    ("queues", "Queues", Role.VIEWER),
    ("hosts", "Hosts", Role.VIEWER),
    ("dead", "Dead", Role.VIEWER),
    ("exports", "Exports", Role.VIEWER),
    ("project", "Project", Role.VIEWER),
    ("keys", "Keys", Role.ADMIN),
    ("settings", "Settings", Role.ADMIN),
    ("system", "System", Role.VIEWER),
)
"""Pages by route, as the head of each lists them, and who may see them."""

WITHIN = {
    "tasks": (
        *("task", "new_task", "create_task", "edit_task", "save_task"),
        *("bulks", "new_bulk", "bulk_page"),
    ),
    "schedules": (
        "schedule",
        "new_schedule",
        "create_schedule",
        "edit_schedule",
        "save_schedule",
        "schedules_load",
    ),
    "exports": (
        *("export", "new_export", "create_export"),
        *("sources", "source", "new_source", "create_source"),
        *("segments", "new_segment", "create_segment", "edit_segment", "save_segment"),
    ),
    "keys": ("key_create", "key_verb", "signing_verb"),
    "settings": ("make_link",),
    "system": ("audit",),
}
"""Pages that belong to those of NAV."""

log = logs.get(__name__)


class Cache:
    """Values that all viewers share for a moment, so that the store is asked once for all of them."""

    def __init__(self) -> None:
        self._values: dict[Any, tuple[float, Any]] = {}
        self._locks: dict[Any, threading.Lock] = {}

    def get(self, key: Any, seconds: float, make: Callable[[], T]) -> T:
        """The value of a key, made when it is older than so many seconds; by one thread at a time."""
        if len(self._locks) > CACHED_KEYS:
            self._locks.clear()
            self._values.clear()
        with self._locks.setdefault(key, threading.Lock()):
            known = self._values.get(key)
            if known is None or known[0] < time.monotonic():
                known = (0.0, make())
                self._values[key] = (time.monotonic() + seconds, known[1])
        found: T = known[1]
        return found

    def forget(self) -> None:
        """Let every value be made anew."""
        self._values.clear()


@dataclass
class Desk:
    """Made once an app."""

    door: Door
    cache: Cache = field(default_factory=Cache)
    any_csrf: str = field(default_factory=lambda: token(20))
    """Stands for the viewer's own in texts that many share: random, so that no text of others holds it."""

    @property
    def house(self) -> House:
        return self.door.house

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.house.settings.secret or "")

    @cached_property
    def terms(self) -> Terms:
        return Terms(self.door.policy, self.door.settings.body_limit_bytes)

    @cached_property
    def reader(self) -> Reader:
        return Reader(self.terms)

    @cached_property
    def dumper(self) -> Dumper:
        return Dumper(self.door.settings.secret or "", self.door.settings.call_timeout)

    def projects(self) -> list[Project]:
        """Every project, oldest first, as it was a moment ago."""
        house = self.house
        return self.cache.get(
            "projects",
            PROJECTS_KNOWN_SECONDS,
            lambda: projects.list_projects(house.client, house.vault),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A text of a page, and the tag that changes when it does."""

    text: str
    tag: str

    @classmethod
    def of(cls, template: str, **values: Any) -> Part:
        """The part that a template makes."""
        text = render_template(template, shown=shown, **values)
        return cls(text, hashlib.sha256(text.encode()).hexdigest()[:20])


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in. `project` is the one he looks at."""

    desk: Desk
    session: Session
    project: Project
    projects: list[Project]

    @property
    def house(self) -> House:
        return self.desk.house

    @property
    def prefix(self) -> str:
        return self.house.prefix(self.project.id)

    @property
    def role(self) -> Role:
        return self.session.visitor.role

    def may(self, role: str) -> bool:
        """Whether the visitor has a role; for templates."""
        return self.role.may(Role(role))

    def now_ms(self) -> float:
        """The store's now, by which everything is due."""
        return pumps.clock(self.house.client, self.prefix)[0]

    def receiver(self, path: str) -> str:
        """A URL that commands call: at the inbox, where there is one."""
        return (self.house.settings.inbox_url or "https://example.com").rstrip("/") + path

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page in the frame of all pages."""
        told = self.desk.sessions.told(request)
        settings = self.house.settings
        text = render_template(
            template,
            visit=self,
            nav=NAV,
            told=told,
            version=__version__,
            here=(request.endpoint or "").rpartition(".")[2],
            base=base_url(self.desk),
            inbox_url=settings.inbox_url,
            flower_url=settings.flower_url,
            shown=shown,
            within=WITHIN,
            **values,
        )
        answer = Response(text, status, content_type="text/html; charset=utf-8")
        if told is not None:
            answer.delete_cookie(TOLD, path="/dashboard")
        return answer

    def live(
        self, template: str, key: Hashable, seconds: float, values: Callable[[], dict[str, Any]]
    ) -> Response:
        """A part of a page that the script renews, made once for all viewers of one role.

        It may be so old. `key` tells what it shows of the project; each viewer gets his own token in its forms.
        """
        desk = self.desk
        nobody = replace(self, session=replace(self.session, csrf=desk.any_csrf))
        part = desk.cache.get(
            ("part", template, self.project.id, self.role, base_url(desk), key),
            seconds,
            lambda: Part.of(template, visit=nobody, **values()),
        )
        return self._renewed(part)

    def _renewed(self, part: Part) -> Response:
        """304 and no text while a part is as the viewer has it."""
        if part.tag in request.if_none_match:
            answer = Response(status=304)
        else:
            text = part.text.replace(self.desk.any_csrf, self.session.csrf)
            answer = Response(text, content_type="text/html; charset=utf-8")
        answer.set_etag(part.tag)
        return answer

    def go(self, url: str, told: str = "", good: bool = True) -> Response:
        """Lead the browser to a page, with a line to show there."""
        answer = see(url)
        if told:
            self.desk.sessions.tell(answer, request, told, good)
        return answer

    def wrote(self, verb: str, subject: str, before: str = "", after: str = "") -> None:
        """Write a line of the audit log, and of ours."""
        visitor = self.session.visitor
        line = Written(
            logins.real_now(),
            visitor.name,
            visitor.role,
            request.remote_addr or "",
            self.project.name,
            verb,
            subject,
            before,
            after,
        )
        logins.write_down(self.house.client, line)
        self.desk.cache.forget()  # who changes something sees it at once
        log.info(verb, subject=subject, project=self.project.id, visitor=visitor.name)


def see(url: str) -> Response:
    """Lead the browser to another page, with GET."""
    answer = redirect(url, 303)
    return Response(status=303, headers={"Location": answer.headers["Location"]})


def chosen(found: list[Project]) -> Project | None:
    """The project that the visitor has chosen, or else the oldest."""
    wanted = request.cookies.get(PROJECT)
    return next((p for p in found if p.id == wanted), found[0] if found else None)


def base_url(desk: Desk) -> str:
    """Where this API is reached, for commands that people copy."""
    return (desk.door.settings.public_url or request.host_url).rstrip("/")
