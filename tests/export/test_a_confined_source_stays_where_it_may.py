"""A source that the operator did not register is judged each time it is opened, by the address it leads to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests.export.shop import CHAIN, NOW, mine
from timeball.egress import Policy
from timeball.errors import InvalidField
from timeball.export.databases import columns, probe
from timeball.export.failures import ExportFailed, ExportUnavailable
from timeball.export.run import Plan, run_export
from timeball.export.sources import Source, from_json, to_json

HOST = "db.example"
OPEN = Policy.parse((HOST,), ())


class Names:
    """What HOST means just now, and every address that was connected to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.means = ["127.0.0.1"]
        plain = socket.getaddrinfo

        def look_up(host: Any, port: Any, *more: Any, **named: Any) -> Any:
            if host != HOST:
                return plain(host, port, *more, **named)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in self.means]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


@contextmanager
def reachable(path: str) -> Iterator[tuple[int, list[str]]]:
    """A port of 127.0.0.1 that leads to a unix socket, and who came to it."""
    came: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pass_on(one: socket.socket, other: socket.socket) -> None:
            with one, other:
                while data := one.recv(65536):
                    other.sendall(data)

        def serve() -> None:
            while True:
                try:
                    outer, who = listener.accept()
                except OSError:
                    return
                came.append(who[0])
                inner = socket.socket(socket.AF_UNIX)
                inner.connect(path)
                for pair in ((outer, inner), (inner.dup(), outer.dup())):
                    threading.Thread(target=quietly, args=(pass_on, *pair), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], came


def quietly(do: Callable[..., None], *arguments: Any) -> None:
    try:
        do(*arguments)
    except OSError:
        return  # one side has gone: so goes the other


def by_name(source: Source, port: int) -> Source:
    """The source by the name of a host, confined."""
    url = make_url(source.url or "").set(host=HOST, port=port, query={})
    return replace(source, url=url.render_as_string(hide_password=False), confined=True)


@pytest.mark.parametrize("where", ["postgresql-native", "mariadb-native"])
def test_a_name_that_comes_to_mean_something_else_reaches_nothing(
    where: str, place: Callable[[str], Source], names: Names, out: Path
) -> None:
    source = place(where)
    query = make_url(source.url or "").query
    path = f"{query['host']}/.s.PGSQL.5432" if "host" in query else str(query["unix_socket"])
    with reachable(path) as (port, came):
        confined = by_name(source, port)
        assert len(probe(confined, OPEN)) > 5
        result = run_export(Plan("1", 1), confined, NOW, out, policy=OPEN)
        assert result.rows == len(mine())
        been = len(came)
        assert been >= 2
        for means in (["10.0.0.1"], ["169.254.169.254"], ["127.0.0.1", "192.168.0.1"]):
            names.means = means
            with pytest.raises(ExportFailed, match="may be reached"):
                run_export(Plan("2", 1), confined, NOW, out, policy=Policy())
            with pytest.raises(InvalidField, match="may be reached"):
                probe(confined, Policy())
        names.means = ["127.0.0.1"]
        with pytest.raises(ExportFailed):
            columns(confined)
        assert len(came) == been


def test_no_socket_of_the_machine_stands_in_for_a_host_that_is_not_named() -> None:
    for url in ("postgresql://u:p@/x", "mysql://u:p@/x"):
        source = Source(chain=CHAIN, index="users", table="t", url=url, confined=True)
        with pytest.raises(ExportFailed, match="may be reached"):
            columns(source)


def test_a_host_that_is_not_known_is_worth_another_try() -> None:
    url = "postgresql://u:p@no-such-host.invalid/x"
    source = Source(chain=CHAIN, index="users", table="t", url=url, confined=True)
    with pytest.raises(ExportUnavailable, match="not known"):
        columns(source)
    with pytest.raises(InvalidField, match="not known"):
        probe(source)


def test_a_source_stays_confined_when_it_is_kept() -> None:
    source = Source(chain=1, index="users", table="t", url="mysql://a@b/c", confined=True)
    assert from_json(json.loads(json.dumps(to_json(source)))) == source
