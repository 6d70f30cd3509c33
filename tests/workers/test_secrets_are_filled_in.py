"""Headers may name secrets of their project: only the call itself carries the values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from werkzeug.test import Client

from api.app import create_app
from tests.conftest import environment, eventually
from tests.receiver import Answer, Received, Receiver
from tests.workers.test_pump import ended, pumping, submit
from timeball.cli import cli
from timeball.dispatch import intake
from timeball.dispatch.house import House
from timeball.errors import InvalidField, NotFound
from timeball.headers import check_headers
from timeball.model.attempt import Outcome
from timeball.model.project import Project
from timeball.model.retry import NO_RETRY
from timeball.model.task import State
from timeball.settings import Settings
from timeball.store import projects, secrets
from timeball.store.projects import ApiKey
from workers import prepare

__all__ = ["submit"]

HEADERS = (
    ("Authorization", "Bearer {{secret.TOKEN}}"),
    ("X-Both", "{{secret.TOKEN}}-{{ secret.B2 }}"),
)


def test_a_call_carries_the_values(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    secrets.put(house.client, house.vault, project.id, "TOKEN", "s3cret zoë".replace("ë", "\xeb"))
    secrets.put(house.client, house.vault, project.id, "B2", "{{secret.TOKEN}}")
    with Receiver() as receiver, pumping(house):
        task = ended(house, project, submit(receiver.url, headers=HEADERS))
        headers = receiver.received[0].headers
    assert task.state is State.SUCCEEDED
    assert task.request.headers == HEADERS, "what is kept is the name"
    assert headers["authorization"] == "Bearer s3cret zo\xeb"
    assert headers["x-both"] == "s3cret zo\xeb-{{secret.TOKEN}}", "a value is not read for names"


def test_a_value_is_used_within_seconds(
    house: House,
    project: Project,
    submit: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prepare, "SIGNERS_LIVE_SECONDS", 0.05)
    secrets.put(house.client, house.vault, project.id, "TOKEN", "old")
    with Receiver() as receiver, pumping(house):
        ended(house, project, submit(receiver.url, headers=HEADERS[:1]))
        secrets.put(house.client, house.vault, project.id, "TOKEN", "new")

        def new() -> bool:
            ended(house, project, submit(receiver.url, headers=HEADERS[:1]))
            return receiver.received[-1].headers["authorization"] == "Bearer new"

        eventually(new)


def test_what_an_endpoint_sends_back_of_a_secret_is_not_kept(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    """Whoever may read attempts could read all secrets at an endpoint that echoes its request."""
    for name, value in (("TOKEN", "s3cret-t\xf6ken"), ("B2", "s3cret"), ("SHORT", "ok")):
        secrets.put(house.client, house.vault, project.id, name, value)

    def echo(request: Received) -> Answer:
        sent = request.headers["authorization"]
        return Answer(400, {"X-Echo": sent}, f"{sent} ok s3cret".encode())

    headers = (*HEADERS, ("X-Short", "{{secret.SHORT}}"))
    with Receiver(echo) as receiver, pumping(house):
        task = submit(receiver.url, headers=headers, retry=NO_RETRY)
        assert ended(house, project, task).state is State.DEAD
        assert receiver.received[0].headers["authorization"] == "Bearer s3cret-t\xf6ken"
    (attempt,) = intake.attempts(house, project.id, task)
    assert attempt.body == b"Bearer {{secret.TOKEN}} ok {{secret.B2}}"
    assert dict(attempt.headers)["X-Echo"] == "Bearer {{secret.TOKEN}}"


def test_a_call_without_its_secret_is_not_made(
    house: House, project: Project, submit: Callable[..., bytes]
) -> None:
    with Receiver() as receiver, pumping(house):
        ids = [submit(receiver.url, headers=HEADERS[:1]) for _ in range(20)]
        good = submit(receiver.url)
        assert ended(house, project, good).state is State.SUCCEEDED
        for one in ids:
            assert ended(house, project, one).state is State.DEAD
        assert len(receiver.received) == 1
    (attempt,) = intake.attempts(house, project.id, ids[0])
    assert attempt.outcome is Outcome.BLOCKED
    assert "has no secret TOKEN" in (attempt.error or "")


def test_values_are_sealed_and_shown_nowhere(
    settings: Settings, house: House, project: Project, api_key: tuple[ApiKey, str]
) -> None:
    client = Client(create_app(settings))
    key = {"Authorization": f"Bearer {api_key[1]}"}
    answer = client.put("/v2/secrets/TOKEN", json={"value": "s3cret"}, headers=key)
    assert answer.status_code == 200
    listed = client.get("/v2/secrets", headers=key)
    assert [one["name"] for one in listed.json] == ["TOKEN"]
    request = {"url": "https://example.com", "headers": dict(HEADERS)}
    made = client.post("/v2/tasks", json={"request": request, "delay": "1h"}, headers=key)
    assert made.json["request"]["headers"] == dict(HEADERS), "a name is no secret"
    for seen in (answer, listed, made):
        assert "s3cret" not in seen.text
    for name in house.client.keys("*"):
        kept = house.client.dump(name) or b""
        assert b"s3cret" not in kept, name
    assert secrets.values(house.client, house.vault, project.id) == {"TOKEN": "s3cret"}
    assert client.delete("/v2/secrets/TOKEN", headers=key).status_code == 204
    assert client.delete("/v2/secrets/TOKEN", headers=key).status_code == 404


def test_only_an_admin_writes_secrets(settings: Settings, house: House, project: Project) -> None:
    from timeball.model.project import Scope

    client = Client(create_app(settings))
    _, text = projects.create_key(house.client, house.vault, project.id, (Scope.WRITE,))
    key = {"Authorization": f"Bearer {text}"}
    assert client.put("/v2/secrets/A", json={"value": "a"}, headers=key).status_code == 403
    assert client.delete("/v2/secrets/A", headers=key).status_code == 403
    assert client.get("/v2/secrets", headers=key).status_code == 200


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nB: c", "a\0", "snow\u2603", "a" * 4097])
def test_a_value_must_fit_a_header(house: House, project: Project, value: str) -> None:
    with pytest.raises(InvalidField) as caught:
        secrets.put(house.client, house.vault, project.id, "A", value)
    assert caught.value.field == "value"
    assert "a\r\n" not in caught.value.message


@pytest.mark.parametrize("name", ["", "a", "1A", "A-B", "A B", "A" * 65, "Ä", "A\n"])
def test_a_name_is_of_capitals(house: House, project: Project, name: str) -> None:
    with pytest.raises(InvalidField):
        secrets.put(house.client, house.vault, project.id, name, "a")


@pytest.mark.parametrize(
    "value", ["{{secret.token}}", "{{secret.A", "{{secret}}", "{{ secret . A }}"]
)
def test_a_slip_in_a_header_is_refused_at_creation(value: str) -> None:
    with pytest.raises(InvalidField) as caught:
        check_headers({"X-A": value})
    assert "names no secret" in caught.value.message


def test_the_command_line_sets_lists_and_removes(
    settings: Settings,
    house: House,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    run, words = CliRunner(), ["--project", project.name]
    done = run.invoke(cli, ["secrets", "set", "TOKEN", *words], input="s3cret\n")
    assert done.exit_code == 0, done.output
    assert "s3cret" not in done.output
    assert secrets.values(house.client, house.vault, project.id) == {"TOKEN": "s3cret"}
    assert "TOKEN" in run.invoke(cli, ["secrets", "list", *words]).output
    assert run.invoke(cli, ["secrets", "remove", "TOKEN", *words]).exit_code == 0
    assert secrets.every(house.client, project.id) == []
    with pytest.raises(NotFound):
        secrets.remove(house.client, project.id, "TOKEN")
    assert b"s3cret" not in orjson.dumps(
        [str(line) for line in house.client.lrange("tb:{0}:audit", 0, -1)]
    )
