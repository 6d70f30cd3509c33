"""The documented samples: what is sent, and what must come back, key by key."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.spaaza.conftest import CHAIN, Spaaza, plain_sql

WALLET = {
    "chain": CHAIN,
    "desc": "Wallet ledger export for analytics warehouse",
    "target": {"action": "export", "export_index": "wallet-ledger", "export_format": "csv"},
    "trigger": {"once": "2026-05-26T12:00:00Z"},
}
DAY = {
    "entity": "people",
    "index": "users",
    "join": "all",
    "chain_id": CHAIN,
    "rules": [
        {
            "field_name": "created_date",
            "field_type": "date",
            "operator": "relative_less_than",
            "time_factor": "day",
            "time_amount": 1,
        }
    ],
}
USERS = {
    "chain": CHAIN,
    "desc": "Users of the last day",
    "target": {"action": "export", "export_index": "users", "export_format": "csv"},
    "trigger": {"once": "2026-05-26T12:00:00Z", "segment": DAY},
}


def expected(number: int, sent: dict[str, Any], created: str) -> str:
    """The text of the documented answer."""
    return json.dumps(
        {
            "id": number,
            "chain": CHAIN,
            "desc": sent["desc"],
            "state": {
                "code": "READY",
                "last_run_date": "0001-01-01T00:00:00Z",
                "last_modified": created,
                "created_date": created,
            },
            "trigger": sent["trigger"],
            "target": sent["target"],
            "logs": None,
            "debug": "",
            "version": 2,
            "result": "",
        },
        separators=(",", ":"),
    )


@pytest.mark.parametrize("path", ["/tasks", "/v2/tasks", "/spaaza/tasks"])
@pytest.mark.parametrize("sent", [WALLET, USERS], ids=["wallet", "users"])
def test_a_sample_is_answered_byte_for_byte(api: Spaaza, sent: dict[str, Any], path: str) -> None:
    answer = api("POST", path, sent)
    assert answer.status_code == 201
    made = answer.json
    created = made["state"]["created_date"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    assert abs(datetime.fromisoformat(created) - datetime.now(UTC)) < timedelta(seconds=5)
    assert answer.text == expected(made["id"], sent, created)
    assert answer.headers["Location"] == f"{path}/{made['id']}"
    assert answer.mimetype == "application/json"
    assert api("GET", answer.headers["Location"]).text == answer.text


def test_numbers_count_up_over_all_chains(api: Spaaza) -> None:
    first, second = api.create(), api.create()
    assert type(first["id"]) is int
    assert second["id"] == first["id"] + 1


def test_a_sample_goes_from_ready_to_done_and_its_file_holds_what_sql_says(
    api: Spaaza, work: Callable[[], int], shop: Path
) -> None:
    made = api("POST", "/tasks", USERS).json
    assert work() == 1
    now = api.get(made)
    assert list(now) == list(made)
    assert now["state"]["code"] == "DONE"
    assert now["state"]["last_run_date"] >= made["state"]["created_date"]
    assert now["result"] == f"User_Export-{made['id']}.csv"
    assert now["version"] == 2
    file = api.download(made).decode()
    rows = list(csv.DictReader(io.StringIO(file)))
    wanted = plain_sql(shop, "created_date > datetime('now', '-1 day')")
    assert 10 < len(wanted) < 30
    assert [(int(row["id"]), row["country"] or None) for row in rows] == wanted
    assert [line["message"] for line in now["logs"]] == ["done", "begun"]
    assert now["logs"][0]["rows"] == len(wanted)
    assert now["logs"][0]["bytes"] == len(file)


def test_json_is_one_array_of_objects(api: Spaaza, work: Callable[[], int], shop: Path) -> None:
    made = api.create(target={"export_format": "json"})
    work()
    rows = json.loads(api.download(made))
    assert [(row["id"], row["country"]) for row in rows] == plain_sql(shop)
    assert api.get(made)["result"] == f"User_Export-{made['id']}.json"


def test_debug_is_echoed(api: Spaaza) -> None:
    assert api.create(debug="trace me")["debug"] == "trace me"


def test_a_later_instant_is_waited_for(api: Spaaza, work: Callable[[], int]) -> None:
    made = api.create(trigger={"once": "2099-01-01T00:00:00Z"})
    assert work() == 0
    assert api.code(made) == "READY"
