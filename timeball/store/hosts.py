"""Hosts in trouble: how their calls went, and letting them be called again."""

from __future__ import annotations

from dataclasses import replace

from timeball.model.host import Breaker, HostState
from timeball.store import codec
from timeball.store.keys import APART
from timeball.store.scripts import Arg, Client, call, store_errors

MOST = 200
"""Hosts that are listed: those that failed last, those that are held, those with a limit of their own."""
ROW_MS = 60_000
"""Failures further apart are no row: what went well is told only so long after one."""
NOT_HELD = -2


def states(
    client: Client, prefix: str, project: str, now_ms: float, only: str | None = None
) -> list[HostState]:
    """The hosts of a project that failed within the hour, are held or limited; the last to fail first.

    `only` names one host, of which the state is told in any case.
    """
    with store_errors():
        pipe = client.pipeline(transaction=False)
        pipe.zrevrange(f"{prefix}troubled:{project}", 0, MOST - 1, withscores=True)
        pipe.hgetall(f"{prefix}hosts:{project}")
        pipe.hgetall(f"{prefix}caps:{project}")
        pipe.hget(f"{prefix}q:{project}", "host")
        failed_at, held, capped, default = pipe.execute()
        last = {host.decode(): at for host, at in failed_at}
        until = {host.decode(): float(at) for host, at in held.items()}
        own = {host.decode(): int(most) for host, most in capped.items()}
        names = [*last, *sorted({*until, *own} - last.keys())]
        names = names if only is None else [only]
        names = names[:MOST]
        for name in names:
            pipe.hget(f"{prefix}inflight", f"{project}{APART}@{name}")
            pipe.hgetall(f"{prefix}host:{project}{APART}{name}")
            pipe.smembers(f"{prefix}parked:{project}{APART}{name}")
        found = pipe.execute() if names else []
        aside = [sorted(lanes) for lanes in found[2::3]]
        for lane in (lane for lanes in aside for lane in lanes):
            pipe.zcard(f"{prefix}lane:".encode() + lane)
        depths = iter(pipe.execute() if any(aside) else [])
    out = []
    for name, in_flight, raw, lanes in zip(names, found[0::3], found[1::3], aside, strict=True):
        waiting = sum(next(depths) for _ in lanes)
        limit = own.get(name, None if default is None else int(default))
        if raw or name in until or name in own or only is not None:
            state = _state(name, raw, until.get(name), waiting, last.get(name), now_ms)
            counted = None if limit is None else int(in_flight or 0)
            if counted is None and state.breaker is Breaker.CLOSED:
                waiting = 0  # they stand again, to be called
            out.append(
                replace(state, limit=limit, own=name in own, in_flight=counted, waiting=waiting)
            )
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
    at = float(raw.get(b"at", 0))
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
        failed_in_row=int(raw.get(b"row", 0)) if now_ms - at < ROW_MS else 0,
    )


def let_through(
    client: Client, prefix: str, project: str, host: str, only_one: bool, horizon_ms: int
) -> bool | None:
    """Let a held host be called: by one call that decides, or by all. None when nothing holds it, else whether
    a bell must be rung."""
    how = "probe" if only_one else "all"
    answer = int(call(client, "host", prefix, [project, host, how, horizon_ms]))
    return None if answer == NOT_HELD else answer >= 0


def limit(
    client: Client, prefix: str, project: str, host: str | None, most: int | None, horizon_ms: int
) -> bool:
    """Let a host have `most` calls in flight over all workers, None for what the project says.

    Without a host it is the project's limit, for each host that has none of its own. Answers whether a bell
    must be rung.
    """
    args: list[Arg] = [project, host or "", "" if most is None else most, horizon_ms]
    return int(call(client, "cap", prefix, args)) >= 0


def default_limit(client: Client, prefix: str, project: str) -> int | None:
    """How many calls a host without a limit of its own may have in flight."""
    with store_errors():
        found = client.hget(f"{prefix}q:{project}", "host")
    return None if found is None else int(found)
