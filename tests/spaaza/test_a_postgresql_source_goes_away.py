"""An export from PostgreSQL; then its server is killed, and the export ends in words."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from tests.export import servers
from tests.export.conftest import need
from tests.spaaza.conftest import CHAIN, Spaaza
from timeball.dispatch import sources
from timeball.dispatch.house import House
from timeball.export.sources import Source
from timeball.model.project import Project
from timeball.store import clock
from workers import ending

ROWS = 50_000


def test_an_export_works_and_without_its_server_it_is_tried_again_and_given_up(
    api: Spaaza, house: House, chain: Project, work: Callable[[], int]
) -> None:
    need(servers.missing_postgres())
    with servers.postgres() as server:
        engine = sa.create_engine(server.url)
        with engine.begin() as connection:
            connection.exec_driver_sql(
                f"CREATE TABLE sales AS SELECT i AS id, {CHAIN} + mod(i, 2) AS chain_id,"
                f" 'sale ' || i AS note FROM generate_series(1, {ROWS}) AS i"
            )
        engine.dispose()
        source = Source(
            chain=CHAIN,
            index="transactions",
            table="sales",
            url=server.url,
            chain_column="chain_id",
            order_by=("id",),
            prefix="Transaction",
        )
        sources.register(house, chain.id, source)
        rule = {
            "field_name": "id",
            "field_type": "number",
            "operator": "is_less_than",
            "value": 101,
        }
        segment = {
            "entity": "people",
            "index": "transactions",
            "join": "all",
            "chain_id": CHAIN,
            "rules": [rule],
        }
        whole = api.create("transactions")
        part = api.create("transactions", trigger={"segment": segment})
        assert work() == 2
        assert len(api.download(whole).splitlines()) == ROWS // 2 + 1
        lines = api.download(part).decode().splitlines()
        assert lines == ["id,chain_id,note"] + [f"{i},{CHAIN},sale {i}" for i in range(2, 101, 2)]
        server.process.kill()
        server.process.wait()
        made = api.create("transactions")
        for wait in ending.RETRY_WAITS:
            assert work() == 1
            assert api.code(made) == "INPROGRESS"
            clock.advance(house.client, 1, wait)
        assert work() == 1
        now = api.get(made)
        assert now["state"]["code"] == "ERROR"
        assert now["logs"][0]["message"] == (
            "the database does not answer, or the connection was lost; tried 5 times"
        )
        assert server.url.split("@")[-1] not in str(now)
