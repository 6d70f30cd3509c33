"""Hosts in trouble: how their calls went, and letting them be called again."""

from __future__ import annotations

from timeball.model.host import Breaker, HostState
from timeball.store import codec
from timeball.store.keys import APART
from timeball.store.scripts import Client, call, store_errors

MOST = 200
"""Hosts that are listed: those that failed last, and those that are held."""
NOT_HELD = -2


def troubled(client: Client, prefix: str, project: str, now_ms: float) -> list[HostState]:
    """The hosts of a project that are held or failed within the hour; the last to fail first."""
    with store_errors():
        pipe = client.pipeline(transaction=False)
        pipe.zrevrange(f"{prefix}troubled:{project}", 0, MOST - 1, withscores=True)
        pipe.hgetall(f"{prefix}hosts:{project}")
        failed_at, held = pipe.execute()
        last = {host.decode(): at for host, at in failed_at}
        until = {host.decode(): float(at) for host, at in held.items()}
        names = [*last, *sorted(until.keys() - last.keys())][:MOST]
        for name in names:
            pipe.hgetall(f"{prefix}host:{project}{APART}{name}")
            pipe.smembers(f"{prefix}parked:{project}{APART}{name}")
        found = pipe.execute() if names else []
        aside = [sorted(lanes) for lanes in found[1::2]]
        for lane in (lane for lanes in aside for lane in lanes):
            pipe.zcard(f"{prefix}lane:".encode() + lane)
        depths = iter(pipe.execute() if any(aside) else [])
    out = []
    for name, raw, lanes in zip(names, found[0::2], aside, strict=True):
        waiting = sum(next(depths) for _ in lanes)
        if raw or name in until:
            out.append(_state(name, raw, until.get(name), waiting, last.get(name), now_ms))
    return out


def _state(
    name: str,
    raw: dict[bytes, bytes],
    until_ms: float | None,
    waiting: int,
    last_ms: float | None,
    now_ms: float,
) -> HostState:
    how = {k.decode()[2:]: int(n) for k, n in raw.items() if k.startswith(b"e:")}
    opened = int(raw.get(b"open", 0))
    if opened:
        breaker = Breaker.PROBING if raw.get(b"probe") == b"1" else Breaker.OPEN
    elif until_ms is not None and until_ms > now_ms:
        breaker = Breaker.QUIET
    else:
        breaker = Breaker.CLOSED
    held = breaker is not Breaker.CLOSED and until_ms is not None
    return HostState(
        host=name,
        breaker=breaker,
        until=codec.from_ms(until_ms) if held and until_ms is not None else None,
        opened=opened,
        well=int(raw.get(b"well", 0)),
        failed=sum(how.values()),
        waiting=waiting,
        how=dict(sorted(how.items(), key=lambda item: (-item[1], item[0]))),
        last_failed_at=codec.from_ms(last_ms) if last_ms is not None else None,
    )


def let_through(
    client: Client, prefix: str, project: str, host: str, only_one: bool, horizon_ms: int
) -> bool | None:
    """Let a held host be called: by one call that decides, or by all. None when nothing holds it, else whether
    a bell must be rung."""
    how = "probe" if only_one else "all"
    answer = int(call(client, "host", prefix, [project, host, how, horizon_ms]))
    return None if answer == NOT_HELD else answer >= 0
