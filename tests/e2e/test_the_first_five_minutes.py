"""From nothing to the first call, and what a newcomer tries next: kill it, stop it, start it again."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.conftest import eventually
from tests.e2e.product import KILLED_SECONDS, STOP_SECONDS, Product
from tests.receiver import Answer, Received, Receiver

pytestmark = pytest.mark.stack

ROLES = {"exporter", "up", "api", "worker", "beat", "redis", "inbox", "flower"}


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("first"), flower=True) as product:
        yield product


def test_it_is_ready_within_eight_seconds(product: Product) -> None:
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))  # others' work is not its fault
    assert product.ready_seconds < 8 * crowd, product.last_words()
    assert re.search(r"READY in \d+\.\d s +api ok  worker ok", product.told.read_text())


def test_the_printed_command_makes_a_call_that_arrives_within_a_second(product: Product) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    printed = re.search(r"Try: (curl .*\\\n.*)\n", product.told.read_text())
    assert printed, product.told.read_text()
    ask = printed[1] + " --silent --show-error --write-out '\\n%{http_code}'"
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=10)
    assert done.stdout.splitlines()[-1] == "201", done
    (call,) = eventually(lambda: product.received("/hello"), within=1)
    assert call["body"] == "Hello from Timeball"
    assert call["signatures"] == {"mergent": "valid", "webhook": "valid"}


def test_the_ready_file_names_the_processes(product: Product) -> None:
    assert {role for role, pids in product.facts["pids"].items() if pids} == ROLES

    def all_named() -> bool:
        # The pool's processes come a moment after their parent; the guard is no role.
        named = {pid for pids in product.facts["pids"].values() for pid in pids}
        return named == {p.pid for p in product.left() if "timeball.up.guard" not in p.cmdline()}

    assert eventually(all_named)
    assert len(product.pids("worker")) > product.facts["workers"]
    assert product.process is not None
    assert product.pids("up") == [product.process.pid]


def test_flower_lists_calls_behind_its_password(product: Product) -> None:
    facts = product.facts
    login = (facts["flower_user"], facts["flower_password"])

    def rows(name: str) -> dict[str, dict[str, Any]]:
        asked = {"taskname": name, "limit": "100"}
        url = facts["flower_url"] + "/api/tasks"
        found: dict[str, dict[str, Any]] = requests.get(
            url, params=asked, auth=login, timeout=10
        ).json()
        return found

    assert requests.get(facts["flower_url"] + "/api/tasks", timeout=10).status_code == 401

    def listed(path: str, state: str) -> dict[str, Any] | None:
        # sent anew until it is seen: Flower may still be starting, and what it missed it never shows
        task = product.create(f"{product.inbox}{path}", "a secret", queue="flowers")
        if not eventually(lambda: product.get(task)["status"] in ("success", "failure")):
            return None
        end = time.monotonic() + 2
        while time.monotonic() < end:
            row = rows("timeball.call").get(task["id"])
            if row is not None and row["state"] == state:
                return row
            time.sleep(0.1)
        return None

    row = eventually(lambda: listed("/hello", "SUCCESS"), within=30)
    assert row["args"] == "('flowers',)"
    assert (row["result"], row["exception"]) == ("answered 200", None)
    assert "secret" not in str(row)
    assert "hello" not in str(row)
    row = eventually(lambda: listed("/gone?status=410", "FAILURE"), within=10)
    assert row["exception"] == "answered 410"
    assert rows("timeball.pump"), "the pump that makes the calls is a job like any other"
    ended = requests.post(
        f"{facts['flower_url']}/api/worker/shutdown/x", auth=login, timeout=10
    ).status_code
    assert ended == 403, "Flower looks and changes nothing"


@pytest.mark.parametrize("role", ["worker", "beat", "api", "redis"])
def test_a_killed_child_comes_back_and_tasks_go_on(product: Product, role: str) -> None:
    """With its pool: the ready file then names new processes, and they live. A task came due meanwhile."""
    waiting = product.create(f"{product.inbox}/waited-{role}", delay="1s")
    before = product.pids(role)
    for pid in before:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it went with its parent

    def new() -> list[int]:
        pids = product.pids(role)
        fresh = pids and not set(pids) & set(before)
        return pids if fresh and all(map(psutil.pid_exists, pids)) else []

    begun = time.monotonic()
    assert eventually(new, within=10)
    eventually(product.ready, within=10)
    product.create(f"{product.inbox}/after-{role}")
    eventually(lambda: product.received(f"/after-{role}"), within=10)
    assert time.monotonic() - begun < 10
    (call,) = eventually(lambda: product.received(f"/waited-{role}"), within=10)
    assert call["task"] == waiting["id"]


def test_a_second_one_on_the_same_folder_is_refused_in_words(product: Product) -> None:
    second = product.command("up", "--data", "data", "--port", "0", "--inbox-port", "0")
    assert second.returncode == 2
    assert "already runs on" in second.stderr
    assert "Traceback" not in second.stderr
    assert product.ready()


def test_a_task_due_in_three_hours_is_called_once(product: Product) -> None:
    """Longer than the broker keeps an unacknowledged message (its visibility timeout, two minutes)."""
    task = product.create(f"{product.inbox}/later", delay="3h")
    soon = product.command("clock", "advance", "2h59m50s", "--data", "data")
    assert soon.returncode == 0, soon.stderr
    time.sleep(1)
    assert product.received("/later") == []
    assert product.get(task)["status"] == "queued"
    # Past its instant, and so far that a second message, were one about, would be given out again.
    product.command("clock", "advance", "3h", "--data", "data")
    eventually(lambda: product.get(task)["status"] == "success")
    time.sleep(1)
    assert len(product.received("/later")) == 1
    assert product.get(task)["attempts_count"] == 1


def test_ctrl_c_lets_a_call_finish_and_the_next_start_goes_on(tmp_path: Path) -> None:
    """A worker process, and bells for no more than a second ahead: the tasks that wait are in the store alone."""

    def slow(received: Received) -> Answer:
        return Answer(delay=2 if received.path == "/slow" else 0)

    few = Product(tmp_path, "--workers", "1", environment={"TIMEBALL_BELL_HORIZON": "1"})
    with Receiver(slow) as receiver, few as product:
        running = product.create(receiver.url + "/slow")
        due = datetime.now(UTC) + timedelta(seconds=6)
        planned = product.create(receiver.url + "/planned", scheduled_for=due.isoformat())
        key = product.key
        eventually(lambda: [r for r in receiver.received if r.path == "/slow"])
        assert product.stop(signal.SIGINT) < STOP_SECONDS
        assert not product.ready_file.exists()

        product.start()
        assert product.key == key
        assert product.get(running)["status"] == "success"
        assert product.get(running)["attempts_count"] == 1
        eventually(lambda: product.get(planned)["status"] == "success", within=15)
        assert [r.path for r in receiver.received] == ["/slow", "/planned"]
        assert receiver.received[-1].at >= due.timestamp()

        assert {p.pid for p in product.left()} >= set(product.pids("worker"))
        product.kill()
        product.gone(within=KILLED_SECONDS)
