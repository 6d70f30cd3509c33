"""`timeball.client`: the same wire as curl, values instead of JSON, and no task made twice."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.receiver import Answer, Received, Receiver
from timeball.client import Conflicting, Forbidden, Invalid, Missing, Refused, Timeball, Unreachable
from timeball.client import wire as wire_module
from timeball.client.resources import task

URL = "https://example.com/hook"


def test_a_task_is_made_and_read(timeball: Timeball) -> None:
    at = datetime(2040, 1, 1, tzinfo=UTC)
    made = timeball.tasks.create(
        URL,
        json={"order": 7},
        headers={"X-Kind": "order"},
        name="order 7",
        tags=["a", "b"],
        scheduled_for=at,
        timeout=timedelta(seconds=5),
        retry={"max_attempts": 3},
        on_failure="https://example.com/failed",
    )
    assert (made.status, made.url, made.name, made.tags) == ("queued", URL, "order 7", ("a", "b"))
    assert made.scheduled_for == at
    assert made.raw["request"]["headers"] == {"X-Kind": "order", "Content-Type": "application/json"}
    assert json.loads(made.raw["request"]["body"]) == {"order": 7}
    assert (made.raw["timeout"], made.raw["retry"]["max_attempts"]) == (5, 3)
    assert made.raw["on_failure"] == "https://example.com/failed"
    assert timeball.tasks.get(made.id) == made
    assert timeball.tasks.attempts(made.id) == []
    assert not made.ended


def test_bodies_may_be_bytes_and_delays_spans(timeball: Timeball) -> None:
    made = timeball.tasks.create(URL, body=b"\xff\x00", delay=timedelta(hours=1))
    assert made.raw["request"]["body_base64"] == "/wA="
    assert made.due_at is not None
    assert timedelta(minutes=59) < made.due_at - made.created_at <= timedelta(hours=1)
    for delay in ("1h", 3600):
        again = timeball.tasks.create(URL, delay=delay)
        assert again.scheduled_for is not None
    with pytest.raises(ValueError, match="not both"):
        timeball.tasks.create(URL, body="a", json={})
    with pytest.raises(ValueError, match="time zone"):
        timeball.tasks.create(URL, scheduled_for=datetime(2040, 1, 1))  # noqa: DTZ001 - what is refused


def test_a_task_lives_through_its_verbs(timeball: Timeball) -> None:
    made = timeball.tasks.create(URL, delay="1h")
    assert timeball.tasks.update(made.id, name="b").name == "b"
    assert timeball.tasks.cancel(made.id).status == "cancelled"
    assert timeball.tasks.cancel(made.id).ended
    assert timeball.tasks.run(made.id).status == "queued"
    assert timeball.tasks.explain(made.id)["reasons"]
    with pytest.raises(Conflicting):
        timeball.tasks.redrive(made.id, delay="1h")
    with pytest.raises(TimeoutError, match="queued"):
        timeball.tasks.wait(made.id, within=0)
    timeball.tasks.delete(made.id)
    with pytest.raises(Missing):
        timeball.tasks.get(made.id)


def test_lists_go_on_page_after_page(timeball: Timeball) -> None:
    ids = [timeball.tasks.create(URL, queue="q").id for _ in range(5)]
    timeball.tasks.create(URL)
    assert [t.id for t in timeball.tasks.list(queue="q", limit=2)] == ids[::-1]


def test_many_are_taken_and_wrong_ones_told(timeball: Timeball) -> None:
    good, wrong = timeball.tasks.create_many([task(URL, name="a"), task("nowhere")])
    assert not isinstance(good, Refused)
    assert good.name == "a"
    assert isinstance(wrong, Invalid)
    assert wrong.faults[0].field == "request.url"
    with pytest.raises(ValueError, match="1000"):
        timeball.tasks.create_many([])


def test_what_is_wrong_is_told_in_kinds(timeball: Timeball, url: str) -> None:
    with pytest.raises(Invalid) as invalid:
        timeball.tasks.create("ftp://x", nam="a")
    assert {fault.field for fault in invalid.value.faults} == {"request.url", "nam"}
    assert invalid.value.request_id
    with pytest.raises(Forbidden):
        Timeball(url, "tb_nobody").tasks.create(URL)
    timeball.tasks.create(URL, idempotency_key="k")
    with pytest.raises(Conflicting):
        timeball.tasks.create(URL, name="other", idempotency_key="k")


def test_schedules_and_queues(timeball: Timeball) -> None:
    made = timeball.schedules.create(URL, cron="0 9 * * 1-5", timezone="Europe/Amsterdam", name="s")
    assert (made.cron, made.timezone, made.paused) == ("0 9 * * 1-5", "Europe/Amsterdam", False)
    assert made.next_at is not None
    assert [s.id for s in timeball.schedules.list(name="s")] == [made.id]
    assert timeball.schedules.pause(made.id).paused
    assert not timeball.schedules.resume(made.id).paused
    assert timeball.schedules.update(made.id, cron="@daily").cron == "@daily"
    nine, ten = timeball.schedules.preview(made.id, 2)
    assert ten - nine == timedelta(days=1)
    assert timeball.schedules.history(made.id) == []
    assert timeball.schedules.run(made.id).url == URL
    timeball.schedules.delete(made.id)
    with pytest.raises(Missing):
        timeball.schedules.get(made.id)
    assert timeball.queues.update("q", rate=5, per="second")["rate"] == 5
    assert timeball.queues.pause("q")["paused"]
    assert not timeball.queues.resume("q")["paused"]
    timeball.tasks.create(URL, queue="q")
    assert "q" in {queue["name"] for queue in timeball.queues.list()}


TOLD = json.dumps(
    {
        "id": "x",
        "status": "queued",
        "request": {"url": URL, "method": "POST"},
        "name": None,
        "queue": "default",
        "tags": [],
        "attempts_count": 0,
        "created_at": "2030-01-01T00:00:00.000Z",
        "scheduled_for": None,
        "due_at": None,
        "ended_at": None,
    }
).encode()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the client slept, which takes no time."""
    slept: list[float] = []
    monkeypatch.setattr(wire_module, "sleep", slept.append)
    return slept


