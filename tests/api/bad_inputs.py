"""The corpus of bad inputs: for each field of each route, values that must be refused under its name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.api.bad_values import (
    CONTROL,
    DATES,
    DURATIONS,
    HEADERS,
    NO_NUMBER,
    NO_OBJECT,
    NO_TEXT,
    URLS,
)

URL = "https://example.com/hello"


@dataclass(frozen=True)
class Bad:
    """One bad request. `param` is the field that the answer must name, or what its name begins with."""

    name: str
    method: str
    path: str
    raw: bytes
    param: str


RETRY: dict[str, list[Any]] = {
    "max_attempts": [0, -1, 101, 1.5, 10**30, None, *NO_NUMBER],
    "min_backoff": ["0s", "0.5s", -1, 0, 10**12, "8d", None, *NO_NUMBER],
    "max_backoff": ["0s", 0, "8d", -5, 1e308, None, *NO_NUMBER],
    "max_doublings": [-1, 31, 1.5, 10**20, None, *NO_NUMBER],
    "jitter": [-0.1, 1.1, 10**9, None, *NO_NUMBER],
    "max_age": ["0s", 0, "367d", -1, *NO_NUMBER],
}
COMMON: dict[str, list[Any]] = {
    "name": [*NO_TEXT, "", "a" * 501, *CONTROL],
    "queue": [*NO_TEXT, "", "a" * 101, "a b", "a/b", ".a", "-a", "ä", "a\0", "../..", *CONTROL],
    "timeout": [0, -1, 0.05, 901, 1e300, "0s", "901s", "5", "20m", *NO_NUMBER],
    "tags": [
        *(1, "a", {}, True, [1], [None], [""], ["a" * 101], ["a\0"], ["a\nb"], ["a"] * 21),
        *([["a"]], [{}], [True]),
    ],
    "request": NO_OBJECT,
    "request.url": URLS,
    "request.method": [*NO_TEXT, "", "post", "CONNECT", "TRACE", "GET ", "GET\r\n", "X" * 1000],
    "request.headers": HEADERS,
    "request.body": [1, 1.5, True, False],
    "request.body_base64": [*NO_TEXT, "a", "a===", "====", "é", "YQ", "Y Q==", "_-8="],
    **{f"retry.{name}": values for name, values in RETRY.items()},
    "retry": ["", "a", 1, True, [], [{}]],
}
TASK: dict[str, list[Any]] = {
    **COMMON,
    "scheduled_for": DATES,
    "delay": [*NO_TEXT, *DURATIONS],
    "priority": [*NO_TEXT, "", "HIGH", "urgent", "0"],
    "concurrency_key": [*NO_TEXT, "", "a" * 201, *CONTROL],
    "ordering_key": [*NO_TEXT, "", "a" * 201, *CONTROL],
}
SCHEDULE: dict[str, list[Any]] = {
    **{name: COMMON[name] for name in ("name", "queue", "tags", "timeout", "request.url")},
    "cron": [
        *NO_TEXT,
        *(
            "",
            " ",
            "* * * *",
            "* * * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
        ),
        *(
            "* * * 13 *",
            "* * * * 8",
            "0 0 30 2 *",
            "0 0 31 4,6 *",
            "a b c d e",
            "*/0 * * * *",
            "R * * * *",
        ),
        *("5-1 * * * *x", "* * * * *\0", "@reboot", "@sometimes", "1,,2 * * * *", "-1 * * * *"),
        *(
            "*/ * * * *",
            "0 0 * * 5#6",
            "0,0," * 5000 + "0 * * * *",
            "9" * 5000 + " * * * *",
            "５ * * * *",
        ),
    ],
    "rrule": [
        *NO_TEXT,
        *("", " ", "DAILY", "FREQ=", "FREQ=SOMETIMES", "INTERVAL=2", "FREQ=DAILY;FREQ=SECONDLY"),
        *(
            "FREQ=DAILY;INTERVAL=0",
            "FREQ=DAILY;INTERVAL=-1",
            "FREQ=DAILY;COUNT=0",
            "FREQ=DAILY;COUNT=-5",
        ),
        *(
            "FREQ=SECONDLY;BYMONTHDAY=30;BYMONTH=2",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=DAILY;X=1",
        ),
        *("FREQ=DAILY;BYMONTH=13", "FREQ=DAILY;BYMONTHDAY=0", "FREQ=YEARLY;BYYEARDAY=367"),
        *(
            "FREQ=DAILY;BYHOUR=24",
            "FREQ=DAILY;BYDAY=99MO",
            "FREQ=DAILY;BYEASTER=0",
            "FREQ=DAILY;UNTIL=soon",
        ),
        *(
            "FREQ=DAILY;INTERVAL=" + "9" * 20,
            "FREQ=DAILY;COUNT=1;UNTIL=20300101T000000Z",
            "FREQ=DAILY\0",
        ),
        *(
            "RRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY",
            "DTSTART;TZID=../../etc/passwd:20260101T000000\nRRULE:FREQ=DAILY",
        ),
        *("FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 5000), "FREQ=SECONDLY;BYSETPOS=2"),
    ],
    "timezone": [
        *NO_TEXT,
        "",
        "Mars/Base",
        "../../etc/passwd",
        "/etc/passwd",
        "UTC\0",
        "a" * 101,
        "utc ",
    ],
    "dtstart": DATES[:20],
    "start_at": DATES[10:30],
    "end_at": DATES[10:30],
    "paused": [1, 0, "true", "", [], {}],
    "paused_until": DATES[10:30],
    "overlap": [*NO_TEXT, "", "QUEUE_ONE", "never"],
    "catch_up": [*NO_TEXT, "", "some"],
    "catch_up_window": ["", "5", -1, 1e300, "4000d", [], {}, True],
    "window": ["", "5", -1, 1e300, "4000d", [], {}, True],
    "max_runs": [0, -1, 1.5, 2**31, 10**30, "1", [], True],
    "description": [*NO_TEXT, "a" * 501, "a\0b"],
}
LIMITS: dict[str, list[Any]] = {
    "rate": [0, -1, 1.5, 10**9, 10**30, *NO_NUMBER],
    "burst": [0, -1, 1.5, 10**9, *NO_NUMBER],
    "concurrency": [0, -1, 1.5, 10**9, *NO_NUMBER],
    "paused": [1, 0, "true", [], {}],
}
BULK: dict[str, list[Any]] = {
    "action": [*NO_TEXT, "", "destroy", "CANCEL"],
    "filter": NO_OBJECT,
    "filter.status": ["", "QUEUED", "dead"],
    "filter.queue": ["", "a b", "a" * 101],
    "filter.created_after": ["", "now"],
    "dry_run": [1, 0, "true", [], {}],
    "rate": [0, -1, 10**9, "1", [], {}, True],
}
SPAAZA: dict[str, list[Any]] = {
    "chain": ["1764", 1.5, True, [], {}, 0, -1, 10**30],
    "desc": [1, [], {}, True, "a" * 1001],
    "debug": [1, [], {}, True, "a" * 1001],
    "target": NO_OBJECT[1:],
    "target.action": [*NO_TEXT, "", "import"],
    "target.export_index": [*NO_TEXT, "", "nothing", "../tasks", "a" * 1000],
    "target.export_format": [*NO_TEXT, "", "xml", "CSV"],
    "target.gzip": [1, "true", [], {}],
    "target.campaign": [-1, 1.5, "1", [], {}, 10**30, True],
    "target.notify": ["http://example.com", 1, [], True],
    "target.what": [1],
    "trigger": NO_OBJECT[1:],
    "trigger.once": DATES,
    "trigger.repeat": [*NO_TEXT, "", "hourly", "DAILY"],
    "trigger.segment": NO_OBJECT[1:],
    "trigger.segment_id": [1.5, True, [], {}, "nothing", -1],
    "trigger.cron": ["* * * * *"],
}
QUERY: dict[str, list[str]] = {
    "limit": ["", "0", "-1", "1001", "1.5", "a", "１", "9" * 30, " 1", "1e2"],
    "cursor": ["a", "====", "é", "A" * 499, "AAAAAAAAAAAAAAAA" + "QQ", "%00"],
    "status": ["", "QUEUED", "dead", "a" * 1000],
    "id": ["a", ",", "1,2", "0" * 36, ",".join(["x"] * 200)],
    "created_after": ["", "now", "2026-13-01T00:00:00Z"],
    "scheduled_before": ["tomorrow", "1"],
    "created_at": ["a/b", "2026-01-01T00:00:00Z/b", "1/2/3"],
    "queue": ["", "a b", "a/b", "a" * 101],
    "name": ["", "a" * 501],
    "tag": ["", "a" * 101],
    "nonsense": ["1"],
}
UNKNOWN = (
    "scheduledFor",
    "Delay",
    "cron_",
    "request_url",
    "__proto__",
    "constructor",
    "id",
    "$where",
    "a" * 1000,
)


def _put(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one field set."""
    head, _, rest = path.partition(".")
    return {**body, head: _put(dict(body.get(head) or {}), rest, value) if rest else value}


