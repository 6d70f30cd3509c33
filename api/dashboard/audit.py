"""The audit log: who wrote what, filtered by what its address says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from flask import Response, request

from api.dashboard.desk import Visit
from timeball.model.visitor import Role, Written
from timeball.store import logins

PAGE = 100
SPANS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}


def audit(visit: Visit) -> Response:
    """Who wrote what, newest first."""
    asked = {name: request.args.get(name, "").strip()[:100] for name in FILTERS}
    text = request.args.get("from", "0")
    start = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    client = visit.house.client
    rows, more = logins.search(client, _wanted(asked), start, PAGE)
    return visit.page(
        "audit.html",
        rows=rows,
        more=more,
        start=start,
        asked=asked,
        given={name: value for name, value in asked.items() if value},
        spans=SPANS,
        projects=[project.name for project in visit.projects],
        kept=logins.AUDIT_KEPT,
    )


FILTERS = ("who", "what", "of", "project", "within")


def _wanted(asked: dict[str, str]) -> Callable[[Written], bool]:
    """Whether a line has what was asked for: parts of texts in any case, the whole name of a project."""
    who, what, of = (asked[name].casefold() for name in ("who", "what", "of"))
    project, span = asked["project"], SPANS.get(asked["within"])
    since = logins.real_now() - span if span else None

    def wanted(line: Written) -> bool:
        about = f"{line.subject}\n{line.before}\n{line.after}".casefold()
        return (
            who in f"{line.name}\n{line.role}\n{line.address}".casefold()
            and what in line.verb.casefold()
            and of in about
            and (not project or line.project == project)
            and (since is None or line.at >= since)
        )

    return wanted


ROUTES = (("GET", "/audit", "audit", audit, Role.ADMIN),)
