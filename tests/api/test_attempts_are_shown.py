"""The attempt log: what each try met, oldest first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.api.conftest import Api, Pump
from timeball.model.attempt import Attempt, Outcome, Timing
from timeball.model.task import State

AT = datetime(2026, 11, 2, 12, tzinfo=UTC)


def test_a_task_without_attempts_has_an_empty_log(api: Api, pump: Pump) -> None:
    task = api.create()
    assert api("GET", f"/v2/tasks/{task['id']}/attempts").json == []
    pump.take()
    assert api("GET", f"/tasks/{task['id']}/attempts").json == []


def test_each_attempt_tells_what_it_met(api: Api, pump: Pump) -> None:
    task = api.create()
    refused = Attempt(
        1,
        Outcome.REFUSED,
        AT,
        error="connection refused",
        worker="w1",
        next_at=AT + timedelta(seconds=5),
        timing=Timing(100, 0, 0, 0, 1500),
    )
    pump.end(pump.take()[0], State.SCHEDULED, refused, due_ms=0)
    answered = Attempt(
        2,
        Outcome.ANSWERED,
        AT + timedelta(seconds=5),
        200,
        Timing(0, 200, 300, 4000, 5000),
        (("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2"), ("Set-Cookie", "s=secret")),
        "grüße".encode()[:4],
        body_cut=True,
        worker="w2",
    )
    pump.end(pump.take()[0], State.SUCCEEDED, answered)
    first, second = api("GET", f"/v2/tasks/{task['id']}/attempts").json
    assert first == {
        "number": 1,
        "outcome": "refused",
        "started_at": "2026-11-02T12:00:00.000Z",
        "timing": {"dns": 0.1, "connect": 0, "tls": 0, "first_byte": 0, "total": 1.5},
        "response": None,
        "error": "connection refused",
        "hint": None,
        "worker": "w1",
        "next_attempt_at": "2026-11-02T12:00:05.000Z",
    }
    assert second["number"] == 2
    assert second["next_attempt_at"] is None
    assert second["response"] == {
        "status": 200,
        "headers": {"Content-Type": "text/plain", "X-A": "1, 2", "Set-Cookie": "hidden"},
        "body": "grü",
        "body_cut": True,
    }


def test_a_response_that_is_no_text_is_shown_as_base64(api: Api, pump: Pump) -> None:
    task = api.create()
    raw = Attempt(1, Outcome.ANSWERED, AT, 200, body=b"\xff\xfe\x00")
    pump.end(pump.take()[0], State.SUCCEEDED, raw)
    response = api("GET", f"/tasks/{task['id']}/attempts").json[0]["response"]
    assert (response["body"], response["body_base64"]) == (None, "//4A")


def test_a_redirect_has_a_hint(api: Api, pump: Pump) -> None:
    task = api.create()
    headers = (("Location", "https://u:s3cret@example.com/new?token=s3cret"),)
    redirected = Attempt(1, Outcome.ANSWERED, AT, 302, headers=headers)
    pump.end(pump.take()[0], State.SCHEDULED, redirected)
    pump.end(pump.take()[0], State.SUCCEEDED)
    first, second = api("GET", f"/v2/tasks/{task['id']}/attempts").json
    assert "redirects to 'https://example.com/new?...'" in first["hint"]
    assert second["hint"] is None
