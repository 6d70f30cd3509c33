"""What a chain may export: registered by API and command line, never shown again with its secrets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from api.app import create_app
from api.door import App
from tests.conftest import environment
from tests.spaaza.conftest import CHAIN, Spaaza, plain_sql
from timeball.cli import cli
from timeball.dispatch.house import House
from timeball.errors import ConfigError
from timeball.model.project import Project, Scope
from timeball.settings import Settings
from timeball.store import projects
from timeball.store import sources as store


def test_a_source_is_registered_tried_listed_and_removed(
    api: Spaaza, shop: Path, work: Callable[[], int], house: House
) -> None:
    answer = api(
        "POST",
        "/v2/sources",
        {
            "index": "products",
            "url": f"sqlite:///{shop}",
            "table": "users",
            "chain_column": "chain_id",
            "allowed": ["id", "country", "chain_id"],
        },
    )
    assert answer.status_code == 201, answer.text
    assert answer.json["url"] == "hidden"
    assert [c["name"] for c in answer.json["columns"]] == ["id", "chain_id", "country"]
    listed = api("GET", "/v2/sources").json
    assert [s["index"] for s in listed] == [
        "products",
        "users",
        "wallet-ledger",
        "tasks",
        "attempts",
    ]
    assert str(shop) not in json.dumps(listed)
    kept = house.client.hgetall(next(iter(house.client.keys("*sources:*"))))
    assert str(shop).encode() not in b"".join(kept.values())
    made = api.create("products")
    work()
    assert api.download(made).splitlines()[0] == b"id,chain_id,country"
    assert api("DELETE", "/v2/sources/products").status_code == 204
    assert api("DELETE", "/v2/sources/products").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"table": "nothing"}, "table"),
        ({"chain_column": "nothing"}, "chain_column"),
        ({"url": "oracle://x"}, "url"),
        ({"url": "sqlite:///relative.db"}, "url"),
        ({"url": None, "url_env": "HOME"}, "url_env"),
        ({"url": "postgresql://u:p@10.0.0.1/x"}, "url"),
        ({"url": "mysql://u:p@169.254.169.254/x"}, "url"),
        ({"url": "postgresql://u:p@/x?host=/tmp"}, "url"),
        ({"url": "mysql://u:p@no-such-host.invalid/x"}, "url"),
        ({"times": "epoch_s"}, "times"),
        ({"index": "tasks"}, "index"),
        ({"more": 1}, "more"),
    ],
)
def test_a_source_that_does_not_work_is_refused(
    api: Spaaza, shop: Path, change: dict[str, Any], field: str
) -> None:
    sent = {"index": "x", "url": f"sqlite:///{shop}", "table": "users", **change}
    answer = api("POST", "/v2/sources", sent)
    assert answer.status_code == 422, answer.text
    assert list(answer.json["error"]["fields"]) == [field]


def test_only_admins_register_and_nobody_a_file_of_a_server(
    api: Spaaza, house: House, chain: Project, shop: Path, settings: Settings
) -> None:
    sent = {"index": "x", "url": f"sqlite:///{shop}", "table": "users"}
    key = projects.create_key(house.client, house.vault, chain.id, [Scope.WRITE], pair=True)[1]
    writer = Spaaza(api.client.application, key)
    assert writer("POST", "/v2/sources", sent).status_code == 403
    server = Spaaza(create_app(replace(settings, dev=False)), None)
    server.headers = api.headers
    assert server("POST", "/v2/sources", sent).status_code == 422


def segment(country: str) -> dict[str, Any]:
    rule = {
        "field_name": "country",
        "field_type": "keyword",
        "operator": "is",
        "value": country,
    }
    return {"entity": "people", "index": "users", "join": "all", "chain_id": CHAIN, "rules": [rule]}


def test_a_saved_segment_is_live(api: Spaaza, work: Callable[[], int], shop: Path) -> None:
    saved = api("POST", "/v2/segments", {"name": "Dutch", "segment": segment("NL")})
    assert saved.status_code == 201
    path = f"/v2/segments/{saved.json['id']}"
    made = api.create(trigger={"segment_id": saved.json["id"]})
    changed = api("PUT", path, {"name": "German", "segment": segment("DE")}).json
    assert (changed["version"], changed["name"]) == (2, "German")
    assert api("GET", path).json == changed
    assert api("GET", "/v2/segments").json == [changed]
    work()
    rows = csv.DictReader(io.StringIO(api.download(made).decode()))
    assert [(int(r["id"]), r["country"]) for r in rows] == plain_sql(shop, "country = 'DE'")
    said = [line["message"] for line in api.get(made)["logs"]]
    assert f"segment {saved.json['id']} in its version 2" in said


def test_a_removed_segment_never_means_all_rows(api: Spaaza, work: Callable[[], int]) -> None:
    saved = api("POST", "/v2/segments", {"segment": segment("NL")}).json
    made = api.create(trigger={"segment_id": saved["id"]})
    assert api("DELETE", f"/v2/segments/{saved['id']}").status_code == 204
    work()
    now = api.get(made)
    assert now["state"]["code"] == "ERROR"
    assert now["logs"][0]["message"] == "there is no such segment"


def test_a_wrong_segment_is_not_saved(api: Spaaza) -> None:
    wrong = segment("NL")
    wrong["rules"][0]["operator"] = "like"
    answer = api("POST", "/v2/segments", {"segment": wrong})
    assert list(answer.json["error"]["fields"]) == ["segment.rules[0].operator"]
    answer = api("POST", "/v2/segments", {"segment": {**segment("NL"), "index": "nothing"}})
    assert list(answer.json["error"]["fields"]) == ["segment.index"]


def test_a_segment_of_another_index_is_refused(api: Spaaza) -> None:
    saved = api("POST", "/v2/segments", {"segment": segment("NL")}).json
    task = {
        "chain": CHAIN,
        "target": {"action": "export", "export_index": "wallet-ledger"},
        "trigger": {"segment_id": saved["id"]},
    }
    assert api("POST", "/tasks", task).status_code == 422


def test_the_products_own_tasks_and_attempts_can_be_exported_at_once(
    api: Spaaza, work: Callable[[], int]
) -> None:
    for n in range(3):
        sent = {"request": {"url": f"https://example.com/{n}"}, "queue": "mail"}
        assert api("POST", "/tasks", sent).status_code == 201
    first = api.create("tasks")
    work()
    rows = list(csv.DictReader(io.StringIO(api.download(first).decode())))
    assert len(rows) == 4
    assert api.get(first)["result"] == f"Task_Export-{first['id']}.csv"
    rule = {"field_name": "queue", "field_type": "keyword", "operator": "is", "value": "mail"}
    mail = {**segment(""), "index": "tasks", "rules": [rule]}
    filtered = api.create("tasks", trigger={"segment": mail}, target={"export_format": "json"})
    attempts = api.create("attempts")
    work()
    found = json.loads(api.download(filtered))
    assert {row["url"] for row in found} == {f"https://example.com/{n}" for n in range(3)}
    assert all(row["state"] == "scheduled" and row["created_at"].endswith("Z") for row in found)
    rows = list(csv.DictReader(io.StringIO(api.download(attempts).decode())))
    assert [row["outcome"] for row in rows] == ["answered"] * 2


@pytest.fixture
def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command line, in this process."""
    for name, value in environment(settings).items():
        if name.startswith("TIMEBALL_"):
            monkeypatch.setenv(name, value)

    def run(*words: str) -> Result:
        return CliRunner().invoke(cli, words)

    return run


