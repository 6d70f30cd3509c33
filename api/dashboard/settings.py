"""What the installation was told, who may sign in, and the projects."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from flask import Response, request, url_for

from api.dashboard import shown
from api.dashboard.desk import Visit, base_url
from api.dashboard.entry import remember_project
from timeball.errors import InvalidField, NotFound
from timeball.model.visitor import Role, Visitor
from timeball.settings import PREFIX, SECRETS, Settings, sources
from timeball.store import logins, members, projects

TARGETS = ("allowed_targets", "denied_targets", "own_ports", "own_addresses")
KEEPING = ("retention_succeeded", "retention_failed", "retention_count", "retention_exports")


@dataclass(frozen=True, slots=True)
class Row:
    """A setting of the installation. `changed` says that it differs from the default."""

    field: str
    name: str
    value: str
    source: str
    why: str
    changed: bool


def settings(visit: Visit) -> Response:
    """The page."""
    return _page(visit)


def _page(visit: Visit, status: int = 200, link: str | None = None) -> Response:
    house = visit.house
    rows = _rows(house.settings)
    return visit.page(
        "settings.html",
        status,
        targets=[row for row in rows if row.field in TARGETS],
        keeping=[row for row in rows if row.field in KEEPING],
        rows=[row for row in rows if row.field not in (*TARGETS, *KEEPING)],
        members=members.members(house.client),
        with_admin=house.settings.admin_password is not None,
        roles=list(Role),
        link=link,
    )


def _rows(found: Settings) -> list[Row]:
    """Every setting as the API has it. No secret is in it."""
    told = sources(found)
    return [
        Row(
            one.name,
            PREFIX + one.name.upper(),
            _value(one.name, getattr(found, one.name)),
            told[one.name],
            one.metadata["why"],
            getattr(found, one.name) != one.default,
        )
        for one in fields(Settings)
    ]


def _value(name: str, value: Any) -> str:
    if value is None or value == ():
        return "not set"
    if name.upper() in SECRETS or name.endswith(("_secret", "_password", "_token", "_key")):
        return "set, hidden"
    if isinstance(value, timedelta):
        return shown.span(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    text = str(value)
    return _without_password(text) if "://" in text else text


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="hidden@" + parts.netloc.rpartition("@")[2]))


def project_create(visit: Visit) -> Response:
    """Make a project, and show it from now on."""
    name = projects.check_name(request.form.get("name", "").strip())
    if any(one.name == name for one in visit.projects):
        raise InvalidField("name", f"there is a project {name!r} already")
    made = projects.create_project(visit.house.client, visit.house.vault, name)
    visit.desk.cache.forget()
    visit.wrote("create project", name)
    answer = visit.go(url_for("dashboard.keys"), f"The project {name} is made. Now it needs a key.")
    remember_project(answer, made.id)
    return answer


def link(visit: Visit) -> Response:
    """Make a link that signs somebody in once, and show it, this once."""
    role = request.form.get("role", "")
    name = request.form.get("name", "").strip()[:60]
    if role not in list(Role) or not name:
        raise InvalidField("name", "name who signs in, and choose what he may do")
    made = logins.make_link(visit.house.client, Visitor(name, Role(role)))
    visit.wrote("make sign-in link", name, after=role)
    return _page(visit, 201, base_url(visit.desk) + logins.link_path(made))


def member_put(visit: Visit) -> Response:
    """Let somebody sign in with a password, or give him another one or another role."""
    name, role = request.form.get("name", "").strip(), request.form.get("role", "")
    if role not in list(Role):
        raise InvalidField("role", f"must be one of {', '.join(Role)}")
    client = visit.house.client
    before = {m.visitor.name: m.visitor.role for m in members.members(client)}.get(name)
    members.put(client, Visitor(name, Role(role)), request.form.get("password", ""))
    visit.wrote("change member" if before else "add member", name, before or "", role)
    return _done(visit, f"{name} may sign in with that password, as {role}.")


def member_remove(visit: Visit) -> Response:
    """Let somebody sign in no more, and sign him out."""
    name = request.form.get("name", "")
    before = {m.visitor.name: m.visitor.role for m in members.members(visit.house.client)}
    if name not in before:
        raise NotFound("there is no such member")
    members.remove(visit.house.client, name)
    visit.wrote("remove member", name, before[name])
    return _done(visit, f"{name} may sign in no more, and is signed out.")


def _done(visit: Visit, told: str) -> Response:
    return visit.go(url_for("dashboard.settings"), told)


def settings_again(visit: Visit, rest: str) -> Response:
    """What was shown in answer to a form is not shown again."""
    return visit.go(url_for("dashboard.settings"))


ROUTES = (
    ("GET", "/settings", "settings", settings, Role.ADMIN),
    ("GET", "/settings/<path:rest>", "settings_again", settings_again, Role.ADMIN),
    ("POST", "/settings/projects", "project_create", project_create, Role.ADMIN),
    ("POST", "/settings/link", "make_link", link, Role.ADMIN),
    ("POST", "/settings/members", "member_put", member_put, Role.ADMIN),
    ("POST", "/settings/members/remove", "member_remove", member_remove, Role.ADMIN),
)
