"""Which hosts the database of a confined source may be on, judged by the very address that is connected to.

A name is looked up here, each address is judged, and the driver is given an address that was judged: it looks
nothing up itself, so a name that has come to mean another address since it was registered reaches nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from timeball.egress import Policy
from timeball.export.failures import ExportFailed, ExportUnavailable

PORTS = {"postgresql": 5432, "mysql": 3306}
DIAL_SECONDS = 10.0


def confine(engine: sa.Engine, url: URL, kind: str, policy: Policy) -> None:
    """Have an engine of a server (`kind` is postgresql or mysql) connect to what the policy allows, or raise."""
    host, port = url.host or "localhost", url.port or PORTS[kind]

    @sa.event.listens_for(
        engine, "do_connect"
    )  # the only one: the first that connects is the last asked
    def connect(_dialect: Any, _record: object, args: Any, given: dict[str, Any]) -> Any:
        found = addresses(host, port, policy)
        if kind == "postgresql":  # libpq connects to hostaddr; host is what a certificate must name
            given.update(host=",".join([host] * len(found)), hostaddr=",".join(found))
            return None
        from timeball.export.mysql import Connection

        connection = Connection(*args, **{**given, "defer_connect": True})
        connection.connect(_dialled(found, port))
        return connection


def connect_anywhere(engine: sa.Engine) -> None:
    """Have an engine of MySQL, whose source an operator registered, connect with our own kind of connection."""
    from timeball.export.mysql import Connection

    @sa.event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: object, args: Any, given: dict[str, Any]) -> Any:
        return Connection(*args, **given)


def addresses(host: str, port: int, policy: Policy) -> list[str]:
    """The addresses of a host. Raises ExportFailed when one of them is closed, ExportUnavailable without any."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ExportUnavailable("the database's host is not known") from None
    found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
    if not all(policy.allows(host, address, port) for address in found):
        raise ExportFailed(
            "the database's host is not one that may be reached: the operator can open it with "
            "TIMEBALL_ALLOWED_TARGETS, or register the source with timeball sources add"
        )
    return found


def _dialled(found: Sequence[str], port: int) -> socket.socket:
    for address in found:
        try:
            made = socket.create_connection((address, port), DIAL_SECONDS)
        except OSError:
            continue
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return made
    raise ExportUnavailable("the database does not answer, or the connection was lost")