def _bodies(
    what: str, method: str, path: str, base: dict[str, Any], fields: dict[str, list[Any]]
) -> Iterator[Bad]:
    for field, values in fields.items():
        for n, value in enumerate(values):
            raw = json.dumps(_put(base, field, value)).encode()
            yield Bad(f"{what} {field} {n} {value!r:.40}", method, path, raw, field)
    for name in UNKNOWN:
        raw = json.dumps({**base, name: 1}).encode()
        yield Bad(f"{what} unknown {name:.40}", method, path, raw, name[:80])


def corpus() -> Iterable[Bad]:
    """Every bad input."""
    request = {"request": {"url": URL}}
    yield from _bodies("task", "POST", "/v2/tasks", request, TASK)
    base = {**request, "rrule": "FREQ=DAILY"}
    for field, values in SCHEDULE.items():
        start = request if field == "cron" else base
        yield from _bodies("schedule", "POST", "/v2/schedules", start, {field: values})
    yield from _bodies("queue", "PATCH", "/v2/queues/q", {}, LIMITS)
    yield from _bodies("bulk", "POST", "/v2/tasks/bulk", {"action": "cancel", "filter": {}}, BULK)
    order = {
        "chain": 1764,
        "target": {"action": "export", "export_index": "tasks"},
        "trigger": {},
    }
    yield from _bodies("export", "POST", "/spaaza/tasks", order, SPAAZA)
    for name, texts in QUERY.items():
        for text in texts:
            yield Bad(f"list {name} {text:.40}", "GET", f"/v2/tasks?{name}={text}", b"", name)
