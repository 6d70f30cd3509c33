"""A crontab, a Celery beat_schedule, EventBridge's JSON and a file of ours become schedules, after a diff."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab as celery_crontab
from celery.schedules import schedule as celery_every
from click.testing import CliRunner, Result
from werkzeug.serving import make_server

from api.app import create_app
from tests.schedules.conftest import World
from timeball.cli import cli, schedule_files
from timeball.cli.schedule_diff import plan
from timeball.settings import Settings
from timeball.store.projects import ApiKey
from timeball.timing.rule import parse_rule

URL = "https://example.com/run"
CRONTAB = r"""
# nightly things
SHELL=/bin/sh
15 3 * * *   /usr/bin/backup --all > /dev/null 2>&1
CRON_TZ=Europe/Amsterdam
*/5 9-17 * * 1-5 curl -fsS -X PUT -H 'X-Token: abc' -d '{"a": 1}' https://example.com/ping >/dev/null 2>&1
@daily curl https://example.com/daily
@reboot /usr/bin/hello
0 0 * * *
"""


def test_a_crontab_keeps_its_curls_and_sends_other_commands_to_a_url() -> None:
    read = schedule_files.crontab(CRONTAB, URL)
    backup, ping, daily = read.schedules
    assert (backup["cron"], backup["request"]["url"]) == ("15 3 * * *", URL)
    assert backup["request"]["body"].startswith("/usr/bin/backup")
    assert ping["timezone"] == "Europe/Amsterdam"
    assert ping["request"] == {
        "url": "https://example.com/ping",
        "method": "PUT",
        "headers": {"X-Token": "abc"},
        "body": '{"a": 1}',
    }
    assert (daily["cron"], daily["request"]["method"]) == ("@daily", "GET")
    assert len(read.left_out) == 2
    assert len(schedule_files.crontab(CRONTAB, None).left_out) == 3


def test_celerys_schedules_become_cron_texts() -> None:
    entries = {
        "often": {"task": "a.b", "schedule": 30.0, "args": (1,), "kwargs": {"x": 2}},
        "span": {"task": "a.b", "schedule": timedelta(minutes=5)},
        "every": {"task": "a.b", "schedule": celery_every(run_every=90)},
        "cron": {
            "task": "a.b",
            "schedule": celery_crontab(minute=0, hour="*/3", day_of_week="mon,fri"),
        },
        "json": {"task": "a.b", "schedule": {"crontab": {"minute": "0", "hour": 7}}},
        "sun": {"task": "a.b", "schedule": {"solar": "sunset"}},
    }
    read = schedule_files.celery(entries, URL, "UTC")
    rules = {one["name"]: one["cron"] for one in read.schedules}
    assert rules == {
        "often": "@every 30s",
        "span": "@every 300s",
        "every": "@every 90s",
        "cron": "0 */3 * * mon,fri",
        "json": "0 7 * * *",
    }
    assert json.loads(read.schedules[0]["request"]["body"]) == {
        "task": "a.b",
        "args": [1],
        "kwargs": {"x": 2},
    }
    assert [line.partition(":")[0] for line in read.left_out] == ["sun"]
    for rule in rules.values():
        parse_rule(rule)


def test_eventbridge_counts_weekdays_from_one() -> None:
    told = {
        "Schedules": [
            {
                "Name": "mondays",
                "ScheduleExpression": "cron(30 9 ? * 2-6 *)",
                "ScheduleExpressionTimezone": "America/New_York",
                "FlexibleTimeWindow": {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
                "State": "DISABLED",
                "Target": {
                    "Arn": "arn:aws:lambda:x",
                    "Input": '{"a": 1}',
                    "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 600},
                },
            },
            {"Name": "third", "ScheduleExpression": "cron(0 8 ? * 6#3 *)", "Target": {}},
            {"Name": "rate", "ScheduleExpression": "rate(5 minutes)", "Target": {}},
            {"Name": "once", "ScheduleExpression": "at(2027-01-01T00:00:00)", "Target": {}},
            {"Name": "year", "ScheduleExpression": "cron(0 0 1 1 ? 2030)", "Target": {}},
        ]
    }
    read = schedule_files.eventbridge(told, URL)
    mondays, third, rate = read.schedules
    assert mondays == {
        "name": "mondays",
        "cron": "30 9 * * 1-5",
        "request": {"url": URL, "body": '{"a": 1}'},
        "timezone": "America/New_York",
        "paused": True,
        "window": 900,
        "retry": {"max_attempts": 4, "max_age": 600},
    }
    assert (third["cron"], rate["cron"]) == ("0 8 * * 5#3", "@every 5m")
    assert len(read.left_out) == 2
    friday = parse_rule(third["cron"]).next_after(datetime(2027, 3, 1, tzinfo=UTC))
    assert friday == datetime(2027, 3, 19, 8, tzinfo=UTC)


def test_the_diff_compares_meaning_not_letters() -> None:
    now = {
        **{"id": "1", "name": "a", "cron": "* * * * *", "window": 300, "timezone": "UTC"},
        **{"catch_up": "latest", "start_at": "2027-01-01T00:00:00.000Z", "paused": False},
        "retry": {"max_attempts": 2, "min_backoff": 10},
        "request": {
            "url": URL,
            "method": "POST",
            "body": '{"a":1}',
            "headers": {"Authorization": "hidden:abc"},
        },
    }
    same = {
        **{"name": "a", "window": "5m", "start_at": datetime(2027, 1, 1, tzinfo=UTC)},
        **{"timezone": None, "retry": {"min_backoff": "10s"}},
        "request": {"body": {"a": 1}, "headers": {"Authorization": "Bearer x"}},
    }
    assert plan([same], [now], prune=True) == []
    [step] = plan([{"name": "a", "cron": "@daily", "request": {"url": "x"}}], [now], prune=False)
    assert (step.method, step.path) == ("PATCH", "/schedules/1")
    assert step.words[1:] == (
        '    cron: "* * * * *" -> "@daily"',
        f'    request.url: "{URL}" -> "x"',
    )
    assert [s.method for s in plan([], [now], prune=True)] == ["DELETE"]


@pytest.fixture
def run(settings: Settings, world: World, api_key: tuple[ApiKey, str]) -> Iterator[Any]:
    """Runs a command line against a served API."""
    server = make_server("127.0.0.1", 0, create_app(settings), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    env = {"TIMEBALL_URL": f"http://127.0.0.1:{server.port}", "TIMEBALL_KEY": api_key[1]}

    def call(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["schedules", *words], env=env)
        assert result.exit_code == code, result.output
        return result

    yield call
    server.shutdown()
    thread.join()


def test_a_file_is_applied_after_its_diff_was_shown(run: Any, world: World, tmp_path: Path) -> None:
    file = tmp_path / "schedules.yaml"
    file.write_text(
        f"""
