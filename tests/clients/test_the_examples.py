"""examples/: each is a backend that has an order handled by a task, and turns strangers away."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.clients.conftest import need, run
from tests.conftest import eventually
from tests.e2e.product import Product
from timeball.up.firstkey import PROJECT

pytestmark = pytest.mark.stack

EXAMPLES = Path(__file__).parents[2] / "examples"
DEBIANS_GO = Path("/usr/share/gocode")
START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(product: Product, *words: str, cwd: Path, log: Path) -> Iterator[str]:
    """An example at work; its address."""
    told = product.command("keys", "signing", "--project", PROJECT, "--json", "--data", "data")
    assert told.returncode == 0, told.stderr
    port = free_port()
    environment = {
        **os.environ,
        "TIMEBALL_URL": product.url,
        "TIMEBALL_KEY": product.key,
        "TIMEBALL_SIGNING_SECRET": json.loads(told.stdout)[0]["secret"],
        "PORT": str(port),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(words, cwd=cwd, env=environment, stdout=out, stderr=out)
    try:
        eventually(lambda: listens(port) or process.poll() is not None, within=START_SECONDS)
        assert process.poll() is None, log.read_text()
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("localhost", port), 0.2):
            return True
    except OSError:
        return False


def handles(product: Product, *words: str, cwd: Path, log: Path) -> None:
    """An order comes back as a call, once, and a call of a stranger's is turned away."""
    with serving(product, *words, cwd=cwd, log=log) as url:
        order = 'order "7" of Zo\\'
        answer = requests.post(f"{url}/orders", data=order.encode(), timeout=10)
        assert answer.status_code < 300, answer.text + log.read_text()
        eventually(lambda: f"handled {order}" in log.read_text(), within=20)
        forged = {
            "webhook-id": "x",
            "webhook-timestamp": "1",
            "webhook-signature": "v1,AAAA",
        }
        for headers in ({}, forged):
            refused = requests.post(f"{url}/hook", data=b"forged", headers=headers, timeout=10)
            assert refused.status_code == 401
        assert log.read_text().count("handled") == 1


@pytest.mark.parametrize("framework", ["flask", "fastapi", "django"])
def test_python(product: Product, tmp_path: Path, framework: str) -> None:
    handles(product, sys.executable, "app.py", cwd=EXAMPLES / framework, log=tmp_path / "log")


def test_plain_java(product: Product, tmp_path: Path) -> None:
    need("java")
    handles(product, "java", "App.java", cwd=EXAMPLES / "java", log=tmp_path / "log")


def test_curl(product: Product) -> None:
    need("curl", "sh")
    environment = {
        **os.environ,
        "TIMEBALL_URL": product.url,
        "TIMEBALL_KEY": product.key,
        "DELAY": "0s",
        "ONCE": "from the example",
    }
    for _ in range(2):
        done = run(
            *("sh", EXAMPLES / "curl" / "create.sh", f"{product.inbox}/from-curl"),
            environment=environment,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    eventually(lambda: product.received("/from-curl"))
    assert [call["body"] for call in product.received("/from-curl")] == ["hello from curl"]


@pytest.mark.soak
def test_express(product: Product, tmp_path: Path) -> None:
    need("node", "npm")
    folder = tmp_path / "express"
    shutil.copytree(EXAMPLES / "express", folder)
    done = run("npm", "ci", "--no-audit", "--no-fund", cwd=folder, seconds=180)
    assert done.returncode == 0, done.stderr
    handles(product, "node", "app.js", cwd=folder, log=tmp_path / "log")


@pytest.mark.soak
def test_ocaml(product: Product, tmp_path: Path) -> None:
    need("ocamlfind", "ocamlopt")
    shutil.copy(EXAMPLES / "ocaml" / "app.ml", tmp_path)
    packages = "cohttp-lwt-unix,base64"
    done = run(
        *("ocamlfind", "ocamlopt", "-thread", "-package", packages, "-linkpkg", "app.ml"),
        *("-o", "app"),
        cwd=tmp_path,
        seconds=180,
    )
    assert done.returncode == 0, done.stderr
    handles(product, str(tmp_path / "app"), cwd=tmp_path, log=tmp_path / "log")


def test_sinatra(product: Product, tmp_path: Path) -> None:
    need("ruby")
    if run("ruby", "-e", 'require "sinatra/base"').returncode:
        pytest.skip("the gem sinatra is not installed")
    handles(product, "ruby", "app.rb", cwd=EXAMPLES / "sinatra", log=tmp_path / "log")


@pytest.mark.soak
def test_gin(product: Product, tmp_path: Path) -> None:
    """With Gin as Debian packages it, where that is installed; else as Go fetches it."""
    need("go")
    folder = tmp_path / "gin"
    shutil.copytree(EXAMPLES / "gin", folder)
    steps, environment = [("go", "mod", "tidy"), ("go", "build", "-o", "app", ".")], {**os.environ}
    if (DEBIANS_GO / "src/github.com/gin-gonic/gin").exists():
        del steps[0]
        environment |= {"GO111MODULE": "off", "GOPATH": str(DEBIANS_GO)}
    for words in steps:
        done = run(*words, cwd=folder, environment=environment, seconds=300)
        assert done.returncode == 0, done.stderr
    handles(product, str(folder / "app"), cwd=folder, log=tmp_path / "log")
