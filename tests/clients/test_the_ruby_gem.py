"""What the Ruby gem `mergent` does, by a small client of our own that makes the same requests.

The gem itself is not run here: its registry need not be within reach of a test. Its public source says what it
sends (create, update and delete of tasks; it cannot list, read or run them), and `ruby/like_the_gem.rb` sends
just that with Ruby's own net/http, which also writes the gem's requests. The first test pins the bytes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conftest import HERE, example, need, run
from tests.conftest import eventually
from tests.e2e.product import Product
from tests.receiver import Receiver

pytestmark = pytest.mark.stack

PROGRAM = HERE / "ruby" / "like_the_gem.rb"


class Ruby:
    """The program at an address, with a key."""

    def __init__(self, url: str, key: str) -> None:
        need("ruby")
        self.environment = {**os.environ, "MERGENT_URL": url, "MERGENT_API_KEY": key}

    def __call__(self, verb: str, resource: str, params: Any = None) -> dict[str, Any]:
        """The status, and either the data or the error."""
        words = [verb, resource, *([] if params is None else [json.dumps(params)])]
        done = run("ruby", PROGRAM, *words, environment=self.environment)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def sign(self, body: str) -> str:
        """The signature of a body."""
        done = run("ruby", PROGRAM, "sign", environment=self.environment, text=body)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def ruby(product: Product) -> Ruby:
    return Ruby(product.url + "/v2", product.key)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


@pytest.mark.parametrize("verb", ["post", "delete"])
def test_the_bytes_are_those_of_the_gem(listener: socket.socket, verb: str) -> None:
    port = listener.getsockname()[1]
    seen: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(10)
        with connection:
            request = connection.recv(65536)
            while not request.endswith(b"{}"):
                request += connection.recv(65536)
            seen.append(request)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = threading.Thread(target=serve)
    server.start()
    answer = Ruby(f"http://127.0.0.1:{port}/v2", "12345")(verb, "tasks/1")
    server.join()
    assert answer == {"status": 204, "data": {}}
    head, _, body = seen[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == f"{verb.upper()} /v2/tasks/1 HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers["Authorization"] == "Bearer 12345"
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "Ruby"
    assert headers["Content-Length"] == "2"
    assert body == b"{}"


def test_a_task_is_created_updated_and_deleted(product: Product, ruby: Ruby) -> None:
    task = {"queue": "default", "request": {"url": product.inbox, "body": "one"}, "delay": "PT1H"}
    made = ruby("post", "tasks", task)
    assert made["status"] == 201
    assert {"id", "name", "queue", "status", "request", "scheduled_for", "created_at"} <= set(
        made["data"]
    )
    assert made["data"]["status"] == "queued"
    resource = f"tasks/{made['data']['id']}"
    changed = ruby("patch", resource, {"request": {"url": product.inbox, "body": "two"}})
    assert changed["status"] == 200
    assert changed["data"]["request"]["body"] == "two"
    assert ruby("delete", resource) == {"status": 204, "data": {}}
    assert product.ask("GET", f"/v2/{resource}").status_code == 404


def test_errors_are_read_as_the_gem_reads_them(product: Product, ruby: Ruby) -> None:
    refused = ruby("post", "tasks", {"queue": "default", "request": {}, "delay": "soon"})
    assert refused["status"] == 422
    assert "request.url" in refused["error"]
    assert "delay" in refused["error"]
    unknown = ruby("delete", "tasks/4cf95241-fa19-47ef-8a67-71e483747649")
    assert (unknown["status"], unknown["error"]) == (404, "there is no such task")
    stranger = Ruby(product.url + "/v2", "no such key")("post", "tasks", {})
    assert stranger["status"] == 401
    assert stranger["error"]
    nowhere = ruby("post", "no/such/route", {})
    assert nowhere["status"] == 404
    assert nowhere["error"]


@pytest.mark.parametrize("body", ["Hello, world!", '{"to":"zoë@example.com"}', ""])
def test_the_signature_is_the_one_the_gem_expects(product: Product, ruby: Ruby, body: str) -> None:
    with Receiver() as receiver:
        made = ruby("post", "tasks", {"request": {"url": receiver.url, "body": body}})
        (call,) = eventually(lambda: receiver.received)
    assert call.body == body.encode()
    assert call.headers["x-mergent-signature"] == ruby.sign(body)
    assert call.headers["x-mergent-task"] == made["data"]["id"]


def test_the_docs_tell_how_the_gem_itself_is_pointed_here() -> None:
    need("ruby")
    stub = "module Mergent; class << self; attr_accessor :api_key, :endpoint; end; end\n"
    done = run(
        *("ruby", "-e", stub + example("ruby") + "print Mergent.endpoint"),
        environment={**os.environ, "MERGENT_API_KEY": "12345"},
    )
    assert done.stdout == "http://127.0.0.1:8080/v2", done.stderr


def test_schedules_are_created_paused_resumed_updated_and_deleted(ruby: Ruby) -> None:
    asked = {"cron": "0 9 * * 1", "request": {"url": "https://example.com/never"}}
    made = ruby("post", "schedules", asked)
    assert (made["status"], made["data"]["paused"]) == (201, False)
    where = f"schedules/{made['data']['id']}"
    assert ruby("patch", where, {"paused": True})["data"]["paused"] is True
    assert ruby("patch", where, {"paused": False})["data"]["paused"] is False
    assert ruby("patch", where, {"cron": "0 10 * * 1"})["data"]["cron"] == "0 10 * * 1"
    assert ruby("delete", where) == {"status": 204, "data": {}}
    assert ruby("patch", where, {"paused": True})["status"] == 404
