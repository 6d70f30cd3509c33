"""The route that explains a task, ours: why it is not called at this moment, and when it will be."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from api.answers import reply
from api.door import Door
from api.mergent.dump import STATUS, instant
from api.mergent.routes import Call, guarded, task_id_of
from timeball.dispatch import explain
from timeball.ids import id_text
from timeball.model.explanation import Explanation, Ground
from timeball.model.project import Scope


def dump_ground(ground: Ground) -> dict[str, Any]:
    """One reason: in words, then the facts that belong to it."""
    facts = {
        "scope": ground.scope,
        "name": ground.name,
        "until": instant(ground.until),
        "ahead": ground.ahead,
        "limit": ground.limit,
        "in_flight": ground.in_flight,
        "rate": ground.rate,
        "per_seconds": ground.per_seconds,
        "failed_in_row": ground.failed_in_row,
    }
    told = {name: value for name, value in facts.items() if value is not None}
    return {"reason": ground.reason, "words": ground.words, **told}


def dump_explanation(task_id: bytes, found: Explanation) -> dict[str, Any]:
    """An explanation as answers have it."""
    return {
        "id": id_text(task_id),
        "status": STATUS[found.state],
        "at": instant(found.now),
        "words": found.words,
        "reasons": [dump_ground(ground) for ground in found.grounds],
        "starts_at": instant(found.starts_at),
        "certainty": found.certainty,
    }


class Explainer:
    """The verb."""

    def __init__(self, door: Door) -> None:
        self.door = door

    def explain(self, call: Call, task_id: str) -> Response:
        """Say why a task is not called at this moment, and when it will be. Ours."""
        wanted = task_id_of(task_id)
        found = explain.explain(self.door.house, call.caller.project, wanted)
        return reply(dump_explanation(wanted, found))


ROUTES: tuple[tuple[str, str, str, Scope], ...] = (
    ("GET", "/tasks/<task_id>/explain", "explain", Scope.READ),
)
"""Method, path, verb of `Explainer`, and the scope a key needs."""


def add(made: Blueprint, door: Door) -> None:
    """Add the route to the dialect's blueprint."""
    verbs = Explainer(door)
    for method, path, verb, scope in ROUTES:
        view = guarded(door, getattr(verbs, verb), scope)
        made.add_url_rule(path, verb, view, methods=[method])
