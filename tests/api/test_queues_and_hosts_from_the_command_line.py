"""`timeball queues`, `hosts` and `tasks explain`, against the API as it runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner
from werkzeug.serving import make_server

from api.door import App
from tests.api.conftest import Api, Pump
from timeball.cli import cli
from timeball.store.projects import ApiKey

Run = Callable[..., str]


@pytest.fixture
def run(app: App, api_key: tuple[ApiKey, str]) -> Iterator[Run]:
    """Runs a command and gives what it said; it must end with the code that is expected."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    where = {
        "TIMEBALL_URL": f"http://127.0.0.1:{server.server_port}",
        "TIMEBALL_KEY": api_key[1],
    }

    def run(*words: str, code: int = 0, typed: str = "") -> str:
        done = CliRunner().invoke(cli, words, env=where, input=typed)
        assert done.exit_code == code, done.output
        # the API's log is in the same process
        return "".join(s for s in done.output.splitlines(keepends=True) if "[info" not in s)

    try:
        yield run
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_queues_are_listed_limited_paused_and_purged(api: Api, pump: Pump, run: Run) -> None:
    for _ in range(3):
        api.create(queue="mail")
    assert "50 per minute in bursts of 5, 7 at once" in run(
        *("queues", "set", "mail", "--rate", "50", "--per", "minute"),
        *("--burst", "5", "--concurrency", "7"),
    )
    listed = run("queues", "list")
    assert "mail" in listed
    assert "3 waiting" in listed
    [queue] = json.loads(run("queues", "list", "--json"))
    assert queue == api("GET", "/v2/queues/mail").json
    assert "7 at once" not in run("queues", "set", "mail", "--concurrency", "none")
    assert "paused mail: 3 wait" in run("queues", "pause", "mail")
    assert pump.take(5) == []
    assert json.loads(run("queues", "resume", "mail", "--json"))["paused"] is False
    run("queues", "purge", "mail", code=1, typed="n\n")
    assert "deleted 3 tasks" in run("queues", "purge", "mail", "--yes")
    assert pump.take(5) == []


def test_the_projects_limits_are_set(api: Api, run: Run) -> None:
    told = run("queues", "set", "--project", "--host-concurrency", "4", "--rate", "9")
    assert told == "project: 9 per second, 4 a host\n"
    assert api("GET", "/v2/limits").json["host_concurrency"] == 4


@pytest.mark.parametrize(
    "words",
    [
        ("queues", "set", "mail"),
        ("queues", "set", "--rate", "5"),
        ("queues", "set", "mail", "--project", "--rate", "5"),
        ("queues", "set", "mail", "--host-concurrency", "5"),
        ("queues", "set", "mail", "--rate", "many"),
        ("hosts", "set", "example.com", "--concurrency", "many"),
    ],
)
def test_what_cannot_be_meant_is_told(run: Run, words: tuple[str, ...]) -> None:
    assert "Error" in run(*words, code=2)


def test_what_the_api_refuses_is_told(run: Run) -> None:
    assert "no queue" in run("queues", "pause", "none", code=1)
    assert "1 to" in run("queues", "set", "mail", "--rate", "0", code=1)


def test_hosts_are_listed_limited_and_let_go(api: Api, pump: Pump, run: Run) -> None:
    assert "0 of 1 in flight" in run("hosts", "set", "example.com", "--concurrency", "1")
    api.create()
    api.create()
    assert len(pump.take(5)) == 1
    assert "1 waiting" in run("hosts", "list")
    assert json.loads(run("hosts", "list", "--json")) == api("GET", "/v2/hosts").json
    assert "in flight" not in run("hosts", "set", "example.com", "--concurrency", "none")
    for verb in ("close", "probe"):
        assert "nothing holds" in run("hosts", verb, "example.com", code=1)


def test_a_task_is_explained(api: Api, run: Run) -> None:
    task = api.create(delay="1h")
    told = run("tasks", "explain", task["id"])
    assert "it is not due for" in told
    assert json.loads(run("tasks", "explain", task["id"], "--json"))["id"] == task["id"]
    assert "no such task" in run("tasks", "explain", "nonsense", code=1)
