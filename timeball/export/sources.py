"""What a chain may export: an index name that stands for one table or view of one database.

The URL is a secret: it is in no message, no repr and no log line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timeball.errors import InvalidField
from timeball.export.columns import Times

if TYPE_CHECKING:  # as in columns
    from sqlalchemy.engine import URL

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
# Anything else in a URL's query could load files, run statements or move the session's limits.
_QUERY_KEYS: Mapping[str, frozenset[str]] = {
    "sqlite": frozenset(),
    "postgresql": frozenset({"host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"}),
    "mysql": frozenset({"unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_identity"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An index of a chain. Exactly one of `url` and `url_env` (a variable's name) is set.

    `table` may be a view and may carry a schema (`schema.table`). Without `chain_column` the whole table is the
    chain's. `allowed` names the columns that exist for callers (empty: all), `denied` those that do not; a
    column that does not exist for callers is neither exported nor filtered by. `order_by` names columns, with
    a leading `-` for descending. `prefix` begins the file's name. A `confined` source was not registered by the
    operator: its database must be on a host that calls may reach, at each connect.
    """

    chain: int
    index: str
    table: str
    url: str | None = field(default=None, repr=False)
    url_env: str | None = None
    chain_column: str | None = None
    deleted_column: str | None = None
    times: Times = Times.NATIVE
    order_by: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    prefix: str = ""
    confined: bool = False

    @property
    def file_prefix(self) -> str:
        """`prefix`, or the index in the way of the documented names: wallet-ledger gives WalletLedger."""
        return self.prefix or "".join(
            p.capitalize() for p in re.split(r"[^A-Za-z0-9]+", self.index)
        )


def to_json(source: Source) -> dict[str, Any]:
    """The source as plain JSON, its URL included: encrypt it before it is kept, never answer it."""
    return {
        "chain": source.chain,
        "index": source.index,
        "table": source.table,
        "url": source.url,
        "url_env": source.url_env,
        "chain_column": source.chain_column,
        "deleted_column": source.deleted_column,
        "times": source.times.value,
        "order_by": list(source.order_by),
        "allowed": list(source.allowed),
        "denied": list(source.denied),
        "prefix": source.prefix,
        "confined": source.confined,
    }


def from_json(data: Mapping[str, Any]) -> Source:
    """A source from plain JSON. Raises InvalidField for anything that is not as it must be."""
    known = set(Source.__dataclass_fields__)
    if unknown := sorted(set(data) - known):
        raise InvalidField(str(unknown[0]), f"is unknown; a source has {', '.join(sorted(known))}")
    chain = data.get("chain")
    if not isinstance(chain, int) or isinstance(chain, bool) or not 0 < chain < 2**63:
        raise InvalidField("chain", "must be a whole number above 0")
    index = _name(data, "index")
    if not index or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", index):
        raise InvalidField(
            "index", "must have 1 to 64 of a-z, 0-9, _ and -, and begin with none of the last two"
        )
    url, variable = _name(data, "url"), _name(data, "url_env")
    if (url is None) == (variable is None):
        raise InvalidField("url", "must be given, or url_env instead of it: one of the two")
    if variable is not None and (
        not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", variable)
        or variable.upper().startswith("TIMEBALL_")
    ):
        raise InvalidField("url_env", "must name an environment variable outside TIMEBALL_*")
    times = data.get("times") or Times.NATIVE
    if times not in list(Times):
        raise InvalidField("times", f"must be one of {', '.join(Times)}")
    prefix = _name(data, "prefix") or ""
    if prefix and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", prefix):
        raise InvalidField("prefix", "must have at most 64 of A-Z, a-z, 0-9, _ and -")
    return Source(
        chain=chain,
        index=index,
        table=_name(data, "table") or "",
        url=url,
        url_env=variable,
        chain_column=_name(data, "chain_column"),
        deleted_column=_name(data, "deleted_column"),
        times=Times(times),
        order_by=_names(data, "order_by"),
        allowed=_names(data, "allowed"),
        denied=_names(data, "denied"),
        prefix=prefix,
        confined=data.get("confined") is True,
    )


def _name(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is None or value == "":
        if key in ("table", "index"):
            raise InvalidField(key, "must be given")
        return None
    if not isinstance(value, str) or "\0" in value or len(value) > 2048:
        raise InvalidField(key, "must be a text of at most 2048 characters")
    return value


def _names(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key) or ()
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) and v for v in value):
        raise InvalidField(key, "must be a list of column names")
    return tuple(value)


def resolve(source: Source, environ: Mapping[str, str] | None = None) -> URL:
    """The URL to open, with the driver we use. Raises InvalidField, without any part of the URL."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    where = "url_env" if source.url_env else "url"
    raw = source.url
    if source.url_env:
        raw = (os.environ if environ is None else environ).get(source.url_env)
        if not raw:
            raise InvalidField(where, f"names {source.url_env}, which is not set here")
    try:
        url = make_url(raw or "")
    except (ArgumentError, ValueError):
        raise InvalidField(
            where, "must be a URL such as postgresql://user:password@host/database"
        ) from None
    backend = url.drivername.partition("+")[0]
    if backend not in _DRIVERS:
        raise InvalidField(where, "must begin with sqlite, postgresql, mysql or mariadb")
    url = url.set(drivername=_DRIVERS[backend])
    if refused := sorted(set(url.query) - _QUERY_KEYS[family(url)]):
        raise InvalidField(where, f"must not carry the option {refused[0][:40]!r} in its query")
    if family(url) == "sqlite" and not Path(url.database or "").is_absolute():
        raise InvalidField(
            where, "must name a file by its absolute path: sqlite:////path/to/file.db"
        )
    return url


def family(url: URL) -> str:
    """sqlite, postgresql or mysql (which MariaDB is too)."""
    name = url.get_backend_name()
    return "mysql" if name == "mariadb" else name
