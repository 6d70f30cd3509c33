"""What people may do with hosts that are left alone."""

from __future__ import annotations

from timeball.dispatch.house import House
from timeball.errors import NotFound
from timeball.model.host import HostState
from timeball.store import hosts, keys, pumps
from timeball.store.tasks import Bell


def list_hosts(house: House, project: str) -> list[HostState]:
    """The hosts of a project that failed within the hour, are held or limited; the last to fail first."""
    prefix = house.prefix(project)
    now_ms, _ = pumps.clock(house.client, prefix)
    return hosts.states(house.client, prefix, project, now_ms)


def get_host(house: House, project: str, host: str) -> HostState:
    """How one host stands, whether anything is known of it or not."""
    prefix = house.prefix(project)
    now_ms, _ = pumps.clock(house.client, prefix)
    return hosts.states(house.client, prefix, project, now_ms, host)[0]


def limit_host(house: House, project: str, host: str | None, most: int | None) -> None:
    """Let a host have `most` calls in flight, over all workers and at once; None takes its limit away.

    Without a host it is the limit of each host that has none of its own.
    """
    prefix = house.prefix(project)
    if hosts.limit(house.client, prefix, project, host, most, house.horizon_ms):
        house.ring(project, [Bell(keys.CALL, 0.0)])


def default_limit(house: House, project: str) -> int | None:
    """How many calls a host without a limit of its own may have in flight; None is no limit."""
    return hosts.default_limit(house.client, house.prefix(project), project)


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
