"""`/metrics`: accepted by Prometheus's own parser, true, bounded, and only for those who may know."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from api.app import create_app
from tests.api.conftest import Api, Pump
from timeball.dispatch import intake, metrics
from timeball.dispatch.house import House
from timeball.dispatch.metrics import METRICS, Board
from timeball.model.attempt import Outcome
from timeball.model.project import Project
from timeball.model.task import Draft, Request, State
from timeball.settings import Settings
from timeball.store import clock, gauges, keys, projects, pumps, roll
from workers.call import Called, Prepared
from workers.prepare import Recorder, Signers

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-metrics-0123456789"


def read(house: House) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels, as Prometheus's parser reads them."""
    text = metrics.render(metrics.gather(house)).decode()
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_they_are_what_the_store_holds(api: Api, pump: Pump, house: House) -> None:
    for _ in range(3):
        api.create()
    api.create(delay="1h")
    claimed, *_ = pump.take(2)
    pump.end(claimed, State.DEAD)
    told = read(house)
    mine = ("project", "test")
    assert told["timeball_store_up", ()] == 1
    assert told["timeball_projects", ()] == 1
    assert told["timeball_tasks_waiting", (mine,)] == 2
    assert told["timeball_tasks_due", (mine,)] == 1
    assert told["timeball_tasks_running", (mine,)] == 1
    assert told["timeball_tasks_kept", (mine, ("state", "dead"))] == 1
    assert told["timeball_submitted_total", (mine,)] == 4
    assert told["timeball_oldest_due_age_seconds", (mine,)] >= 0
    assert told["timeball_beats_leading", ()] == 0
    assert told["timeball_pumps", (("kind", "call"),)] == 1
    assert told["timeball_redis_aof_enabled", ()] == 1


