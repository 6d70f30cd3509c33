"""What goes through the broker tells nobody anything, and what is put there does no harm."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client

from api.app import create_app
from tests.conftest import environment, eventually
from tests.receiver import Receiver
from timeball import queue
from timeball.dispatch.house import House
from timeball.settings import Settings
from timeball.store.projects import ApiKey

SENT = {
    "request": {
        "url": "https://example.com/a-secret-path?token=url-secret",
        "headers": {"Authorization": "Bearer header-secret", "X-Plain": "plain-secret"},
        "body": "body-secret",
    },
    "name": "name-secret",
    "tags": ["tag-secret"],
}


@pytest.fixture
def client(settings: Settings) -> Client:
    return Client(create_app(settings))


@pytest.fixture
def key(api_key: tuple[ApiKey, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key[1]}"}


def test_a_bell_says_no_more_than_a_number(
    house: House, client: Client, key: dict[str, str], api_key: tuple[ApiKey, str]
) -> None:
    for delay in ({}, {"delay": "5s"}):
        assert client.post("/v2/tasks", json={**SENT, **delay}, headers=key).status_code == 201
    messages = house.client.lrange(queue.PUMP_QUEUE, 0, -1)
    assert messages, "a bell was sent"
    for raw in messages:
        message = json.loads(raw)
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        assert (args, kwargs) == ([0], {})
        assert message["content-type"] == "application/json"
        text = raw.decode() + base64.b64decode(message["body"]).decode()
        assert "secret" not in text
        assert "example.com" not in text
        assert api_key[1] not in text
        assert api_key[0].project not in text


class Bomb:
    """Unpickled, it makes a file: so one sees that it was."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@dataclass
class Worker:
    """A real worker and its log."""

    process: subprocess.Popen[bytes]
    log: Path


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[Worker]:
    """It begins with the queue as it is then, and ends with the test."""
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "--pool", "prefork"]
    log = tmp_path / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--concurrency", "1", "--queues", queue.PUMP_QUEUE, "--without-mingle"],
            env=environment(settings, TIMEBALL_LOG_FORMAT="json", TIMEBALL_PUMP_SLICE="0.2"),
            stdout=file,
            stderr=file,
        )
    yield Worker(process, log)
    process.terminate()
    process.wait(20)


def test_pickle_and_unknown_messages_are_refused_and_not_written_out(
    house: House, client: Client, key: dict[str, str], worker: Worker, tmp_path: Path
) -> None:
    bomb = tmp_path / "boom"
    with house.celery.connection_for_write() as connection:
        producer = house.celery.amqp.Producer(connection)
        headers = {"lang": "py", "task": queue.PUMP_JOB, "id": "1", "root_id": "1"}
        body = pickle.dumps(([Bomb(bomb)], {}, None))
        for kind in ("application/x-python-serialize", "application/json"):
            producer.publish(
                body,
                routing_key=queue.PUMP_QUEUE,
                content_type=kind,
                content_encoding="binary",
                headers=headers,
            )
    house.celery.send_task("no.such.job", args=("message-secret",), queue=queue.PUMP_QUEUE)
    with Receiver() as receiver:
        request = {"url": receiver.url, "headers": {"Authorization": "Bearer header-secret"}}
        assert client.post("/v2/tasks", json={"request": request}, headers=key).status_code == 201
        eventually(lambda: receiver.received, within=40)
    assert not bomb.exists()
    assert house.client.llen(queue.PUMP_QUEUE) == 0
    assert "header-secret" not in worker.log.read_text()


def _message(**changed: Any) -> str:
    """A bell as kombu lays it out, with some of it changed."""
    properties = {
        "delivery_tag": changed.pop("tag", "t-1"),
        "delivery_info": {"exchange": queue.PUMP_QUEUE, "routing_key": queue.PUMP_QUEUE},
        "delivery_mode": 2,
        "priority": 0,
        "body_encoding": "base64",
    }
    whole = {
        "body": base64.b64encode(b"[[0], {}, {}]").decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": queue.PUMP_JOB, "id": "1", "root_id": "1"},
        "properties": properties,
    }
    return json.dumps({**whole, **changed})


_HEADERS = {"lang": "py", "task": queue.PUMP_JOB, "id": "1", "root_id": "1"}
NONSENSE = [
    *("", "no json", "\ud800", "null", "1", "[]", "{}", '"text"', "[" * 5000, '{"body": "x"}'),
    *(_message(properties=value) for value in (None, 1, [], {}, {"delivery_tag": []})),
    *(
        _message(**{"content-type": kind})
        for kind in ("application/data", "application/text", "", 1)
    ),
    *(_message(**{"content-encoding": coding}) for coding in ("no-such", "binary", 1)),
    *(_message(body=body) for body in (None, 1, [], "no base64!", "AAAA", "bnVsbA==", "W10=")),
    *(_message(headers=headers) for headers in (None, 1, [], "text", {}, {"task": []})),
    *(
        _message(headers={**_HEADERS, name: value})
        for name, values in {
            "task": (None, 1, "no.such.job"),
            "id": (None, 1, [], {}),
            "eta": ("never", 1, [], "9" * 400),
            "expires": ("never", -1, [], "9999-99-99"),
            "timelimit": ("x", [1], [[], {}]),
            "retries": ("x", []),
            "compression": ("no-such", "zlib", 1),
            "origin": ([],),
        }.items()
        for value in values
    ),
]


def test_a_worker_outlives_whatever_is_put_into_its_queue(
    house: House, client: Client, key: dict[str, str], request: pytest.FixtureRequest
) -> None:
    for raw in NONSENSE:
        house.client.lpush(queue.PUMP_QUEUE, raw.encode(errors="surrogatepass"))
    worker: Worker = request.getfixturevalue("worker")
    with Receiver() as receiver:
        sent = {"request": {"url": receiver.url}}
        assert client.post("/v2/tasks", json=sent, headers=key).status_code == 201
        eventually(lambda: receiver.received, within=40)
        eventually(lambda: house.client.llen(queue.PUMP_QUEUE) == 0, within=40)
    assert worker.process.poll() is None
    assert "Unrecoverable error" not in worker.log.read_text()
