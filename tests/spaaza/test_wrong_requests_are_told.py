"""Each documented error, and those that keep an export from meaning more rows than were asked for."""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

import pytest

from tests.export.test_a_hostile_segment_gets_nowhere import HOSTILE_RULES
from tests.spaaza.conftest import CHAIN, STRANGER, Spaaza
from timeball.dispatch.house import House
from timeball.model.project import Project, Scope
from timeball.store import projects

RULE = {"field_name": "country", "field_type": "keyword", "operator": "is", "value": "NL"}


def task(**changes: Any) -> dict[str, Any]:
    """A right task, but for what is changed; None leaves a key out."""
    made = {
        "chain": CHAIN,
        "desc": "",
        "target": {"action": "export", "export_index": "users"},
        "trigger": {"once": "2026-05-26T12:00:00Z"},
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


def segment(*rules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A trigger with a segment of rules."""
    inline = {
        "entity": "people",
        "index": "users",
        "join": "all",
        "chain_id": CHAIN,
        "rules": list(rules),
        **changes,
    }
    return {"segment": inline}


TARGET = {"action": "export", "export_index": "users"}
WRONG = [
    (task(chain=None), "chain"),
    (task(target=None), "target"),
    (task(trigger=None), "trigger"),
    (task(chain="1764"), "chain"),
    (task(chain=0), "chain"),
    (task(chain=True), "chain"),
    (task(desc=7), "desc"),
    (task(extra=1), "extra"),
    (task(target="users"), "target"),
    (task(target={"action": "export"}), "target.export_index"),
    (task(target={"action": "export", "export_index": "vouchers"}), "target.export_index"),
    (task(target={"action": "delete", "export_index": "users"}), "target.action"),
    (task(target={**TARGET, "export_format": "xml"}), "target.export_format"),
    (task(target={**TARGET, "fields": ["id"]}), "target.fields"),
    (task(target={**TARGET, "campaign": "x"}), "target.campaign"),
    (task(target={**TARGET, "notify": {"url": "ftp://x"}}), "target.notify.url"),
    (task(target={**TARGET, "notify": {"url": "http://10.0.0.1/"}}), "target.notify.url"),
    (task(trigger={"once": "tomorrow"}), "trigger.once"),
    (task(trigger={"once": 5}), "trigger.once"),
    (task(trigger={"repeat": "hourly"}), "trigger.repeat"),
    (task(trigger={"user_list": "x"}), "trigger.user_list"),
    (task(trigger={"cron": "* * * * *"}), "trigger.cron"),
    (task(trigger={"segment_id": "9"}), "trigger.segment_id"),
    (task(trigger=segment()), "trigger.segment.rules"),
    (task(trigger=segment(RULE, join="some")), "trigger.segment.join"),
    (task(trigger=segment(RULE, chain_id=STRANGER)), "trigger.segment.chain_id"),
    (task(trigger=segment(RULE, index="vouchers")), "trigger.segment.index"),
    (task(trigger={"segment": []}), "trigger.segment"),
    (
        task(trigger=segment(RULE, {**RULE, "operator": "like"})),
        "trigger.segment.rules[1].operator",
    ),
    (
        task(trigger=segment({**RULE, "field_name": "password"})),
        "trigger.segment.rules[0].field_name",
    ),
    (
        task(trigger=segment({**RULE, "field_name": 'id" OR 1=1 --'})),
        "trigger.segment.rules[0].field_name",
    ),
]


@pytest.mark.parametrize(
    ("sent", "field"), WRONG, ids=[f"{i}-{f}" for i, (_, f) in enumerate(WRONG)]
)
def test_a_wrong_field_is_named(api: Spaaza, sent: dict[str, Any], field: str) -> None:
    answer = api("POST", "/tasks", sent)
    assert answer.status_code == 422, answer.text
    assert answer.json["error"]["name"] == "invalid_fields"
    assert field in answer.json["error"]["fields"]
    assert api("GET", "/tasks").json == []


def test_all_missing_fields_are_told_at_once(api: Spaaza) -> None:
    fields = api("POST", "/spaaza/tasks", {}).json["error"]["fields"]
    assert set(fields) == {"chain", "target", "trigger"}


def test_another_chain_is_forbidden(api: Spaaza) -> None:
    assert api("POST", "/tasks", task(chain=STRANGER)).status_code == 403


def test_a_body_of_both_dialects_is_refused(api: Spaaza) -> None:
    answer = api("POST", "/tasks", {**task(), "request": {"url": "https://example.com"}})
    assert answer.status_code == 422
    assert "request" in answer.json["error"]["fields"]


@pytest.mark.parametrize("raw", [b"{", b"", b"[]", b"7"])
def test_what_is_no_object_is_refused(api: Spaaza, raw: bytes) -> None:
    assert api("POST", "/spaaza/tasks", raw=raw).status_code in (400, 422)


@pytest.mark.parametrize(
    "authorization",
    ["Bearer a:b", "Bearer 00000000-0000-4000-8000-000000000000:" + "x" * 43, "Bearer :"],
)
def test_a_wrong_credential_is_told_in_the_dialect(api: Spaaza, authorization: str) -> None:
    answer = api("GET", "/tasks", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert "WWW-Authenticate" in answer.headers


def test_no_credential_at_all(api: Spaaza) -> None:
    api.headers = {}
    assert api("POST", "/spaaza/tasks", task()).status_code == 401


def test_a_key_that_may_only_read_makes_nothing(api: Spaaza, house: House, chain: Project) -> None:
    key = projects.create_key(house.client, house.vault, chain.id, [Scope.READ], pair=True)[1]
    api.headers = {"Authorization": f"Bearer {key}"}
    assert api("POST", "/tasks", task()).status_code == 403
    assert api("GET", "/tasks").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/tasks/99", "/tasks/0", "/tasks/x", "/tasks/1e3", "/tasks/-1", f"/tasks/{'9' * 30}"],
)
def test_an_unknown_task_is_not_found(api: Spaaza, path: str) -> None:
    for method, more in (("GET", ""), ("POST", "/execute"), ("GET", "/download_url")):
        assert api(method, path + more).status_code == 404


@pytest.mark.parametrize(
    "query", ["limit=x", "limit=-1", "limit=5000", "offset=1.5", "status=done", "campaign_id=a"]
)
def test_a_wrong_parameter_is_named(api: Spaaza, query: str) -> None:
    answer = api("GET", f"/tasks?{query}")
    assert answer.status_code == 422
    assert list(answer.json["error"]["fields"]) == [query.partition("=")[0]]


def test_there_is_no_file_before_done(api: Spaaza) -> None:
    assert api("GET", f"/tasks/{api.create()['id']}/download_url").status_code == 409


def test_a_mergent_task_is_still_mergents(api: Spaaza) -> None:
    answer = api("POST", "/tasks", {"request": {"url": "https://example.com"}})
    assert answer.status_code == 201
    assert answer.json["status"] == "queued"
    assert api("GET", f"/tasks/{answer.json['id']}").json == answer.json


def test_every_hostile_rule_is_refused_by_its_index_and_makes_nothing(
    api: Spaaza, house: House
) -> None:
    """The corpus of the engine, through the door: tasks and saved segments alike."""
    own = {"country": "url", "points": "attempts", "created_at": "created_at"}
    good = {"field_name": "url", "field_type": "keyword", "operator": "is", "value": "NL"}
    inline = {"entity": "people", "index": "tasks", "join": "any", "chain_id": CHAIN}
    told = 0
    for change, path in HOSTILE_RULES:
        rule = {**good, **change}
        name = rule["field_name"]
        if name in ("active", "photo"):  # kinds that this index has not
            continue
        rule["field_name"] = own.get(name, name) if isinstance(name, str) else name
        whole = {**inline, "rules": [good, good, rule]}
        target = {"action": "export", "export_index": "tasks"}
        for url, sent, where in (
            ("/tasks", task(target=target, trigger={"segment": whole}), "trigger.segment"),
            ("/v2/segments", {"segment": whole}, "segment"),
        ):
            answer = api("POST", url, sent)
            assert answer.status_code in (400, 422), (change, answer.text)
            fields = answer.json["error"]["fields"]
            if answer.status_code == 422 and fields != {"": ANY}:
                assert list(fields) == [f"{where}.rules[2].{path}"], change
                told += 1
    assert told > 100
    assert api("GET", "/tasks").json == api("GET", "/v2/segments").json == []
    assert not house.client.keys("tb:{0}:x:*")