def test_promtool_has_nothing_to_say_of_them(api: Api, house: House) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    roll.sign_in(house.client, "beat", "here:1", {"leads": True})
    api.create()
    told = metrics.render(metrics.gather(house))
    done = subprocess.run([promtool, "check", "metrics"], input=told, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_metric_that_is_told_is_listed_and_every_listed_one_is_told(
    api: Api, house: House
) -> None:
    roll.sign_in(house.client, "beat", "here:1", {"leads": True})
    api.create()
    assert metrics.gather(house).keys() == {metric.name for metric in METRICS}
    told = read(house)
    assert told["timeball_beats_leading", ()] == 1
    assert told["timeball_heartbeat_age_seconds", (("role", "beat"),)] < 10


def test_attempts_are_counted_by_how_they_ended(house: House, project: Project, pump: Pump) -> None:
    recorder = Recorder(Signers(house.client, house.vault), "w")
    ends = [
        (Outcome.ANSWERED, 200),
        (Outcome.ANSWERED, 503),
        (Outcome.TIMED_OUT, None),
        (Outcome.BLOCKED, None),
    ]
    intake.submit(house, project.id, [Draft(project.id, Request("https://a.example/"))] * 4)
    for claimed, (outcome, status) in zip(pump.take(4), ends, strict=True):
        prepared = Prepared(
            claimed, claimed.due_ms + 3, "https://a.example/", "a.example", "POST", [], b"", 1000
        )
        called = Called(prepared, outcome, status, b"", b"", False, (0, 0, 0, 0, 5000), None)
        recorder.record(called, claimed.due_ms)
    pumps.finish(
        house.client,
        house.prefix(project.id),
        "pump",
        [pumps.Finished(b"x" * 16, 1, 2, 0, b"{}")],
        {},
    )
    counters = recorder.take_counters()[project.id]
    assert counters["o:answered5"] == counters["o:timed_out"] == counters["o:blocked"] == 1
    house.client.hset(f"{keys.prefix(0)}sum:{project.id}", mapping=counters)
    told = read(house)
    for outcome in ("answered_2xx", "answered_5xx", "timed_out", "blocked"):
        labels = (("outcome", outcome), ("project", "test"))
        assert told["timeball_attempts_total", labels] == 1
    # 5 ms is over 0.004 s and within 0.008 s
    assert told["timeball_call_duration_seconds_bucket", (("le", "0.004"),)] == 0
    assert told["timeball_call_duration_seconds_bucket", (("le", "0.008"),)] == 4
    assert told["timeball_lateness_seconds_count", ()] == 4


def test_counters_only_grow_though_minutes_are_forgotten(api: Api, house: House) -> None:
    name = ("timeball_submitted_total", (("project", "test"),))
    seen = []
    for _ in range(3):
        api.create()
        seen.append(read(house)[name])
        clock.advance(house.client, 1, timedelta(hours=20))
    assert read(house)[name] == 3
    for key in house.client.scan_iter("tb:{0}:m:*"):
        house.client.delete(key)
    api.create()
    assert [*seen, read(house)[name]] == [1, 2, 3, 4]


def test_names_are_quoted_and_projects_beyond_a_hundred_are_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MOST_PROJECTS", 2)
    for name in ('a "quoted" \\ name', "b", "c", "d"):
        projects.create_project(house.client, house.vault, name)
    told = {dict(labels)["project"] for name, labels in read(house) if "waiting" in name}
    assert told == {'a "quoted" \\ name', "b", metrics.OTHERS}


def test_a_lost_task_is_counted(house: House, project: Project, pump: Pump, api: Api) -> None:
    api.create()
    assert pump.take()
    prefix = house.prefix(project.id)
    pumps.give_back(house.client, prefix, "pump", [], max_lost=1)
    [sums] = gauges.tally(house.client, prefix, [project.id])
    assert (sums["o:lost"], sums["dead"]) == (1, 1)


def test_a_store_that_is_away_is_told_as_such(settings: Settings, house: House) -> None:
    app = create_app(replace(settings, redis_url="unix:///nowhere/at/all.sock"))
    answer = app.test_client().get("/metrics")
    assert answer.status_code == 200
    assert "timeball_store_up 0" in answer.text
    assert "timeball_tasks_waiting" not in answer.text


@pytest.mark.parametrize(
    ("token", "sent", "status"),
    [
        (None, None, 403),
        (None, TOKEN, 403),
        (TOKEN, None, 401),
        (TOKEN, TOKEN[:-1], 401),
        (TOKEN, TOKEN, 200),
        ("open", None, 200),
    ],
)
def test_who_may_read_them(
    settings: Settings, house: House, token: str | None, sent: str | None, status: int
) -> None:
    app = create_app(replace(settings, dev=False, metrics_token=token))
    headers = {"Authorization": f"Bearer {sent}"} if sent else {}
    assert app.test_client().get("/metrics", headers=headers).status_code == status


def test_a_hundred_scrapes_cost_little(
    api: Api, house: House, api_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked, the store is read again only after as long as it may be kept."""
    for n in range(20):
        other = api_of(f"project {n}")
        for queue in ("a", "b", "c"):
            other.create(queue=queue)
    made = []
    gather = metrics.gather
    monkeypatch.setattr(metrics, "gather", lambda house: made.append(1) or gather(house))
    board = Board(lambda: house)
    began = time.monotonic()
    texts = {board.text() for _ in range(100)}
    assert len(made) <= 1 + (time.monotonic() - began) / metrics.LEAST_SECONDS
    assert len(texts) == len(made)
    assert board._until - began >= metrics.LEAST_SECONDS


def test_what_a_scrape_costs_is_bounded(
    house: House, api_of: Callable[..., Api], settings: Settings
) -> None:
    """Less than a tenth was measured: 1.4 ms of this process and 0.9 ms of the store's for 20 projects."""
    for n in range(20):
        other = api_of(f"project {n}")
        for queue in ("a", "b", "c"):
            other.create(queue=queue)
    metrics.gather(house)
    ours, stores = time.thread_time(), store_seconds(house)
    for _ in range(20):
        assert b"timeball_store_up 1" in metrics.render(metrics.gather(house))
    assert (time.thread_time() - ours) / 20 < 0.020
    assert (store_seconds(house) - stores) / 20 < 0.010
    ask = create_app(replace(settings, dev=True)).test_client().get
    text = ask("/metrics").data
    began = time.thread_time()
    assert {ask("/metrics").data for _ in range(20)} >= {text}
    assert (time.thread_time() - began) / 20 < 0.020


def store_seconds(house: House) -> float:
    """What processor time the store has used."""
    found = house.client.info("cpu")
    return float(found["used_cpu_user"] + found["used_cpu_sys"])


def test_a_scrape_is_answered_alike_on_the_short_road_and_the_long_one(
    settings: Settings, house: House
) -> None:
    client = create_app(replace(settings, metrics_token=TOKEN)).test_client()
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Request-Id": "mine"}
    short, long = client.get("/metrics", headers=headers), client.head("/metrics", headers=headers)
    assert (short.status_code, long.status_code) == (200, 200)
    assert {*short.headers.keys()} == {*long.headers.keys()}
    for name in ("Content-Type", "Content-Length", "Cache-Control", "X-Request-Id"):
        assert short.headers[name] == long.headers[name]


# -- what is deployed and written about them -------------------------------------------------------


def known_names() -> set[str]:
    names = {metric.name for metric in METRICS}
    for metric in METRICS:
        if metric.type == "histogram":
            names |= {metric.name + end for end in ("_bucket", "_sum", "_count")}
    return names


def queries() -> list[tuple[str, str]]:
    dashboard = json.loads((ROOT / "deploy/grafana/timeball.json").read_text())
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
    found = [(p["title"], t["expr"]) for p in dashboard["panels"] for t in p["targets"]]
    found += [(v["name"], v["definition"]) for v in dashboard["templating"]["list"][1:]]
    found += [(r["alert"], r["expr"]) for group in rules["groups"] for r in group["rules"]]
    return found


@pytest.mark.parametrize(("where", "query"), queries())
def test_queries_name_only_what_there_is(where: str, query: str) -> None:
    named = set(re.findall(r"timeball_\w+", query))
    assert named, where
    assert named <= known_names(), where
    assert query.count("(") == query.count(")"), where
    labels = {label for metric in METRICS for label in metric.labels} | {"le", "instance"}
    for matcher in re.findall(r"\{([^}]*)\}", query):
        assert set(re.findall(r"(\w+)\s*=", matcher)) <= labels, where
    for grouping in re.findall(r"(?:by|without) \(([^)]*)\)", query):
        assert set(re.findall(r"\w+", grouping)) <= labels, where


def test_the_reference_lists_every_metric_as_it_is() -> None:
    text = (ROOT / "docs/reference/metrics.md").read_text()
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `{metric.name}` | {metric.type} | {labels} | {metric.help} |" in text
    assert set(re.findall(r"^\| `(timeball_\w+)`", text, re.MULTILINE)) == {m.name for m in METRICS}
