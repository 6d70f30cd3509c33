"""Keys and signing secrets: made, used, rotated with a grace, ended; shown when they are made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.api.conftest import Api
from tests.conftest import environment, eventually
from tests.dashboard.conftest import Browser
from timeball.dispatch.house import House
from timeball.errors import Conflict, InvalidField
from timeball.model.project import Project, Scope
from timeball.settings import Settings
from timeball.signing import Signer
from timeball.store import projects, rotation
from workers.prepare import Signers

KEY = re.compile(r"tb_\w{8}_\w{32}")


def test_its_last_use_is_told(app: Any, browser: Browser, house: House, project: Project) -> None:
    key, text = projects.create_key(house.client, house.vault, project.id)
    assert 'used"><span class="soft">never<' in browser.get("/dashboard/keys").text
    Api(app, text)("GET", "/v2/tasks")
    [found] = projects.list_keys(house.client, project.id)
    assert found.id == key.id
    assert found.last_used_at is not None
    assert abs((found.last_used_at - datetime.now(UTC)).total_seconds()) < 60
    assert 'used"><span class="soft">never<' not in browser.get("/dashboard/keys").text


def test_a_key_is_rotated_and_both_are_good_within_the_grace(
    browser: Browser, house: House, project: Project
) -> None:
    old, old_text = projects.create_key(
        house.client, house.vault, project.id, [Scope.READ, Scope.WRITE], "till"
    )
    page = browser.post(f"/dashboard/keys/{old.id}/rotate", 201, grace="1h").text
    match = KEY.search(page)
    assert match is not None
    fresh = projects.authenticate(house.client, match[0])
    assert fresh is not None
    assert (fresh.scopes, fresh.label, fresh.expires_at) == (old.scopes, "till", None)
    kept = projects.authenticate(house.client, old_text)
    assert kept is not None
    assert kept.expires_at is not None
    assert timedelta(minutes=59) < kept.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert match[0] not in browser.get("/dashboard/keys").text
    log = browser.get("/dashboard/audit").text
    assert "rotate key" in log
    assert match[0] not in log


def test_without_grace_the_old_key_ends_at_once(
    browser: Browser, house: House, project: Project
) -> None:
    old, text = projects.create_key(house.client, house.vault, project.id)
    browser.post(f"/dashboard/keys/{old.id}/rotate", 201, grace="0")
    assert projects.authenticate(house.client, text) is None
    browser.post(f"/dashboard/keys/{old.id}/rotate", 409, grace="0")  # it has ended
    assert len(projects.list_keys(house.client, project.id)) == 2


def test_a_key_that_would_end_sooner_is_not_kept_longer(house: House, project: Project) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=5)
    old, _ = projects.create_key(house.client, house.vault, project.id, expires_at=soon)
    fresh, _ = rotation.rotate_key(house.client, house.vault, project.id, old.id)
    ends = {k.id: k.expires_at for k in projects.list_keys(house.client)}
    assert ends[old.id] is not None
    assert abs(ends[old.id] - soon) < timedelta(milliseconds=2)
    assert ends[fresh.id] is not None, "the new one lives as long as the old one was to"


def test_another_projects_key_is_none_of_ours(browser: Browser, house: House) -> None:
    other = projects.create_project(house.client, house.vault, "other")
    key, text = projects.create_key(house.client, house.vault, other.id)
    for verb in ("rotate", "revoke"):
        browser.post(f"/dashboard/keys/{key.id}/{verb}", 404, grace="0")
    assert projects.authenticate(house.client, text) is not None


def test_calls_carry_both_signatures_until_the_grace_is_over(
    house: House, project: Project
) -> None:
    before = project.signing_secrets
    live = rotation.rotate_signing(
        house.client, house.vault, project.id, grace=timedelta(seconds=0.3)
    )
    assert [one.secret for one in live[1:]] == list(before)
    body = b'{"hello": 1}'
    signer = Signers(house.client, house.vault).signer(project.id, None)
    headers = dict(
        line.decode().split(": ", 1) for line in signer.lines("abc", int(time.time()), body)
    )
    assert headers["webhook-signature"].count("v1,") == 2
    for one in live:  # by the library that receivers use
        assert Webhook(one.secret).verify(body, headers) == {"hello": 1}

    def over() -> bool:  # the grace is by the wall clock
        return len(rotation.signing_secrets(house.client, house.vault, project.id)) == 1

    eventually(over)
    [left] = rotation.signing_secrets(house.client, house.vault, project.id)
    assert left.secret == live[0].secret
    assert projects.get_project(house.client, house.vault, project.id).signing_secrets == (
        left.secret,
    )


def test_a_second_rotation_within_the_grace_waits_or_ends_all(
    house: House, project: Project
) -> None:
    first = rotation.rotate_signing(house.client, house.vault, project.id)
    assert len(first) == 2
    with pytest.raises(Conflict, match="good until"):
        rotation.rotate_signing(house.client, house.vault, project.id)
    [last] = rotation.rotate_signing(house.client, house.vault, project.id, timedelta(0))
    assert last.secret not in {one.secret for one in first}
    assert len(b64decode(last.secret.removeprefix("whsec_"))) == 32
    Signer([last.secret])
    with pytest.raises(InvalidField):
        rotation.rotate_signing(house.client, house.vault, project.id, timedelta(days=31))


def test_the_page_shows_a_secret_when_asked_and_writes_that_down(
    browser: Browser, project: Project
) -> None:
    [secret] = project.signing_secrets
    assert secret not in browser.get("/dashboard/keys").text
    assert secret in browser.post("/dashboard/keys/signing/show", 200).text
    page = browser.post("/dashboard/keys/signing/rotate", 200, grace="24h").text
    assert secret in page
    assert "in grace" in page
    log = browser.get("/dashboard/audit").text
    assert "show signing secret" in log
    assert "rotate signing secret" in log
    assert "whsec_" not in log
    browser.post("/dashboard/keys/signing/rotate", 422, grace="a while")
    back = browser.get("/dashboard/keys/signing/rotate", 303).headers["Location"]
    assert back == "/dashboard/keys", "where a reload of what is shown once leads"


def test_the_command_line_rotates_too(
    house: House, project: Project, settings: Settings, browser: Browser
) -> None:
    def run(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", "from timeball.cli import main; main()", "keys", *words],
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    old, text = projects.create_key(house.client, house.vault, project.id, label="till")
    made = run("rotate", old.id, "--grace", "0", "--json")
    assert projects.authenticate(house.client, text) is None
    assert projects.authenticate(house.client, made["key"]) is not None
    states = {row["id"]: row["state"] for row in run("list", "--json")}
    assert states == {old.id: "expired", made["key_id"]: "live"}
    two = run("signing", "--project", "test", "--rotate", "--grace", "2h", "--json")
    assert [bool(one["until"]) for one in two] == [False, True]
    assert two == run("signing", "--project", "test", "--json")
    log = browser.get("/dashboard/audit").text
    for verb in ("rotate key", "rotate signing secret", "show signing secret"):
        assert verb in log
    assert made["key"] not in log
