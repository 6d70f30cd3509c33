"""Moving the virtual clock over a long span as if it had passed: everything fires, in its order."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import timedelta

from timeball.dispatch.expand import expand
from timeball.dispatch.house import House
from timeball.store import clock, keys

PATIENCE_SECONDS = 10.0
"""How long one step waits, in real time, for the calls that fell due."""
LOOK_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Passed:
    """How many steps it took; `waited_in_vain` says that calls were due which nobody made in time."""

    steps: int
    waited_in_vain: bool


def advance(house: House, by: timedelta, patience_seconds: float = PATIENCE_SECONDS) -> Passed:
    """Put the clock forward by `by`, from one instant at which something is due to the next.

    At each the occurrences become tasks and the calls end before time goes on; so what waits for the end of a
    task, and each retry, comes as it would have. When nobody makes the calls, the clock jumps the rest.
    Development only; the caller checks that.
    """
    client, shards = house.client, house.settings.shards
    left = by / timedelta(milliseconds=1)
    steps, patience = 0, patience_seconds
    while (wait := _wait_ms(house)) is not None and wait <= left:
        if wait > 0:
            ahead = math.ceil(wait)
            clock.advance(client, shards, timedelta(milliseconds=ahead))
            left -= ahead
        elif patience == 0.0:
            break  # what is due stays so: nobody makes the calls
        steps += 1
        if not _settle(house, clock.fence(client), patience):
            patience = 0.0
    clock.advance(client, shards, timedelta(milliseconds=max(0.0, left)))
    return Passed(steps, patience == 0.0)


def _wait_ms(house: House) -> float | None:
    """Milliseconds until something is due on any shard; not above 0 when it is, None when nothing waits."""
    waits = [stand.wait_ms for stand in _stands(house)]
    return min((wait for wait in waits if wait is not None), default=None)


def _stands(house: House) -> list[clock.Stand]:
    return [clock.stand(house.client, keys.prefix(n)) for n in range(house.settings.shards)]


def _settle(house: House, fence: int, patience_seconds: float) -> bool:
    """Expand and wait until nothing is due and no call is in flight; False when that took too long."""
    end = time.monotonic() + patience_seconds
    while True:
        while expand(house, fence) == 0.0:
            pass
        if all(stand.quiet for stand in _stands(house)):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(LOOK_SECONDS)
