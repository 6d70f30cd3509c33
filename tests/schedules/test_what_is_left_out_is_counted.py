"""A schedule tells how many occurrences its overlap rule left out, and how often an outage did."""

from __future__ import annotations

from typing import Any

import pytest

from api.app import create_app
from tests.api.conftest import Api
from tests.schedules.conftest import World, at
from timeball.dispatch import metrics, schedules
from timeball.model.schedule import Overlap
from timeball.model.task import Request
from timeball.settings import Settings
from timeball.store.projects import ApiKey


def counts(world: World, made: Any) -> tuple[int, int, int]:
    """Runs, skipped, missed."""
    kept = world.get(made)
    return kept.runs, kept.skipped, kept.missed


def skip_two(world: World, **fields: Any) -> Any:
    """A schedule whose first task runs while two occurrences are skipped."""
    made = world.make(overlap=Overlap.SKIP, **fields)
    world.set(at(12, 1))
    world.beat()
    world.claim()
    world.run(at(12, 3))
    return made


@pytest.mark.parametrize(
    ("overlap", "counted"),
    [
        (Overlap.SKIP, (1, 2, 0)),
        (Overlap.QUEUE_ONE, (2, 1, 0)),
        (Overlap.ALLOW, (3, 0, 0)),
        (Overlap.CANCEL_OTHER, (3, 0, 0)),
    ],
)
def test_each_overlap_rule_counts_what_it_leaves_out(
    world: World, overlap: Overlap, counted: tuple[int, int, int]
) -> None:
    made = world.make(overlap=overlap)
    world.set(at(12, 1))
    world.beat()
    world.claim()
    world.run(at(12, 3))
    assert counts(world, made) == counted


def test_an_outage_counts_once(world: World) -> None:
    made = world.make()
    world.pass_by(hours=2, seconds=30)
    world.beat()
    assert counts(world, made) == (1, 0, 1)


@pytest.mark.parametrize("body", [b"", b"\0" * 12])
def test_counts_outlive_edits_pauses_and_further_occurrences(world: World, body: bytes) -> None:
    made = skip_two(world, request=Request("http://localhost/", body=body))
    edit = {"cron": "*/2 * * * *", "request": Request("http://localhost/", body=body + b"longer")}
    schedules.update(world.house, world.project, made.id, edit)
    schedules.pause(world.house, world.project, made.id)
    assert schedules.resume(world.house, world.project, made.id).skipped == 2
    assert counts(world, made) == (1, 2, 0)
    world.run(at(12, 4))
    assert counts(world, made) == (1, 3, 0)
    kept = world.get(made)
    assert (kept.cron, kept.request.body) == ("*/2 * * * *", body + b"longer")
    world.finish(*[task.id for task in world.tasks(made)])
    world.run(at(12, 6))
    assert counts(world, made) == (2, 3, 0)
    assert world.tasks(made)[-1].request.body == body + b"longer"


def test_they_are_in_the_api_the_list_and_the_metrics(
    world: World, settings: Settings, api_key: tuple[ApiKey, str]
) -> None:
    made = skip_two(world)
    api = Api(create_app(settings), api_key[1])
    told = api("GET", f"/v2/schedules/{made.id}").json
    assert (told["runs_count"], told["skipped_count"], told["missed_count"]) == (1, 2, 0)
    assert api("GET", "/v2/schedules").json == [told]
    shown = metrics.render(metrics.gather(world.house))
    assert b'timeball_skipped_total{project="test"} 2' in shown
