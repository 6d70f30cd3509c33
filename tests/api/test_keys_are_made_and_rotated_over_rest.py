"""Keys and signing secrets over REST, for those with the scope `admin`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.api.conftest import Api, params
from timeball.dispatch.house import House
from timeball.model.project import Project, Scope
from timeball.store import logins, projects, rotation


def test_a_key_is_made_shown_once_and_ended(api: Api, app: object) -> None:
    made = api(
        "POST", "/v2/keys", {"scopes": ["read"], "label": "till", "expires_in": "30d"}
    ).get_json()
    assert (made["scopes"], made["label"], made["revoked_at"]) == (["read"], "till", None)
    assert made["expires_at"] is not None
    other = Api(app, made["key"])
    assert other("GET", "/v2/tasks").status_code == 200
    assert other("POST", "/v2/tasks", {}).status_code == 403
    assert other("GET", "/v2/keys").status_code == 403
    listed = api("GET", "/v2/keys")
    assert made["key"] not in listed.text
    rows = {row["id"]: row for row in listed.get_json()}
    assert rows[made["id"]]["last_used_at"] is not None
    assert api("DELETE", f"/v2/keys/{made['id']}").status_code == 204
    assert api("DELETE", f"/v2/keys/{made['id']}").status_code == 409


def test_a_key_is_rotated(api: Api, house: House) -> None:
    old = api("POST", "/v2/keys", {"scopes": ["write"], "label": "till"}).get_json()
    fresh = api("POST", f"/v2/keys/{old['id']}/rotate", {"grace": "0s"})
    assert fresh.status_code == 201
    assert fresh.get_json()["scopes"] == ["write"]
    assert projects.authenticate(house.client, old["key"]) is None
    assert projects.authenticate(house.client, fresh.get_json()["key"]) is not None


def test_a_signing_secret_is_rotated(api: Api, house: House, project: Project) -> None:
    assert api("GET", "/v2/signing-secrets").get_json() == [{"expires_at": None}]
    made = api("POST", "/v2/signing-secrets/rotate")
    assert made.status_code == 201
    live = rotation.signing_secrets(house.client, house.vault, project.id)
    assert made.get_json()["secret"] == live[0].secret
    assert made.get_json()["previous_expires_at"] is not None
    assert len(api("GET", "/v2/signing-secrets").get_json()) == 2
    assert api("POST", "/v2/signing-secrets/rotate").status_code == 409


@pytest.mark.parametrize(
    ("path", "sent", "param"),
    [
        ("/v2/keys", {"scopes": []}, "scopes"),
        ("/v2/keys", {"scopes": ["root"]}, "scopes"),
        ("/v2/keys", {"scopes": "read"}, "scopes"),
        ("/v2/keys", {"label": "x" * 101}, "label"),
        ("/v2/keys", {"expires_in": "0s"}, "expires_in"),
        ("/v2/keys", {"kind": 1}, "kind"),
        ("/v2/signing-secrets/rotate", {"grace": "31d"}, "grace"),
        ("/v2/signing-secrets/rotate", {"grace": "soon"}, "grace"),
    ],
)
def test_wrong_fields_are_named(api: Api, path: str, sent: dict[str, object], param: str) -> None:
    answer = api("POST", path, sent)
    assert answer.status_code == 422
    assert answer.get_json()["param"] == param or param in params(answer)


def test_another_projects_key_is_unknown(api: Api, api_of: Callable[..., Api]) -> None:
    key = api("POST", "/v2/keys", {}).get_json()
    other = api_of()
    assert other("DELETE", f"/v2/keys/{key['id']}").status_code == 404
    assert other("POST", f"/v2/keys/{key['id']}/rotate", {}).status_code == 404
    assert key["id"] not in other("GET", "/v2/keys").text
    writer = api_of("third", (Scope.READ, Scope.WRITE))
    for method, path in (("GET", "/v2/keys"), ("POST", "/v2/signing-secrets/rotate")):
        assert writer(method, path).status_code == 403


def test_each_write_is_in_the_audit_log_without_its_secret(api: Api, house: House) -> None:
    key = api("POST", "/v2/keys", {"scopes": ["read"]}).get_json()
    api("DELETE", f"/v2/keys/{key['id']}")
    lines = logins.audit(house.client, 0, 10)
    assert [(line.verb, line.subject) for line in lines] == [
        ("revoke key", key["id"]),
        ("create key", key["id"]),
    ]
    assert lines[0].name.startswith("key ")
    assert key["key"] not in str(lines)


def test_a_project_has_so_many_keys_at_most(
    api: Api, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projects, "MOST_KEYS", 3)
    first = api("POST", "/v2/keys", {"label": "first"})
    second = api("POST", "/v2/keys", {"label": "second"})
    assert (first.status_code, second.status_code) == (201, 201)
    refused = api("POST", "/v2/keys", {})
    assert refused.status_code == 409
    assert "at most 3 keys" in refused.json["message"]
    for _ in range(5):  # who makes room may go on, and what is over does not pile up
        assert api("DELETE", f"/v2/keys/{second.json['id']}").status_code == 204
        second = api("POST", "/v2/keys", {})
        assert second.status_code == 201
    assert len(projects.list_keys(house.client)) <= 6
