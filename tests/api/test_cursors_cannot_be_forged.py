"""A cursor opens the list that gave it, for the project that got it, and nothing else."""

from __future__ import annotations

import string
from base64 import urlsafe_b64decode
from collections.abc import Callable

import pytest

from api.cursors import Signer
from tests.api.conftest import URL, Api, params
from tests.conftest import SECRET
from timeball.model.project import Project

SCHEDULE = {"request": {"url": URL}, "rrule": "FREQ=DAILY", "name": "n"}


@pytest.fixture(params=["/v2/tasks", "/v2/schedules"])
def path(request: pytest.FixtureRequest, api: Api) -> str:
    """A list of three things."""
    for _ in range(3):
        api.create(delay="1h", tags=["t"])
        assert api("POST", "/v2/schedules", SCHEDULE).status_code == 201
    return str(request.param)


def cursor_of(api: Api, path: str, **query: str) -> str:
    return api("GET", path, query={"limit": "1", **query}).headers["X-Next-Cursor"]


def refused(api: Api, path: str, cursor: str, **query: str) -> bool:
    answer = api("GET", path, query={"limit": "1", "cursor": cursor, **query})
    assert answer.status_code == 200 or params(answer) == ["cursor"]
    return answer.status_code == 422


def test_every_change_of_a_cursor_is_noticed(api: Api, path: str) -> None:
    cursor = cursor_of(api, path)
    assert not refused(api, path, cursor)
    # the last character may hold bits that mean nothing
    for place in range(len(cursor) - 1):
        other = string.ascii_letters[(string.ascii_letters.find(cursor[place]) + 1) % 52]
        assert refused(api, path, cursor[:place] + other + cursor[place + 1 :]), place
    for changed in (cursor + "AAAA", cursor[:-4], cursor[4:], cursor * 2, cursor[::-1]):
        assert refused(api, path, changed)


def test_a_cursor_is_for_one_list_of_one_project(
    api: Api, api_of: Callable[..., Api], path: str
) -> None:
    cursor = cursor_of(api, path)
    assert refused(api, path, cursor, name="n")
    assert refused(api_of("other"), path, cursor)
    other = {"/v2/tasks": "/v2/schedules", "/v2/schedules": "/v2/tasks"}[path]
    assert refused(api, other, cursor)


def test_a_cursor_that_was_signed_with_another_secret_is_none(
    api: Api, project: Project, path: str
) -> None:
    cursor = cursor_of(api, path)
    position = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[12:].decode()
    purpose = {"/v2/tasks": "[]", "/v2/schedules": "schedules None"}[path]
    assert Signer(SECRET).sign(position, project.id, purpose) == cursor
    assert refused(api, path, Signer(SECRET[::-1]).sign(position, project.id, purpose))