defaults: {{timezone: Europe/Amsterdam}}
schedules:
  - name: report
    cron: 0 9 * * 1-5
    request: {{url: "{URL}", body: {{kind: daily}}}}
    window: 5m
    on_failing: {URL}/failing
    failing_after: 2
    pause_when_failing: true
    on_recovered: {URL}/again
  - name: tidy
    rrule: FREQ=DAILY
    dtstart: 2027-03-02T00:00:00Z
    request: {{url: "{URL}"}}
"""
    )
    shown = run("apply", str(file), code=1).output
    assert "+ report: 0 9 * * 1-5" in shown
    assert world.client.zcard(f"{world.prefix}next") == 0
    assert "2 changed" in run("apply", str(file), "--yes").output
    assert "0 to change, 2 as they are" in run("apply", str(file), "--yes").output
    file.write_text(file.read_text().replace("failing_after: 2", "failing_after: 5"))
    assert "failing_after: 2 -> 5" in run("apply", str(file), "--yes").output
    file.write_text(file.read_text().replace("0 9 * * 1-5", "0 10 * * 1-5"))
    assert '"0 9 * * 1-5" -> "0 10 * * 1-5"' in run("apply", str(file), "--yes").output
    file.write_text(file.read_text().partition("  - name: tidy")[0])
    assert "- tidy" in run("apply", str(file), "--yes", "--prune").output
    [left] = json.loads(run("list", "--json").output)
    assert (left["name"], left["cron"], left["window"]) == ("report", "0 10 * * 1-5", 300)
    assert (left["on_failing"], left["failing_after"]) == (f"{URL}/failing", 5)
    assert (left["pause_when_failing"], left["on_recovered"]) == (True, f"{URL}/again")


def test_schedules_are_steered_by_name(run: Any, world: World, tmp_path: Path) -> None:
    file = tmp_path / "crontab"
    file.write_text("0 13 * * * curl https://example.com/x\n")
    assert "+ crontab 1" in run("import", "crontab", str(file), "--yes").output
    assert "schedules:" in run("import", "crontab", str(file), "--yaml").output
    run("pause", "crontab 1")
    assert "paused" in run("list").output
    assert "2027-03-01T13:00:00.000Z" in run("resume", "crontab 1").output
    assert "task " in run("run", "crontab 1").output
    assert len(world.tasks()) == 1
    assert "2027-03-01T13:00:00.000Z" in run("preview", "crontab 1").output
    assert "2027-03-01T12:30:00.000Z" in run("preview", "*/30 * * * *", "-n", "1").output
    assert "no" in run("pause", "nobody", code=1).output
    assert "cron" in run("preview", "99 * * * *", code=1).output


def test_a_program_is_not_run_without_a_yes(run: Any, tmp_path: Path) -> None:
    said = run("import", "celery", "tests.schedules.nowhere:app", code=1).output
    assert "runs the code" in said