def test_the_command_line_makes_keys_and_sources(
    app: App, run: Callable[..., Result], house: House, shop: Path
) -> None:
    made = json.loads(run("keys", "create", "--chain", "1764", "--json").stdout)
    assert list(made)[:3] == ["id", "secret", "chain"]
    again = json.loads(run("keys", "create", "--chain", "1764", "--json").stdout)
    assert again["project_id"] == made["project_id"]
    words = ("--chain", "1764", "--index", "users")
    url = f"sqlite:///{shop}"
    added = run("sources", "add", *words, "--url", url, "--table", "users", "--deny", "amount")
    assert added.exit_code == 0, added.output
    assert "registered users of chain 1764" in added.stdout
    assert "amount" not in added.stdout
    listed = run("sources", "list", "--chain", "1764", "--json")
    assert [s["index"] for s in json.loads(listed.stdout)] == ["users"]
    assert str(shop) not in listed.stdout + run("sources", "list", "--chain", "1764").stdout
    assert run("sources", "test", *words).exit_code == 0
    client = Spaaza(app, f"{made['id']}:{made['secret']}")
    assert client.create()["id"] == 1
    assert run("sources", "remove", *words).exit_code == 0
    wrong = run("sources", "add", *words, "--url", url, "--table", "none")
    assert isinstance(wrong.exception, ConfigError)
    assert wrong.exception.faults == ("table the table or view does not exist",)
    assert made["secret"] not in run("keys", "list", "--json").stdout
    assert run("keys", "create").exit_code == 2


def test_a_file_of_sources_is_kept_whole_or_not_at_all(
    run: Callable[..., Result], house: House, shop: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sources.yaml"
    users = f"- {{chain: 7, index: users, url: 'sqlite:///{shop}', table: users}}"
    file.write_text(f"{users}\n- {{chain: 7, index: more, url: 'sqlite:///{shop}', table: none}}")
    wrong = run("sources", "apply", str(file))
    assert isinstance(wrong.exception, ConfigError)
    assert wrong.exception.faults == ("source 2: table the table or view does not exist",)
    assert not house.client.keys("*sources:*")
    file.write_text(users)
    assert run("sources", "apply", str(file)).output.endswith("registered users of chain 7\n")
    assert run("sources", "list", "--chain", "7").output.startswith("users  users")


def test_there_are_so_many_at_most(
    api: Spaaza, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST", 3)
    for _ in range(3):
        saved = api("POST", "/v2/segments", {"segment": segment("NL")})
        assert saved.status_code == 201
    answer = api("POST", "/v2/segments", {"segment": segment("NL")})
    assert answer.status_code == 422
    assert "at most 3 segments" in answer.json["error"]["fields"]["name"]
    changed = api("PUT", f"/v2/segments/{saved.json['id']}", {"segment": segment("DE")})
    assert changed.status_code == 200
    source = {"table": "users", "url": f"sqlite:///{shop}"}
    for index, status in (("users", 201), ("third", 201), ("fourth", 422)):
        answer = api("POST", "/v2/sources", {**source, "index": index})
        assert answer.status_code == status, answer.text
