"""The inbox over real HTTP: it records what comes, checks signatures, and fails when the URL says so."""

from __future__ import annotations

import base64
import http.client
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from api.inbox.app import HELD
from tests.conftest import environment, eventually
from timeball.dispatch.house import House
from timeball.model.project import ApiKey, Project
from timeball.settings import Settings
from timeball.signing import Signer
from timeball.up import commands, ports

JSON = {"Accept": "application/json"}


@dataclass
class Inbox:
    url: str
    port: int

    def listed(self, path: str = "/", **params: str) -> list[dict[str, Any]]:
        answer = requests.get(self.url + path, headers=JSON, params=params, timeout=5)
        assert answer.status_code == 200
        found: list[dict[str, Any]] = answer.json()
        return found


@pytest.fixture(scope="module")
def served(redis_url: str) -> Iterator[Inbox]:
    settings = Settings(redis_url=redis_url)
    port = ports.take("127.0.0.1", 0).number
    server = subprocess.Popen(commands.inbox("127.0.0.1", port), env=environment(settings))
    inbox = Inbox(f"http://127.0.0.1:{port}", port)
    try:
        eventually(lambda: _answers(inbox.url))
        yield inbox
    finally:
        server.terminate()
        server.wait(10)


def _answers(url: str) -> bool:
    try:
        return requests.get(url + "/_inbox/count", timeout=1).ok
    except requests.ConnectionError:
        return False


@pytest.fixture
def inbox(served: Inbox) -> Inbox:
    requests.delete(served.url + "/", timeout=5)
    return served


def test_the_page_says_of_which_state_of_the_list_it_is(inbox: Inbox) -> None:
    """By that it sees what came between its making and its first look for news."""

    def shown() -> str:
        page = requests.get(inbox.url + "/", headers={"Accept": "text/html"}, timeout=5).text
        return page.partition('data-state="')[2].partition('"')[0]

    before = shown()
    assert before == requests.get(inbox.url + "/_inbox/count", timeout=5).text
    requests.post(inbox.url + "/hello", timeout=5)
    after = shown()
    assert before != after == requests.get(inbox.url + "/_inbox/count", timeout=5).text


def test_what_is_posted_is_listed_newest_first(inbox: Inbox) -> None:
    for number in range(3):
        answer = requests.post(f"{inbox.url}/hello?n={number}", data=f"ünï {number}".encode())
        assert answer.status_code == 200
    requests.put(inbox.url + "/other", json={"a": 1})
    listed = inbox.listed()
    assert [r["path"] for r in listed] == ["/other", "/hello", "/hello", "/hello"]
    assert [r["body"] for r in inbox.listed("/hello")] == ["ünï 2", "ünï 1", "ünï 0"]
    assert [r["method"] for r in inbox.listed(path="/", limit="1")] == ["PUT"]
    assert [r["query"] for r in inbox.listed(limit="1", path="/hello")] == ["n=2"]


def test_every_method_of_a_task_is_recorded(inbox: Inbox) -> None:
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    for method in methods:
        requests.request(method, inbox.url + "/", headers={"Timeball-Task": "t1"}, timeout=5)
    assert [r["method"] for r in reversed(inbox.listed())] == methods


def test_it_is_cleared(inbox: Inbox) -> None:
    requests.post(inbox.url + "/x")
    assert requests.delete(inbox.url + "/").status_code == 204
    assert inbox.listed() == []


def test_a_chunked_body_and_one_that_is_no_text_are_kept(inbox: Inbox) -> None:
    raw = os.urandom(2_000_000)
    requests.post(inbox.url + "/raw", data=iter([raw[:1_000_000], raw[1_000_000:]]))
    (received,) = inbox.listed()
    assert received["body"] is None
    assert base64.b64decode(received["body_base64"]) == raw[: 64 * 1024]
    assert received["body_bytes"] == len(raw)
    assert received["body_cut"]


def test_only_the_last_thousand_are_kept(inbox: Inbox) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", inbox.port)
    for number in range(1010):
        connection.request("POST", f"/{number}", body=b"")
        connection.getresponse().read()
    listed = inbox.listed()
    assert len(listed) == 1000
    assert listed[0]["path"] == "/1009"
    assert listed[-1]["path"] == "/10"


@pytest.mark.parametrize(
    ("query", "status", "header"),
    [
        ("status=500", 500, ("x", None)),
        ("status=410", 410, ("x", None)),
        ("status=429&retry_after=10", 429, ("Retry-After", "10")),
        ("retry_after=10", 429, ("Retry-After", "10")),
        ("no_retry=1", 500, ("Task-No-Retry", "true")),
        ("status=204", 204, ("x", None)),
        ("color=red", 200, ("x", None)),
    ],
)
def test_it_answers_as_the_url_says(
    inbox: Inbox, query: str, status: int, header: tuple[str, str | None]
) -> None:
    answer = requests.post(f"{inbox.url}/x?{query}")
    assert answer.status_code == status
    assert answer.headers.get(header[0]) == header[1]
    assert inbox.listed()[0]["status"] == status


def test_the_first_deliveries_of_each_task_fail(inbox: Inbox) -> None:
    def deliver(task: str) -> int:
        headers = {"Timeball-Task": task}
        url = inbox.url + "/x?status=503&times=2&retry_after=1"
        return requests.post(url, headers=headers).status_code

    assert [deliver("one") for _ in range(4)] == [503, 503, 200, 200]
    assert deliver("two") == 503


