"""`timeball.receivers`: verify, drop what came before, answer what a handler's end means, in three frameworks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from timeball.receivers import (
    Call,
    Memory,
    Receiver,
    RedisSeen,
    Rejected,
    Retry,
    Seen,
    Standing,
    Stop,
)
from timeball.signing import Signer, new_secret

SECRET, KEY = new_secret(), "tb_12345678_abcdefghijklmnopqrstuvwxyz012345"
ID = "01a21780-1143-7e68-b68e-cb0f16eeef10"

Answer = tuple[int, dict[str, str], bytes]
Send = Callable[[dict[str, str], bytes], Answer]


def signed(body: bytes, task_id: str = ID, attempt: int = 1) -> dict[str, str]:
    """The headers of a call, made by the signer of the workers."""
    lines = Signer([SECRET], KEY).lines(task_id, int(datetime.now(UTC).timestamp()), body)
    headers = dict(line.decode().split(": ", 1) for line in lines)
    return {**headers, "Timeball-Task": task_id, "Timeball-Attempt": str(attempt)}


def by_flask(receiver: Receiver, handle: Callable[[Call], Any]) -> Send:
    from flask import Flask

    from timeball.receivers.flask import handler

    app = Flask("receiver")
    app.post("/hook")(handler(receiver)(handle))
    client = app.test_client()

    def send(headers: dict[str, str], body: bytes) -> Answer:
        answer = client.post("/hook", data=body, headers=headers)
        return answer.status_code, dict(answer.headers), answer.data

    return send


def by_fastapi(receiver: Receiver, handle: Callable[[Call], Any]) -> Send:
    from fastapi import FastAPI

    from timeball.receivers.fastapi import handler

    app = FastAPI()

    async def coroutine(call: Call) -> Any:
        return handle(call)

    app.post("/hook")(handler(receiver)(coroutine))

    def send(headers: dict[str, str], body: bytes) -> Answer:
        return asyncio.run(asgi(app, headers, body))

    return send


async def asgi(app: Any, headers: dict[str, str], body: bytes) -> Answer:
    """One POST, as a server of ASGI makes it."""
    told: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/hook",
        "raw_path": b"/hook",
        "query_string": b"",
        "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    try:
        await app(scope, receive, send)
    except ZeroDivisionError:
        assert told[0]["status"] == 500
    names = {k.decode(): v.decode() for k, v in told[0]["headers"]}
    return told[0]["status"], names, b"".join(m.get("body", b"") for m in told[1:])


def by_django(receiver: Receiver, handle: Callable[[Call], Any]) -> Send:
    import django
    from django.conf import settings
    from django.test import Client
    from django.urls import path

    from timeball.receivers.django import handler

    if not settings.configured:
        settings.configure(
            SECRET_KEY="x",
            ALLOWED_HOSTS=["*"],
            MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
        )
        django.setup()

    def named(call: Call) -> Any:
        return handle(call)

    class Urls:
        urlpatterns = (path("hook", handler(receiver)(named)),)

    settings.ROOT_URLCONF = Urls
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)

    def send(headers: dict[str, str], body: bytes) -> Answer:
        answer = client.generic("POST", "/hook", body, headers=headers)
        return answer.status_code, dict(answer.headers), answer.content

    return send


@pytest.fixture(params=[by_flask, by_fastapi, by_django])
def serve(request: pytest.FixtureRequest) -> Callable[[Receiver, Callable[[Call], Any]], Send]:
    """Makes an app of a handler and answers how it is called."""
    made: Callable[[Receiver, Callable[[Call], Any]], Send] = request.param
    return made


Serve = Callable[[Receiver, Callable[[Call], Any]], Send]


def test_a_call_is_handled_once(serve: Serve) -> None:
    calls: list[Call] = []
    send = serve(Receiver([SECRET]), calls.append)
    body = json.dumps({"order": 7}).encode()
    assert send(signed(body), body)[0] == 204
    again, headers, _ = send(signed(body, attempt=2), body)
    assert (again, headers.get("Timeball-Seen", headers.get("timeball-seen"))) == (200, "1")
    [call] = calls
    assert (call.task_id, call.attempt, call.json()) == (ID, 1, {"order": 7})


def test_strangers_are_turned_away(serve: Serve) -> None:
    calls: list[Call] = []
    send = serve(Receiver([SECRET]), calls.append)
    assert send({}, b"x")[0] == 401
    assert send(signed(b"x"), b"y")[0] == 401
    assert calls == []


def test_what_raises_is_called_again_and_then_handled(serve: Serve) -> None:
    raised = [ZeroDivisionError(), Retry(7), Stop("no such order")]

    def handle(_: Call) -> None:
        if raised:
            raise raised.pop(0)

    send = serve(Receiver([SECRET]), handle)
    answers = [send(signed(b"x", attempt=n), b"x") for n in range(1, 5)]
    assert [status for status, _, _ in answers] == [500, 503, 422, 204]
    lowered = [{k.lower(): v for k, v in headers.items()} for _, headers, _ in answers]
    assert lowered[1]["retry-after"] == "7"
    assert lowered[2]["task-no-retry"] == "true"


def test_what_a_handler_returns_is_answered(serve: Serve) -> None:
    def handle(call: Call) -> Any:
        if serve is by_django:
            from django.http import JsonResponse

            return JsonResponse({"handled": call.text})
        return {"handled": call.text}

    status, _, body = serve(Receiver([SECRET]), handle)(signed(b"x"), b"x")
    assert (status, json.loads(body)) == (200, {"handled": "x"})


def test_a_signature_of_mergents_will_do_where_there_are_only_keys() -> None:
    receiver = Receiver(keys=["tb_other", KEY])
    call = receiver.verify(
        signed(b"x")
        | {"Timeball-Schedule": "s", "Timeball-Occurrence": "2030-01-01T00:00:00.000Z"},
        b"x",
    )
    assert (call.task_id, call.schedule) == (ID, "s")
    assert call.occurrence == datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(Rejected, match="wrong"):
        receiver.verify(signed(b"x"), b"y")
    with pytest.raises(ValueError, match="anybody"):
        Receiver()


def test_with_secrets_a_key_alone_opens_nothing() -> None:
    headers = {k: v for k, v in signed(b"x").items() if not k.startswith("webhook-")}
    with pytest.raises(Rejected, match="missing"):
        Receiver([SECRET], [KEY]).verify(headers, b"x")


@pytest.fixture(params=["memory", "redis"])
def seen(request: pytest.FixtureRequest, redis_url: str) -> Seen:
    if request.param == "memory":
        return Memory()
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    return RedisSeen(client)


def test_a_task_in_hand_is_busy_and_a_failed_one_is_new(seen: Seen) -> None:
    assert [seen.begin("a"), seen.begin("a")] == [Standing.NEW, Standing.BUSY]
    seen.failed("a")
    assert seen.begin("a") is Standing.NEW
    seen.done("a")
    assert [seen.begin("a"), seen.begin("b")] == [Standing.DONE, Standing.NEW]


def test_a_second_call_meanwhile_is_asked_to_come_again() -> None:
    receiver = Receiver([SECRET])
    inner: list[int] = []

    def handle(_: Call) -> None:
        inner.append(receiver.handle(signed(b"x"), b"x", lambda _: None)[0].status)

    assert receiver.handle(signed(b"x"), b"x", handle)[0].status == 204
    assert inner == [503]


def test_memory_has_an_end() -> None:
    seen = Memory(most=2)
    for name in "abc":
        seen.begin(name)
    assert [seen.begin("c"), seen.begin("a")] == [Standing.BUSY, Standing.NEW]
    assert Memory(keep_seconds=0).begin("a") is Standing.NEW
