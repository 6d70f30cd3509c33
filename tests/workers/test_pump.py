"""The pump takes due tasks, calls them, and writes what followed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tests.conftest import eventually
from tests.receiver import Answer, Receiver
from timeball import egress, signing
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.ids import id_text
from timeball.model.attempt import Outcome
from timeball.model.project import Project
from timeball.model.retry import RetryPolicy
from timeball.model.task import Draft, Method, Request, State, Task
from timeball.store.projects import ApiKey
from workers.call import Caller
from workers.prepare import Signers
from workers.pump import Pump


@contextmanager
def pumping(
    house: House, *, allowed: tuple[str, ...] = ("localhost",), ca_file: str | None = None
) -> Iterator[Pump]:
    """A pump at work in a thread of its own."""
    stop = threading.Event()
    settings = house.settings
    caller = Caller(
        egress.Policy.parse(allowed, ()),
        connect_timeout_ms=2000,
        keep_bytes=settings.response_keep_bytes,
        read_bytes=settings.response_read_bytes,
        ca_file=ca_file,
    )
    pump = Pump(house, 0, caller, Signers(house.client, house.vault), "test", stop.is_set)
    thread = threading.Thread(target=pump.run)
    thread.start()
    try:
        yield pump
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
        caller.close()


@pytest.fixture
def submit(house: House, project: Project, api_key: tuple[ApiKey, str]) -> Callable[..., bytes]:
    """Submit one task and give its id."""

    def submit(
        url: str, *, method: Method = Method.POST, body: bytes = b"", **fields: object
    ) -> bytes:
        headers = fields.pop("headers", ())
        request = Request(url=url, method=method, body=body, headers=headers)
        draft = Draft(project=project.id, request=request, key_id=api_key[0].id, **fields)
        return intake.submit(house, project.id, [draft])[0].id

    return submit


def ended(house: House, project: Project, task_id: bytes) -> Task:
    """The task once nothing will happen to it by itself."""

    def look() -> Task | None:
        task = intake.get(house, project.id, task_id)
        return task if task.ended_at else None

    return eventually(look)


def test_a_call_carries_the_body_as_given_and_both_signatures(
    house: House, project: Project, api_key: tuple[ApiKey, str], submit: Callable[..., bytes]
) -> None:
    body = b'{"to": "zo\xc3\xab"}\x00\xff'
    with Receiver() as receiver, pumping(house):
        task_id = submit(receiver.url + "/hello?a=1", body=body, headers=(("X-Kind", "mail"),))
        task = ended(house, project, task_id)
    assert task.state is State.SUCCEEDED
    [got] = receiver.received
    assert (got.method, got.path, got.body) == ("POST", "/hello?a=1", body)
    assert got.headers["x-kind"] == "mail"
    assert "content-type" not in got.headers
    assert "expect" not in got.headers
    assert got.headers["timeball-task"] == got.headers["x-mergent-task"] == id_text(task_id)
    assert got.headers["timeball-attempt"] == "1"
    assert signing.verify_mergent(api_key[1], got.headers, body) is signing.Verification.VALID
    secret = project.signing_secrets[0]
    assert got.headers["webhook-signature"] == signing.webhook_signature(
        secret, got.headers["webhook-id"], int(got.headers["webhook-timestamp"]), body
    )


@pytest.mark.parametrize("method", list(Method))
def test_every_method_is_sent_with_its_body(
    house: House, project: Project, submit: Callable[..., bytes], method: Method
) -> None:
    body = b"" if method in (Method.GET, Method.HEAD) else b"hello"
    with Receiver() as receiver, pumping(house):
        ended(house, project, submit(receiver.url, method=method, body=body))
        ended(house, project, submit(receiver.url + "/again", method=method))
    assert [(r.method, r.body) for r in receiver.received] == [(method, body), (method, b"")]


def test_a_failed_call_is_tried_again_and_every_attempt_is_logged(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    statuses = iter((500, 503, 200))
    retry = RetryPolicy(max_attempts=5, min_backoff=timedelta(milliseconds=50), jitter=0)
    with Receiver(lambda _: Answer(next(statuses), body=b"said")) as receiver, pumping(house):
        task_id = submit(receiver.url, retry=retry)
        task = ended(house, project, task_id)
    assert (task.state, task.attempt) == (State.SUCCEEDED, 3)
    log = intake.attempts(house, project.id, task_id)
    assert [(a.number, a.outcome, a.status, a.body) for a in log] == [
        (1, Outcome.ANSWERED, 500, b"said"),
        (2, Outcome.ANSWERED, 503, b"said"),
        (3, Outcome.ANSWERED, 200, b"said"),
    ]
    assert log[0].next_at is not None
    assert log[2].next_at is None
    assert log[2].timing.total_us > 0
    assert ("Content-Length", "4") in log[2].headers


def test_retry_after_overrides_the_backoff(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    answers = iter((Answer(429, {"Retry-After": "1"}), Answer()))
    retry = RetryPolicy(min_backoff=timedelta(hours=1))
    with Receiver(lambda _: next(answers)) as receiver, pumping(house):
        ended(house, project, submit(receiver.url, retry=retry))
    first, second = receiver.received
    assert 1.0 <= second.at - first.at < 1.5


@pytest.mark.parametrize(
    "answer", [Answer(410), Answer(500, {"Task-No-Retry": "true"})], ids=["gone", "no-retry"]
)
def test_an_endpoint_can_stop_the_retries(
    house: House, project: Project, submit: Callable[..., bytes], answer: Answer
) -> None:
    with Receiver(lambda _: answer) as receiver, pumping(house):
        task = ended(house, project, submit(receiver.url))
    assert (task.state, task.attempt) == (State.DEAD, 1)


def test_the_total_deadline_ends_a_slow_call(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    with Receiver(lambda _: Answer(delay=2)) as receiver, pumping(house):
        task_id = submit(
            receiver.url, timeout=timedelta(seconds=0.2), retry=RetryPolicy(max_attempts=1)
        )
        task = ended(house, project, task_id)
    assert task.state is State.DEAD
    [attempt] = intake.attempts(house, project.id, task_id)
    assert attempt.outcome is Outcome.TIMED_OUT
    assert 150_000 < attempt.timing.total_us < 600_000


def test_a_forbidden_address_is_never_connected_to(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    with Receiver() as receiver, pumping(house, allowed=()):
        task_id = submit(receiver.url.replace("127.0.0.1", "localhost"))
        task = ended(house, project, task_id)
    assert task.state is State.DEAD
    assert not receiver.received
    [attempt] = intake.attempts(house, project.id, task_id)
    assert attempt.outcome is Outcome.BLOCKED


def test_a_response_is_kept_to_its_first_bytes_and_cut_past_the_limit(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    sizes = {"/long": 10_000, "/endless": 2 * 1024 * 1024}
    with (
        Receiver(lambda r: Answer(body=b"x" * sizes[r.path])) as receiver,
        pumping(house),
    ):
        long, endless = submit(receiver.url + "/long"), submit(receiver.url + "/endless")
        assert ended(house, project, long).state is State.SUCCEEDED
        assert ended(house, project, endless).state is State.SUCCEEDED
    [attempt] = intake.attempts(house, project.id, long)
    assert (len(attempt.body), attempt.body_cut, attempt.outcome) == (4096, True, Outcome.ANSWERED)
    [attempt] = intake.attempts(house, project.id, endless)
    assert attempt.outcome is Outcome.TOO_LARGE


def test_a_connection_refused_and_an_unknown_name_have_their_own_outcomes(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    once = RetryPolicy(max_attempts=1)
    with pumping(house):
        refused = submit("http://127.0.0.1:9/", retry=once)
        unknown = submit("http://no-such-host.invalid/", retry=once)
        ended(house, project, refused)
        ended(house, project, unknown)
    assert intake.attempts(house, project.id, refused)[0].outcome is Outcome.REFUSED
    assert intake.attempts(house, project.id, unknown)[0].outcome is Outcome.UNREACHABLE


def test_a_task_is_never_early_and_hardly_late(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    with Receiver() as receiver, pumping(house):
        ids = [submit(receiver.url, delay=timedelta(milliseconds=40 * n)) for n in range(1, 20)]
        due = {id_text(i): ended(house, project, i).due_at.timestamp() for i in ids}
    late = sorted(r.at - due[r.headers["timeball-task"]] for r in receiver.received)
    assert late[0] >= 0
    assert late[len(late) // 2] < 0.02


def test_two_thousand_tasks_are_each_called_once(
    house: House, project: Project, api_key: tuple[ApiKey, str]
) -> None:
    with Receiver() as receiver, pumping(house) as pump:
        drafts = [Draft(project=project.id, request=Request(receiver.url)) for _ in range(2000)]
        ids = [s.id for s in intake.submit(house, project.id, drafts)]
        eventually(lambda: pump.called == 2000, within=60)
    assert sorted(receiver.tasks()) == sorted(id_text(i) for i in ids)
    assert not house.client.hgetall(f"{pump.prefix}inflight")
    assert not house.client.exists(f"{pump.prefix}lease:{pump.name}")


def test_a_stopping_pump_lets_calls_finish(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    with Receiver(lambda _: Answer(delay=0.5)) as receiver:
        with pumping(house):
            task_id = submit(receiver.url)
            eventually(lambda: receiver.received)
        assert intake.get(house, project.id, task_id).state is State.SUCCEEDED


def test_a_host_that_fails_ten_times_in_a_row_is_left_alone(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    once = RetryPolicy(max_attempts=1)
    answer = Answer(500)
    with Receiver(lambda _: answer) as bad, Receiver() as good, pumping(house):
        for _ in range(10):
            ended(house, project, submit(bad.url, retry=once))
        held, task = submit(bad.url, retry=once), submit(good.url)
        assert ended(house, project, task).state is State.SUCCEEDED
        assert len(bad.received) == 10
        waiting = intake.get(house, project.id, held)
    assert (waiting.state, waiting.attempt) == (State.SCHEDULED, 0)


def test_a_breaker_that_one_pump_opened_closes_when_another_gets_through(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    """The pump whose call is let through never saw the host fail; all the same it tells how that call ends."""
    once, answer = RetryPolicy(max_attempts=1), Answer(500)
    with Receiver(lambda _: answer) as host:
        with pumping(house):
            for _ in range(10):
                ended(house, project, submit(host.url, retry=once))
        held = [submit(host.url, retry=once) for _ in range(3)]
        answer = Answer()
        house.client.set(f"{house.prefix(project.id)}clock", 30_001)
        with pumping(house):
            states = [ended(house, project, one).state for one in held]
    assert states == [State.SUCCEEDED] * 3
    assert len(host.received) == 13
