"""An attempt that a redirect ended says so, and where it led, with nothing secret or harmful in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from timeball.model.attempt import Attempt, Outcome


def answered(status: int, *locations: str, outcome: Outcome = Outcome.ANSWERED) -> Attempt:
    headers = (("Server", "x"), *(("LOCATION", location) for location in locations))
    return Attempt(1, outcome, datetime.now(UTC), status, headers=headers)


@pytest.mark.parametrize("status", [200, 204, 299, 400, 404, 410, 500, 599])
def test_other_statuses_have_none(status: int) -> None:
    assert answered(status, "https://example.com/").hint is None


def test_an_attempt_without_an_answer_has_none() -> None:
    assert Attempt(1, Outcome.TIMED_OUT, datetime.now(UTC)).hint is None


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
def test_a_redirect_says_where_it_leads(status: int) -> None:
    hint = answered(status, "https://first.example/", "https://example.com/new").hint
    assert hint is not None
    assert "'https://example.com/new'" in hint
    assert "redirects are not followed" in hint


def test_one_that_leads_nowhere_says_so() -> None:
    assert answered(304).hint == "redirects are not followed, and a 304 is no success"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:pass@example.com/a", "'https://example.com/a'"),
        ("//user:pass@example.com/a", "'//example.com/a'"),
        ("https:\\\\user:pass@example.com/a", "'https://example.com/a'"),
        ("https://a@b:c@example.com/", "'https://example.com/'"),
        ("https://example.com/a?token=s3cret", "'https://example.com/a?...'"),
        ("https://example.com/a#s3cret", "'https://example.com/a?...'"),
        ("/login?next=/a", "'/login?...'"),
        ("file:///etc/passwd", "'file:///etc/passwd'"),
        ("javascript:alert(1)", "'javascript:alert(1)'"),
        ("https://example.com/\u202egnp.exe", "'https://example.com/\\u202egnp.exe'"),
        (
            "https://example.com/\xff\xfe\x1b[31m\x00",
            "'https://example.com/\\xff\\xfe\\x1b[31m\\x00'",
        ),
        ("x" * 300, "'" + "x" * 200 + "...'"),
        ("http://[::1", "'http://[::1'"),
        ("?only", "'?...'"),
    ],
)
def test_what_is_shown_of_a_place_is_harmless(location: str, shown: str) -> None:
    hint = answered(302, location).hint
    assert hint is not None
    assert hint.isascii()
    assert f"redirects to {shown};" in hint
