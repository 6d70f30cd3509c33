"""Tokens: signed, expiring, bound to one file, revocable by dropping their secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer

from timeball.export.links import LINK_TTL, Link, Refusal, read, sign

NOW = datetime(2026, 5, 26, 12, tzinfo=UTC)
LINK = Link(1764, "12345", 1, "Wallet_Export-12345.csv")
NEW, OLD = "n" * 40, "o" * 40


def test_a_token_gives_its_file_for_an_hour() -> None:
    token = sign(LINK, [NEW], NOW)
    assert read(token, [NEW], NOW) == LINK
    assert read(token, [NEW], NOW + LINK_TTL) == LINK
    assert read(token, [NEW], NOW + LINK_TTL + timedelta(seconds=1)) is Refusal.EXPIRED
    assert LINK.key == "1764/12345/1/Wallet_Export-12345.csv"


def test_a_token_is_fit_for_a_url() -> None:
    assert sign(LINK, [NEW], NOW).replace("-", "").replace("_", "").replace(".", "").isalnum()


def test_secrets_are_rotated_newest_first() -> None:
    before = sign(LINK, [OLD], NOW)
    after = sign(LINK, [NEW, OLD], NOW)
    assert read(before, [NEW, OLD], NOW) == LINK
    assert read(after, [NEW], NOW) == LINK
    assert read(after, [OLD], NOW) is Refusal.FORGED
    assert read(before, [NEW], NOW) is Refusal.FORGED
    assert read(before, [], NOW) is Refusal.FORGED


@given(st.integers(0, 60), st.characters(codec="ascii"))
def test_no_character_may_change(place: int, character: str) -> None:
    token = sign(LINK, [NEW], NOW)
    changed = token[:place] + character + token[place + 1 :]
    if changed != token:
        assert read(changed, [NEW], NOW) is Refusal.FORGED


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é", "\0", "x" * 10_000])
def test_nonsense_is_forged(token: str) -> None:
    assert read(token, [NEW], NOW) is Refusal.FORGED


def test_another_use_of_the_secret_is_no_link() -> None:
    token = URLSafeTimedSerializer(NEW, salt="elsewhere").dumps([1, "2", 3, "4"])
    assert read(str(token), [NEW], datetime.now(UTC)) is Refusal.FORGED


def test_a_token_from_the_future_is_not_good() -> None:
    token = sign(LINK, [NEW], NOW + timedelta(hours=2))
    assert not isinstance(read(token, [NEW], NOW), Link)