def test_a_query_that_makes_no_sense_is_a_400_in_words(inbox: Inbox) -> None:
    answer = requests.post(inbox.url + "/x?status=teapot&delay=1e9")
    assert answer.status_code == 400
    assert "status must be a number from 200 to 599" in answer.json()["message"]
    assert "delay must be a number from 0 to 60" in answer.json()["message"]


def test_it_answers_slowly(inbox: Inbox) -> None:
    begun = time.monotonic()
    assert requests.post(inbox.url + "/x?delay=0.5").status_code == 200
    assert 0.5 <= time.monotonic() - begun < 3


def test_it_hangs_but_never_with_all_of_its_threads(inbox: Inbox) -> None:
    def hang(_: int) -> int:
        try:
            return requests.post(inbox.url + "/x?hang=1", timeout=2).status_code
        except requests.Timeout:
            return 0

    with ThreadPoolExecutor(HELD + 4) as pool:
        hanging = pool.map(hang, range(HELD + 4))
        time.sleep(1)
        begun = time.monotonic()
        assert requests.post(inbox.url + "/other").status_code == 200
        assert time.monotonic() - begun < 1
        answers = list(hanging)
    assert answers.count(0) == HELD
    assert answers.count(503) == 4


def test_signatures_are_judged(
    inbox: Inbox, house: House, project: Project, api_key: tuple[ApiKey, str]
) -> None:
    body = b'{"n":1}'
    signer = Signer(project.signing_secrets, api_key[1])
    lines = signer.lines("01a2005c-99cb-7cce-82f9-eb9ca176d8dd", int(time.time()), body)
    headers = dict(line.decode().split(": ", 1) for line in lines)
    requests.post(inbox.url + "/x", data=body, headers=headers)
    requests.post(inbox.url + "/x", data=body + b" ", headers=headers)
    old = {**headers, "webhook-timestamp": "1000000000"}
    requests.post(inbox.url + "/x", data=body, headers=old)
    requests.post(inbox.url + "/x", data=body)
    found = [r["signatures"] for r in reversed(inbox.listed())]
    assert found == [
        {"mergent": "valid", "webhook": "valid"},
        {"mergent": "wrong", "webhook": "wrong"},
        {"mergent": "valid", "webhook": "wrong"},
        {"mergent": "missing", "webhook": "missing"},
    ]


def test_the_page_escapes_what_came_and_runs_no_script_of_others(inbox: Inbox) -> None:
    evil = "<script>alert(1)</script>"
    requests.post(
        f"{inbox.url}/{evil}?q={evil}",
        data=evil.encode(),
        headers={"Timeball-Task": evil, "Timeball-Attempt": evil, "X-Evil": evil},
    )
    answer = requests.get(inbox.url + "/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert evil not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for own in ("inbox.css", "inbox.js"):
        assert f"/_inbox/{own}" in answer.text
        assert requests.get(f"{inbox.url}/_inbox/{own}").status_code == 200


def test_another_sites_page_cannot_clear_it(inbox: Inbox) -> None:
    requests.post(inbox.url + "/x")
    evil = {"Origin": "https://evil.example"}
    answer = requests.post(inbox.url + "/_inbox/clear", headers=evil, allow_redirects=False)
    assert answer.status_code == 403
    assert len(inbox.listed()) == 1
    own = {"Origin": inbox.url}
    answer = requests.post(inbox.url + "/_inbox/clear", headers=own, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert inbox.listed() == []


def test_what_came_is_shown_at_the_inboxs_own_address_alone(inbox: Inbox) -> None:
    """A page of another site whose name was made to lead here reads nothing and clears nothing."""
    requests.post(inbox.url + "/x", data=b"secret", timeout=5)

    def ask(method: str, path: str, host: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", inbox.port, timeout=5)
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        return status

    for host in ("evil.example", "evil.example:9000", "127.0.0.1.evil.example", "a.b@evil.example"):
        for method, path in (
            ("GET", "/"),
            ("GET", "/x"),
            ("DELETE", "/"),
            ("GET", "/_inbox/count"),
        ):
            assert ask(method, path, host) == 421, (host, path)
        assert ask("POST", "/_inbox/clear", host) == 421
        assert ask("POST", "/y", host) == 200, "who sends may use any name"
    for host in (
        "localhost",
        "app.localhost:1",
        "inbox:9000",
        "127.0.0.1",
        "[::1]:9000",
        "10.0.0.7",
    ):
        assert ask("GET", "/", host) == 200, host
    assert [r["path"] for r in inbox.listed()] == ["/y"] * 4 + ["/x"]


def test_bodies_that_stay_away_hold_up_nobody(inbox: Inbox) -> None:
    slow = []
    for _ in range(commands.INBOX_THREADS + 10):
        connection = http.client.HTTPConnection("127.0.0.1", inbox.port, timeout=10)
        connection.putrequest("POST", "/slow")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"a")
        slow.append(connection)
    began = time.monotonic()
    assert requests.get(inbox.url + "/?limit=1", headers=JSON, timeout=10).status_code == 200
    assert time.monotonic() - began < 5
    for connection in slow:
        connection.close()
