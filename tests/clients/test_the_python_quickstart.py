"""Mergent's Python quickstart: its Flask handler, and its `requests` client that posts without a prefix."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.stack import free_port
from tests.clients.conftest import HERE, run
from tests.conftest import eventually
from tests.e2e.product import Product

pytestmark = pytest.mark.stack

PYTHON = HERE / "python"


@dataclass
class Handler:
    url: str
    output: Path

    def did(self, words: str) -> bool:
        return words in self.output.read_text().splitlines()


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handler]:
    """The handler, served by Flask's own server."""
    port = free_port()
    output = tmp_path_factory.mktemp("flask") / "output"

    def listens() -> bool:
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", port)) == 0

    with output.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, PYTHON / "handler.py", str(port)],
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    try:
        eventually(listens)
        yield Handler(f"http://127.0.0.1:{port}/api/tasks", output)
    finally:
        server.kill()
        server.wait()


def create(product: Product, url: str, kind: str) -> str:
    """The id that the client prints."""
    environment = {**os.environ, "MERGENT_URL": product.url, "MERGENT_API_KEY": product.key}
    done = run(sys.executable, PYTHON / "create.py", url, kind, environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_client_makes_a_task_and_the_handler_performs_it(
    product: Product, handler: Handler
) -> None:
    task = create(product, handler.url, "send-email")
    assert eventually(lambda: handler.did('performed {"type": "send-email"}'))
    eventually(lambda: product.get({"id": task})["status"] == "success")


def test_a_handler_that_fails_is_called_again_at_once(product: Product, handler: Handler) -> None:
    task = create(product, handler.url, "fail once")
    assert eventually(lambda: handler.did('performed {"type": "fail once"}'), within=3)
    assert handler.did('failed {"type": "fail once"}')
    found = eventually(lambda: (t := product.get({"id": task}))["status"] == "success" and t)
    assert found["attempts_count"] == 2