def test_a_create_is_sent_again_with_the_same_key(waits: list[float]) -> None:
    answers = [
        Answer(status=502),
        Answer(status=503, headers={"Retry-After": "7"}),
        Answer(status=201, body=TOLD),
    ]
    with Receiver(lambda _: answers.pop(0)) as api:
        assert Timeball(api.url, "k").tasks.create(URL).id == "x"
    keys = {call.headers["idempotency-key"] for call in api.received}
    assert (len(api.received), len(keys)) == (3, 1)
    assert waits[1] >= 7


def test_what_may_have_been_done_is_not_done_again(waits: list[float]) -> None:
    def answer(call: Received) -> Answer:
        return Answer(status=502 if call.path.endswith("/run") else 503)

    with Receiver(answer) as api:
        client = Timeball(api.url, "k", tries=2)
        with pytest.raises(Unreachable, match="502"):
            client.tasks.run("x")
        assert len(api.received) == 1
        with pytest.raises(Unreachable, match="503"):
            client.tasks.get("x")
        assert len(api.received) == 3


def test_nobody_there_is_told_as_such(waits: list[float]) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        Timeball("http://127.0.0.1:9", "k", tries=2).tasks.get("x")
    assert len(waits) == 1


def test_where_it_is_may_come_from_the_environment(
    url: str, timeball: Timeball, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIMEBALL_URL", raising=False)
    with pytest.raises(ValueError, match="TIMEBALL_URL"):
        Timeball()
    made = timeball.tasks.create(URL)
    key = str(timeball.wire.session.headers["Authorization"]).removeprefix("Bearer ")
    monkeypatch.setenv("TIMEBALL_URL", url + "/v2/")
    monkeypatch.setenv("TIMEBALL_KEY", key)
    assert Timeball().tasks.get(made.id) == made


def test_it_loads_neither_store_nor_celery_nor_a_framework() -> None:
    code = (
        "import sys, timeball.client, timeball.receivers; "
        "print([m for m in ('redis', 'celery', 'flask', 'django', 'fastapi', 'marshmallow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
