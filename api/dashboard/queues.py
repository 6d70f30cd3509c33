"""Queues: how they stand, their limits, their pauses, their end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from flask import Response, request, url_for

from api.dashboard import shown
from api.dashboard.commands import curl
from api.dashboard.desk import Visit, base_url
from api.mergent import rules
from timeball.dispatch import queues as verbs
from timeball.errors import InvalidField, NotFound
from timeball.model.queue import Limits, QueueState
from timeball.model.visitor import Role
from timeball.store import codec

LIVE_SECONDS = 1.0
MOST = 1_000_000
LONGEST, SHORTEST = timedelta(days=1), timedelta(milliseconds=1)


def queues(visit: Visit) -> Response:
    """Every queue of the project."""
    whole = verbs.project_limits(visit.house, visit.project.id)
    return visit.page("queues.html", whole=whole, **_shown(visit))


def live(visit: Visit) -> Response:
    """Only what changes of the page, as it was a second ago at most."""
    return visit.live("queues_live.html", None, LIVE_SECONDS, lambda: _shown(visit))


def _shown(visit: Visit) -> dict[str, Any]:
    mail = {"request": {"url": visit.receiver("/mail")}, "queue": "mail"}
    return {
        "rows": verbs.list_queues(visit.house, visit.project.id),
        "words": limits_in_words,
        "now": codec.from_ms(visit.now_ms()),
        "command_text": curl(base_url(visit.desk), "tasks", mail),
    }


def limits_in_words(limits: Limits) -> str:
    """Limits as a phrase."""
    parts = []
    if limits.rate is not None:
        burst = f", bursts of {limits.burst}" if limits.burst > 1 else ""
        parts.append(f"{limits.rate} per {shown.span(limits.per)}{burst}")
    if limits.concurrency is not None:
        parts.append(f"{limits.concurrency} at once")
    if limits.key_concurrency is not None:
        parts.append(f"{limits.key_concurrency} a key")
    return ", ".join(parts) or "none"


def queue_pause(visit: Visit, name: str) -> Response:
    """Stop a queue's calls."""
    return _paused(visit, name, True)


def queue_resume(visit: Visit, name: str) -> Response:
    """Let a queue's calls go on."""
    return _paused(visit, name, False)


def _paused(visit: Visit, name: str, paused: bool) -> Response:
    verbs.pause(visit.house, visit.project.id, name, paused)
    visit.wrote("pause queue" if paused else "resume queue", name)
    told = (
        f"{name} is paused: calls in flight end, no other begins." if paused else f"{name} goes on."
    )
    return visit.go(url_for("dashboard.queues"), told)


def queue_purge(visit: Visit, name: str) -> Response:
    """Delete all that waits in a queue, once its name was typed."""
    if request.form.get("sure", "") != name:
        return visit.go(
            url_for("dashboard.queues"), f"Nothing was purged: type {name} to confirm.", False
        )
    gone = verbs.purge(visit.house, visit.project.id, name)
    visit.wrote("purge queue", name, after=f"{gone} deleted")
    return visit.go(
        url_for("dashboard.queues"), f"Deleted {shown.many(gone, 'waiting task')} of {name}."
    )


def queue_limits(visit: Visit, name: str) -> Response:
    """Replace a queue's limits."""
    state: QueueState = verbs.get_queue(visit.house, visit.project.id, name)
    limits = replace(limits_of_form(), paused=state.limits.paused)
    verbs.set_limits(visit.house, visit.project.id, name, limits)
    before, after = limits_in_words(state.limits), limits_in_words(limits)
    visit.wrote("limit queue", name, before, after)
    return visit.go(url_for("dashboard.queues"), f"Limits of {name}: {after}.")


def limits_of_form() -> Limits:
    """The limits of the form. Raises InvalidField."""
    rate = number_of_form("rate")
    per = request.form.get("per", "").strip()
    span = rules.span(per, "per", SHORTEST, LONGEST) if per else timedelta(seconds=1)
    return Limits(
        rate=rate,
        per=span,
        burst=number_of_form("burst") or 1,
        concurrency=number_of_form("concurrency"),
        key_concurrency=number_of_form("key_concurrency"),
    )


def number_of_form(name: str) -> int | None:
    """A whole number of the form; None when it was left empty. Raises InvalidField."""
    text = request.form.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= MOST):
        raise InvalidField(
            name, f"{name.replace('_', ' ')} must be a whole number from 1 to {MOST}, or empty"
        )
    return int(text)


def queue_verb(visit: Visit, name: str, verb: str) -> Response:
    """One of the verbs above."""
    if verb not in VERBS:
        raise NotFound("there is no such verb")
    return VERBS[verb](visit, name)


VERBS = {
    "pause": queue_pause,
    "resume": queue_resume,
    "purge": queue_purge,
    "limits": queue_limits,
}

ROUTES = (
    ("GET", "/queues", "queues", queues, Role.VIEWER),
    ("GET", "/queues/live", "queues_live", live, Role.VIEWER),
    ("POST", "/queues/<name>/<verb>", "queue_verb", queue_verb, Role.OPERATOR),
)
