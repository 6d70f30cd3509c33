"""Whatever rules are put together: no row of another chain, none that is deleted, and no SQL but ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.export.shop import CHAIN, NOW, TEXTS, mine
from timeball.errors import InvalidField
from timeball.export import sql
from timeball.export.databases import opened, reflect
from timeball.export.rules import Operator
from timeball.export.segments import parse_segment
from timeball.export.sources import Source

HOSTILE = (
    *TEXTS,
    "' OR '1'='1",
    "x') OR chain_id > 0 OR ('",
    "1; DROP TABLE members_spaced",
    "%' OR 1=1 --",
    "\\",
    ":chain_id_1",
    "?",
    "2026-05-26",
    "NULL",
)
VALUES = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=20),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.sampled_from(HOSTILE), max_size=3),
)
FIELDS = ("id", "country", "points", "amount", "score", "active", "created_at", "born", "chain_id")


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """A rule that may be right, and often is nearly so."""
    made: dict[str, Any] = {
        "field_name": draw(st.one_of(st.sampled_from(FIELDS), st.sampled_from(HOSTILE))),
        "field_type": draw(st.sampled_from(["keyword", "text", "number", "date", "boolean"])),
        "operator": draw(st.sampled_from(list(Operator))),
    }
    wanted = draw(st.sets(st.sampled_from(["value", "values", "min", "max"]), max_size=2))
    made |= {name: draw(VALUES) for name in wanted}
    if made["operator"].startswith("relative_"):
        made |= {"time_factor": "day", "time_amount": draw(st.integers(1, 400))}
    return made


@pytest.fixture(scope="module")
def opened_shop(place: Any) -> Iterator[tuple[Source, sa.Connection, Any]]:
    source = place("sqlite-spaced")
    with opened(source) as connection:
        yield source, connection, reflect(source, connection)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(join=st.sampled_from(["all", "any"]), some=st.lists(rules(), min_size=1, max_size=4))
def test_only_rows_of_the_chain_come_back(
    opened_shop: tuple[Source, sa.Connection, Any], join: str, some: list[dict[str, Any]]
) -> None:
    source, connection, (table, shown) = opened_shop
    data = {"index": source.index, "join": join, "chain_id": CHAIN, "rules": some}
    refused = ""
    try:
        segment = parse_segment(data, source, shown)
    except InvalidField as error:
        refused = error.field
    if refused:
        assert refused.startswith("trigger.segment.rules[")
        return
    statement = sql.select(source, table, shown, segment, NOW, "sqlite")
    text = str(statement.compile(dialect=connection.dialect))
    quoted = [str(rule.get("value")) for rule in some if "'" in str(rule.get("value"))]
    assert not [value for value in quoted if value in text]
    found = {row.id for row in connection.execute(statement)}
    assert found <= {row.id for row in mine()}
