"""What people may do with hosts that are left alone."""

from __future__ import annotations

from timeball.dispatch.house import House
from timeball.errors import NotFound
from timeball.model.host import HostState
from timeball.store import hosts, keys, pumps
from timeball.store.tasks import Bell


def list_hosts(house: House, project: str) -> list[HostState]:
    """The hosts of a project that are held or failed within the hour; the last to fail first."""
    prefix = house.prefix(project)
    now_ms, _ = pumps.clock(house.client, prefix)
    return hosts.troubled(house.client, prefix, project, now_ms)


def probe(house: House, project: str, host: str) -> None:
    """Let one call to a held host through now; how it ends decides for the others. Raises NotFound."""
    _let_through(house, project, host, only_one=True)


def close_breaker(house: House, project: str, host: str) -> None:
    """Forget a host's trouble: all that waits for it may be called. Raises NotFound when nothing holds it."""
    _let_through(house, project, host, only_one=False)


def _let_through(house: House, project: str, host: str, *, only_one: bool) -> None:
    prefix = house.prefix(project)
    rung = hosts.let_through(
        house.client, prefix, project, host, only_one=only_one, horizon_ms=house.horizon_ms
    )
    if rung is None:
        raise NotFound(f"nothing holds the host {host!r}: its calls go through")
    if rung:
        house.ring(project, [Bell(keys.CALL, 0.0)])
