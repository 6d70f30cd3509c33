"""OCaml's cohttp: the body comes chunked, without Content-Length and without Content-Type."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.clients.conftest import HERE, need, run
from tests.e2e.product import Product

pytestmark = pytest.mark.stack

PROGRAM = HERE / "ocaml" / "client.ml"
LIBRARY = "cohttp-lwt-unix"
FIVE_MINUTES = timedelta(minutes=5)


def wait(task: dict[str, Any]) -> timedelta:
    """From the creation of a task to the instant it is scheduled for."""
    return datetime.fromisoformat(task["scheduled_for"]) - datetime.fromisoformat(
        task["created_at"]
    )


def chunked(parts: list[bytes]) -> bytes:
    """A body in chunks, one for each part."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def send(product: Product, path: str, *pieces: bytes) -> tuple[int, Any]:
    """A request in cohttp's form, written by hand, each piece in a packet of its own; its answer."""
    address = urlsplit(product.url)
    head = (
        f"POST {path} HTTP/1.1\r\nauthorization: Bearer {product.key}\r\nhost: {address.netloc}\r\n"
        "transfer-encoding: chunked\r\nuser-agent: ocaml-cohttp/4.0.0\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before the end
            for piece in (head.encode(), *pieces):
                connection.sendall(piece)
        answer = connection.makefile("rb")
        status = int(answer.readline().split()[1])
        length = 0
        while line := answer.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return status, json.loads(answer.read(length))


@pytest.mark.parametrize("path", ["/tasks", "/v2/tasks"])
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_request_as_cohttp_writes_it(product: Product, path: str, size: int) -> None:
    """However its chunks are cut, and wherever its packets end."""
    body = json.dumps(
        {"request": {"url": product.inbox, "body": "Hello"}, "delay": "PT5M"}
    ).encode()
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    whole = chunked(parts)
    status, task = send(product, path, whole[:25], whole[25:])
    assert status == 201, task
    assert task["status"] == "queued"
    assert wait(task) == FIVE_MINUTES
    assert task["request"]["body"] == "Hello"


def test_a_chunked_body_that_is_too_long_is_refused(product: Product) -> None:
    """No header tells its length: the limit holds while it is read."""
    status, error = send(product, "/tasks", chunked([b"x" * 65536] * 80))
    assert status == 413
    assert error["message"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled."""
    need("ocamlfind", "ocamlopt")
    if run("ocamlfind", "query", LIBRARY).returncode != 0:
        pytest.skip(f"the OCaml library {LIBRARY} is not installed")
    folder = tmp_path_factory.mktemp("ocaml")
    (folder / PROGRAM.name).write_text(PROGRAM.read_text())
    options = ["-thread", "-package", LIBRARY, "-linkpkg", PROGRAM.name, "-o", "client"]
    done = run("ocamlfind", "ocamlopt", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "client"


def test_a_real_program_makes_a_task_in_five_minutes(product: Product, client: Path) -> None:
    environment = {**os.environ, "MERGENT_URL": product.url, "MERGENT_API_KEY": product.key}
    done = run(client, f"{product.inbox}/ocaml", environment=environment)
    assert done.returncode == 0, done.stderr
    status, answer = done.stdout.split("\n", 1)
    assert status == "201", answer
    task = json.loads(answer)
    assert wait(task) == FIVE_MINUTES
    assert product.get(task)["status"] == "queued"
