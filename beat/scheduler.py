"""Celery beat with a scheduler of ours: duties that recur, done by one leading beat.

Every beat tries to hold the leader's lease; the others stand by and try again each second, so one takes over
when the lease has run out. Each duty carries the leader's fence into the store, which refuses an older one: a
beat that slept through its lease can do no harm when it wakes.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from celery import Celery
from celery.beat import Scheduler

from timeball import logs
from timeball.dispatch import upkeep
from timeball.dispatch.house import House, open_house
from timeball.errors import StoreError
from timeball.settings import load
from timeball.store import keys, pumps, roll

LEASE_MS = 3000
RENEW_SECONDS = 1.0

log = logs.get(__name__)


@dataclass
class Duty:
    """A chore, how often it recurs, and when it is next to be done (monotonic seconds)."""

    name: str
    every_seconds: float
    do: Callable[[House, int], None]
    due: float = 0.0


class DutyScheduler(Scheduler):
    """Runs the duties of `dispatch.upkeep` while this beat leads."""

    def __init__(self, app: Celery, *args: Any, **kwargs: Any) -> None:
        self.house = open_house(load())
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.fence = 0
        self.lead_due = 0.0
        self.roll_due = 0.0
        self.in_trouble = False
        self.duties = [
            Duty("ring", 1.0, upkeep.ring),
            Duty("rescue", 0.5, upkeep.rescue),
            Duty("prune", 5.0, upkeep.prune),
        ]
        super().__init__(app, *args, **kwargs)

    def setup_schedule(self) -> None:
        """There is no schedule of Celery's own: everything is in the store."""

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Do what is due; answers the seconds until the next duty."""
        now = time.monotonic()
        try:
            if now >= self.lead_due:
                self._lead()
                self.lead_due = now + RENEW_SECONDS
            if now >= self.roll_due:
                facts = {"leads": self.fence > 0, "fence": self.fence}
                roll.sign_in(self.house.client, "beat", self.name, facts)
                self.roll_due = now + roll.EVERY_SECONDS
            if self.fence:
                for duty in self.duties:
                    if now >= duty.due:
                        duty.do(self.house, self.fence)
                        duty.due = now + duty.every_seconds
        except StoreError as error:
            if not self.in_trouble:
                log.warning("the store is in trouble: duties wait", error=str(error))
            self.in_trouble, self.lead_due = True, 0.0
            return 0.2
        if self.in_trouble:
            log.info("the store is back")
            self.in_trouble = False
        due = [self.lead_due, self.roll_due, *(d.due for d in self.duties if self.fence)]
        return max(0.01, min(due) - time.monotonic())

    def _lead(self) -> None:
        lead = pumps.lead(self.house.client, keys.prefix(0), self.name, LEASE_MS)
        if lead.fence and lead.fence != self.fence:
            log.info("this beat leads now", beat=self.name, fence=lead.fence)
            for shard in range(1, self.house.settings.shards):
                upkeep.raise_fence(self.house, shard, lead.fence)
        elif self.fence and not lead.fence:
            log.warning("another beat leads now", beat=self.name, leader=lead.leader)
        self.fence = lead.fence

    def close(self) -> None:
        """Give the lease up, so that a standby need not wait for its end."""
        try:
            if self.fence:
                pumps.lead(self.house.client, keys.prefix(0), self.name, 0)
            roll.sign_off(self.house.client, "beat", self.name)
        except StoreError:
            log.info("the store is away: the lease runs out by itself")
        super().close()

    @property
    def info(self) -> str:
        return f"    . duties -> {', '.join(d.name for d in self.duties)}"
