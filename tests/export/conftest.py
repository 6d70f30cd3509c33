"""Databases for the export tests: SQLite in four ways of keeping time, PostgreSQL and MariaDB in two each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.export import servers, shop
from timeball.export.sources import Source

SQLITE = ("spaced", "lettered", "epoch_s", "epoch_ms")
PLACES = (
    *(f"sqlite-{s}" for s in SQLITE),
    "postgresql-native",
    "postgresql-lettered",
    "mariadb-native",
    "mariadb-lettered",
)


def need(reason: str | None) -> None:
    """Skip for this reason, if there is one; where CI is `true`, fail."""
    if reason is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Server]:
    """A PostgreSQL server of this test run."""
    need(servers.missing_postgres())
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[servers.Server]:
    """A MariaDB server of this test run."""
    need(servers.missing_mariadb())
    with servers.mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Source]:
    """Gives the shop in the place asked for, one of PLACES; filled once."""
    made: dict[str, Source] = {}

    def give(name: str) -> Source:
        if name not in made:
            dialect, _, style = name.partition("-")
            table = f"members_{style}"
            if dialect == "sqlite":
                url = f"sqlite:///{tmp_path_factory.mktemp('shop')}/shop.db"
            else:
                fixture = "postgres" if dialect == "postgresql" else "mariadb"
                url = request.getfixturevalue(fixture).url
            shop.fill(url, style, table)
            made[name] = shop.source(url, style, table=table)
        return made[name]

    return give


@pytest.fixture
def sqlite(place: Callable[[str], Source]) -> Source:
    """The shop in SQLite, with times as SQLAlchemy writes them."""
    return place("sqlite-spaced")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for results."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder
