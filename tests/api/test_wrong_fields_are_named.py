"""Whatever is wrong with a task is a 422 that names the field, all of it at once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.api.conftest import URL, Api, params

WRONG: list[tuple[str, dict[str, Any]]] = [
    ("request", {}),
    ("request", {"request": None}),
    ("request", {"request": "https://example.com"}),
    ("request", {"request": []}),
    ("request.url", {"request": {}}),
    *(
        ("request.url", {"request": {"url": url}})
        for url in (
            None,
            5,
            "",
            "example.com",
            "/relative",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://",
            "https://user:secret@example.com/",
            "https://example.com/a b",
            "https://example.com/\n",
            "https://example.com/\0",
            "https://example.com:99999/",
            "https://" + "x" * 3000,
            "http://127.0.0.2.3.4/",
            "http://10.1:6379/",
            "http://169.254.169.254/latest/meta-data/",
            "http://0xA9FEA9FE/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[fe80::1%25eth0]/",
            "http://0/",
        )
    ),
    *(
        ("request.method", {"request": {"url": URL, "method": method}})
        for method in ("post", "TRACE", "CONNECT", "", 1, ["POST"])
    ),
    *(("request.headers", {"request": {"url": URL, "headers": h}}) for h in ([], "X: y", 1, True)),
    ("request.headers.X-A", {"request": {"url": URL, "headers": {"X-A": 1}}}),
    ("request.headers.X-A", {"request": {"url": URL, "headers": {"X-A": None}}}),
    ("request.headers.X-A", {"request": {"url": URL, "headers": {"X-A": "a\r\nX-B: c"}}}),
    ("request.headers.X-A", {"request": {"url": URL, "headers": {"X-A": "\0"}}}),
    ("request.headers.X-A", {"request": {"url": URL, "headers": {"X-A": "☃"}}}),
    ("request.headers.X A", {"request": {"url": URL, "headers": {"X A": "1"}}}),
    ("request.headers.x-a", {"request": {"url": URL, "headers": {"X-A": "1", "x-a": "2"}}}),
    *(
        (f"request.headers.{name}", {"request": {"url": URL, "headers": {name: "1"}}})
        for name in ("Host", "content-length", "Transfer-Encoding", "Connection", "Expect", "TE")
    ),
    (
        "request.headers",
        {"request": {"url": URL, "headers": {f"X-{n}": "1" for n in range(51)}}},
    ),
    ("request.headers", {"request": {"url": URL, "headers": {"X-A": "x" * 9000}}}),
    *(("request.body", {"request": {"url": URL, "body": body}}) for body in (1, 1.5, True)),
    *(
        ("request.body_base64", {"request": {"url": URL, "body_base64": b}})
        for b in ("A", "AA", "A A=", "é", 1, ["AAE="])
    ),
    ("request.body_base64", {"request": {"url": URL, "body": "a", "body_base64": "AAE="}}),
    *(("name", {"name": name}) for name in ("", "x" * 501, 5, ["x"], "a\0b", "a\nb")),
    *(
        ("queue", {"queue": queue})
        for queue in ("", "x" * 101, "a b", "a/b", "ü", "-a", 5, "a\0", "a\n")
    ),
    *(
        ("scheduled_for", {"scheduled_for": at})
        for at in (
            "",
            "tomorrow",
            "2040-01-01",
            "2040-13-01T00:00:00Z",
            "2040-02-30T00:00:00Z",
            "1900-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "٢٠٤٠-01-01T00:00:00Z",
            1893456000,
            True,
            "2040-01-01T00:00:00+99:99",
            "9" * 100,
        )
    ),
    *(
        ("delay", {"delay": delay})
        for delay in (
            "",
            "5",
            5,
            "-5s",
            "5 s",
            "s",
            "P",
            "PT",
            "1y",
            "1e9s",
            "9" * 31 + "s",
            [],
            "NaNs",
        )
    ),
    *(("timeout", {"timeout": t}) for t in (0, -1, 0.05, 901, "16m", "5", True, [], 1e300, "1y")),
    *(("retry", {"retry": r}) for r in ("none", 3, [], True, False, 0, "")),
    *(
        (f"retry.{field}", {"retry": {field: value}})
        for field, values in {
            "max_attempts": (0, 101, 1.5, "3", True, None, -1),
            "min_backoff": (0, 0.5, "1ms", "8d", True, None, "5"),
            "max_backoff": (0, "8d", None, [], "5s"),
            "max_doublings": (-1, 31, 1.0, None),
            "jitter": (-0.1, 1.1, "0.2", None, True),
            "max_age": (0, "367d", "x", False),
        }.items()
        for value in values
    ),
    *(("tags", {"tags": tags}) for tags in ("a", {}, 1, [str(n) for n in range(21)])),
    ("tags.1", {"tags": ["a", ""]}),
    ("tags.0", {"tags": ["x" * 101]}),
    ("tags.2", {"tags": ["a", "b", 3]}),
    ("tags.0", {"tags": ["a\nb"]}),
    ("tags.0", {"tags": [None]}),
]


@pytest.mark.parametrize(("param", "fields"), WRONG)
def test_a_wrong_field_is_named(api: Api, param: str, fields: dict[str, Any]) -> None:
    sent = fields if "request" in fields or not fields else {"request": {"url": URL}, **fields}
    answer = api("POST", "/v2/tasks", sent)
    assert answer.status_code == 422, answer.text
    assert answer.json["param"] == param
    assert params(answer) == [param]
    assert answer.json["message"].startswith(param)
    assert api("GET", "/v2/tasks").json == []


def test_everything_wrong_is_told_at_once(api: Api) -> None:
    answer = api(
        "POST",
        "/v2/tasks",
        {
            "request": {"url": "ftp://x", "method": "NO", "headers": {"Host": "x"}},
            "queue": "a b",
            "tags": 5,
            "retry": {"max_attempts": 0, "jitter": 2},
        },
    )
    assert answer.status_code == 422
    assert sorted(params(answer)) == [
        "queue",
        "request.headers.Host",
        "request.method",
        "request.url",
        "retry.jitter",
        "retry.max_attempts",
        "tags",
    ]
    assert answer.json["message"].endswith("(and 6 more)")


@pytest.mark.parametrize(
    ("param", "meant", "fields"),
    [
        ("scheduledFor", "scheduled_for", {"scheduledFor": "2040-01-01T00:00:00Z"}),
        ("scheduled_at", "scheduled_for", {"scheduled_at": "2040-01-01T00:00:00Z"}),
        ("Delay", "delay", {"Delay": "5s"}),
        ("request.URL", "url", {"request": {"url": URL, "URL": URL}}),
        ("request.header", "headers", {"request": {"url": URL, "header": {}}}),
        ("request.bodyBase64", "body_base64", {"request": {"url": URL, "bodyBase64": ""}}),
        ("retry.maxAttempts", "max_attempts", {"retry": {"maxAttempts": 1}}),
        ("zzz", None, {"zzz": 1}),
        ("id", None, {"id": "x"}),
        ("_schema", None, {"_schema": 1}),
        ("", None, {"": 1}),
    ],
)
def test_an_unknown_field_is_named_with_the_one_that_was_meant(
    api: Api, param: str, meant: str | None, fields: dict[str, Any]
) -> None:
    answer = api("POST", "/v2/tasks", {"request": {"url": URL}, **fields})
    assert answer.status_code == 422
    assert [p for p in params(answer) if p] == ([param] if param else [])
    if meant:
        assert answer.json["message"].endswith(f"did you mean {meant}?")
    assert api("GET", "/v2/tasks").json == []


@pytest.mark.parametrize("where", ["", "request", "retry"])
def test_a_hundred_thousand_unknown_fields_are_refused_in_no_time(api: Api, where: str) -> None:
    unknown = {f"x{n}": 0 for n in range(100_000)}
    task = {"request": {"url": URL}, **({where: unknown} if where else unknown)}
    begun = time.monotonic()
    answer = api("POST", "/v2/tasks", task)
    assert time.monotonic() - begun < 2
    assert answer.status_code == 422
    assert params(answer) == [where]
    few = {f"x{n}": 0 for n in range(8)}
    answer = api("POST", "/v2/tasks", {"request": {"url": URL}, **few})
    assert sorted(params(answer)) == sorted(few)


def test_a_body_beyond_the_limit_is_a_413(api: Api) -> None:
    answer = api("POST", "/v2/tasks", {"request": {"url": URL, "body": "x" * (1024 * 1024 + 1)}})
    assert (answer.status_code, answer.json["param"]) == (413, "request.body")
    answer = api("POST", "/v2/tasks", {"request": {"url": URL, "body": "x" * (3 * 1024 * 1024)}})
    assert answer.status_code == 413
    full = api.create(request={"body": "x" * (1024 * 1024)})
    assert len(full["request"]["body"]) == 1024 * 1024


def test_an_allowed_private_target_is_taken(api: Api) -> None:
    for url in ("http://localhost:3000/", "http://127.0.0.1/", "http://[::1]:8080/x"):
        assert api.create(url)["request"]["url"] == url


def test_a_name_is_not_resolved_when_the_task_is_made(api: Api) -> None:
    assert api.create("https://no-such-host.invalid/")["status"] == "queued"
