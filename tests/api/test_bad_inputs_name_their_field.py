"""Of a thousand bad inputs none is taken, none is a 5xx, none takes long, and each answer names the field."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import groupby

import pytest
from werkzeug.test import Client, TestResponse

from api.app import create_app
from tests.api.bad_inputs import Bad, corpus
from tests.conftest import SECRET
from timeball.dispatch.house import open_house
from timeball.settings import Settings
from timeball.store import chains, projects

CASES = {
    name: list(group)
    for name, group in groupby(
        sorted(corpus(), key=lambda bad: bad.name), lambda bad: " ".join(bad.name.split(" ")[:2])
    )
}


class Sender:
    """Sends requests with a key of a chain, which speaks both dialects."""

    def __init__(self, client: Client, key: str) -> None:
        self.client, self.headers = client, {"Authorization": f"Bearer {key}"}

    def __call__(self, method: str, path: str, raw: bytes = b"") -> TestResponse:
        return self.client.open(path, method=method, data=raw, headers=self.headers)


@pytest.fixture(scope="module")
def send(redis_url: str) -> Iterator[Sender]:
    settings = Settings(redis_url=redis_url, secret=SECRET)
    house = open_house(settings)
    house.client.flushall()
    project = chains.ensure(house.client, house.vault, 1764)
    key = projects.create_key(house.client, house.vault, project.id)[1]
    yield Sender(Client(create_app(settings)), key)
    house.client.close()


def told(answer: TestResponse) -> dict[str, str]:
    """What is wrong with which field, whichever dialect says it."""
    assert answer.mimetype == "application/json"
    if "error" in answer.json:
        fields: dict[str, str] = answer.json["error"]["fields"]
        return fields
    return {fault.get("param", ""): fault["message"] for fault in answer.json["errors"]}


def test_the_corpus_is_large() -> None:
    assert (
        len({(bad.method, bad.path, bad.raw) for cases in CASES.values() for bad in cases}) > 1000
    )


@pytest.mark.parametrize("cases", CASES.values(), ids=CASES)
def test_each_is_refused_under_its_name(send: Sender, cases: list[Bad]) -> None:
    for bad in cases:
        began = time.thread_time()  # what it costs, whoever else uses this machine
        answer = send(bad.method, bad.path, bad.raw)
        assert time.thread_time() - began < 1, bad.name
        assert answer.status_code in (400, 413, 422), (bad.name, answer.status_code, answer.text)
        found = told(answer)
        named = [message for name, message in found.items() if name.startswith(bad.param)]
        assert named, (bad.name, answer.text)
        assert bad.param.rpartition(".")[2] in named[0], (bad.name, answer.text)
        assert len(answer.text) < 4000, bad.name


def test_nothing_was_taken(send: Sender) -> None:
    for path in ("/v2/tasks", "/v2/schedules", "/spaaza/tasks", "/v2/bulk"):
        assert send("GET", path).json == []
