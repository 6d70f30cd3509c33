"""A shop's rows, the same in every database: seven types of column, NULLs, hostile texts, instants on the edge."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from timeball.export.columns import Times
from timeball.export.sources import Source

NOW = datetime(2026, 5, 26, 12, 0, 0, 250_000, tzinfo=UTC)
CHAIN, STRANGER = 1764, 1765

TEXTS = (
    None, "", "NL", "nl", "NL ", "De Wolf", "wolfgang", "100%", "100", "1000", "a_b", "aXb", "O'Neil",
    'say "hi", you', "back\\slash", "/slash/", "naïve", "naive", "日本語", "😀 smile", "line\nbreak",
    "crlf\r\nbreak", "tab\t",
    "=SUM(A1)", "'; DROP TABLE rows; --", "%(param_1)s", "$1", "$$x$$", ":name", "?", "{}", "NULL",
)  # fmt: skip
EDGES = tuple(
    NOW + delta
    for unit in (timedelta(0), timedelta(days=1), timedelta(days=-1), timedelta(hours=-3))
    for delta in (unit, unit + timedelta(microseconds=1), unit - timedelta(microseconds=1))
)
MIDNIGHTS = tuple(
    datetime(2026, 5, d, tzinfo=UTC) + timedelta(microseconds=m)
    for d in (20, 21, 25, 26)
    for m in (-1, 0, 1)
)


@dataclass(frozen=True)
class Row:
    """One row of the shop, as Python sees it."""

    id: int
    chain_id: int
    country: str | None
    points: int | None
    amount: Decimal | None
    score: float | None
    active: bool | None
    created_at: datetime | None
    born: date | None
    deleted_at: datetime | None


def rows(count: int = 400) -> list[Row]:
    """The rows; a third is a stranger's, a tenth is deleted. The same in each run."""
    chance = random.Random(7)

    def some(value: object) -> object:
        return None if chance.random() < 0.12 else value

    found = []
    for i in range(1, count + 1):
        at = chance.choice(
            (*EDGES, *MIDNIGHTS)
            if i % 2
            else (NOW - timedelta(seconds=chance.randrange(-90, 90) * 86_400 // 2),)
        )
        found.append(
            Row(
                id=i,
                chain_id=STRANGER if i % 3 == 0 else CHAIN,
                country=TEXTS[i % len(TEXTS)],
                points=some(chance.randrange(-5, 20)),
                amount=some(Decimal(chance.randrange(-20, 160)) / 4),
                score=some(chance.randrange(-8, 40) / 4),
                active=some(chance.random() < 0.5),
                created_at=some(at),
                born=some(date(2026, 5, 20) + timedelta(days=chance.randrange(-3, 12))),
                deleted_at=NOW if i % 10 == 0 else None,
            )
        )
    return found


def mine(found: list[Row] | None = None) -> list[Row]:
    """The rows an export of the chain may see at all."""
    return [
        r for r in (rows() if found is None else found) if r.chain_id == CHAIN and not r.deleted_at
    ]


def spaced(at: datetime, i: int) -> str:
    """As SQLAlchemy writes it into SQLite."""
    return (
        at.strftime("%Y-%m-%d %H:%M:%S.%f") if at.microsecond else at.strftime("%Y-%m-%d %H:%M:%S")
    )


def lettered(at: datetime, i: int) -> str:
    """ISO 8601 in all its dress: T, with Z or one of two offsets, in turn."""
    if i % 3 == 0:
        return at.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat()
    if i % 3 == 1:
        return at.astimezone(timezone(timedelta(hours=-4))).isoformat()
    return at.replace(tzinfo=None).isoformat() + "Z"


def micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def fill(url: str, style: str, name: str = "members") -> None:
    """Make the shop's table, with times as `style` has them: native, spaced, lettered, epoch_s or epoch_ms."""
    engine = sa.create_engine(url)
    dialect = engine.dialect.name
    raw = {"spaced": sa.DATETIME(), "lettered": sa.DATETIME(), "epoch_s": sa.DATETIME()}
    instants: sa.types.TypeEngine[object] = sa.TIMESTAMP(timezone=True)
    if dialect in ("mysql", "mariadb"):
        instants = mysql.DATETIME(fsp=6)
        if style == "lettered":
            instants = sa.VARCHAR(40)
    elif dialect == "postgresql" and style == "lettered":
        instants = sa.Text()
    elif dialect == "sqlite":
        instants = raw.get(style) or sa.Numeric()
    table = sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("chain_id", sa.Integer),
        sa.Column("country", sa.Text),
        sa.Column("points", sa.Integer),
        sa.Column("amount", sa.Numeric(12, 2)),
        sa.Column("score", sa.Double),
        sa.Column("active", sa.Boolean),
        sa.Column("created_at", instants),
        sa.Column("born", sa.Date),
        sa.Column("deleted_at", sa.Date if dialect != "sqlite" else sa.Text),
        mysql_charset="utf8mb4",
    )
    cells = []
    for r in rows():
        at: object = r.created_at
        if r.created_at is None:
            pass
        elif style == "spaced":
            at = spaced(r.created_at, r.id)
        elif style == "lettered":
            at = lettered(r.created_at, r.id)
        elif style == "epoch_s":
            at = micros(r.created_at) / 1e6
        elif style == "epoch_ms":
            at = micros(r.created_at) / 1e3
        elif dialect in ("mysql", "mariadb"):
            at = r.created_at.replace(tzinfo=None)
        gone = r.deleted_at and r.deleted_at.date()
        if dialect == "sqlite":
            amount = float(r.amount) if r.amount is not None else None
            born: object = r.born and r.born.isoformat()
            gone = gone and gone.isoformat()
        else:
            amount, born = r.amount, r.born
        cells.append(
            {**{f: getattr(r, f) for f in r.__dataclass_fields__}}
            | {"created_at": at, "deleted_at": gone, "born": born, "amount": amount}
        )
    with engine.begin() as connection:
        table.drop(connection, checkfirst=True)
        table.create(connection)
        names = ", ".join(cells[0])
        if dialect == "sqlite":  # past SQLAlchemy's types, which would not write such times
            connection.exec_driver_sql(
                f"INSERT INTO {name} ({names}) VALUES ({', '.join('?' * len(cells[0]))})",
                [tuple(c.values()) for c in cells],
            )
        else:
            connection.execute(table.insert(), cells)
    engine.dispose()


def source(url: str, style: str, **changes: object) -> Source:
    """The shop's table as a source."""
    times = {"spaced": Times.NATIVE, "native": Times.NATIVE, "lettered": Times.ISO}
    values: dict[str, object] = {
        "chain": CHAIN,
        "index": "users",
        "table": "members",
        "url": url,
        "chain_column": "chain_id",
        "deleted_column": "deleted_at",
        "times": times.get(style) or Times(style),
        "prefix": "User",
    }
    return Source(**values | changes)
