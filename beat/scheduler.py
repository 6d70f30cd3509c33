"""Celery beat with a scheduler of ours: schedules and duties that recur, done by one leading beat.

Every beat tries to hold the leader's lease; the others stand by and try again each second, so one takes over
when the lease has run out. Each duty carries the leader's fence into the store, which refuses an older one: a
beat that slept through its lease can do no harm when it wakes.

Schedules are not polled: the tick sleeps until the next occurrence, and whoever makes an earlier one, or ends a
task that another waits for, wakes it.
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

from beat.nap import Nap
from timeball import logs
from timeball.dispatch import alerts, bulk, callbacks, export_files, upkeep
from timeball.dispatch.expand import expand
from timeball.dispatch.house import House, open_house, refuse_newer
from timeball.errors import StoreError
from timeball.settings import load
from timeball.store import keys, pumps, roll
from timeball.store.wake import WakeUp

LEASE_MS = 3000
RENEW_SECONDS = 1.0
AGAIN_SECONDS = 0.05
LOOK_SECONDS = 1.0
"""So often the schedules are looked at without a wake: nothing depends on one."""

log = logs.get(__name__)


@dataclass
class Duty:
    """A chore, how often it recurs, and when it is next to be done (monotonic seconds).

    One that answers True has more to do, and is done again as soon as the others had their turn.
    """

    name: str
    every_seconds: float
    do: Callable[[House, int], bool | None]
    due: float = 0.0


class DutyScheduler(Scheduler):
    """Expands schedules and runs the duties of `dispatch.upkeep` while this beat leads."""

    def __init__(self, app: Celery, *args: Any, **kwargs: Any) -> None:
        self.house = open_house(load())
        refuse_newer(self.house.settings)
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.fence = 0
        self.lead_due = 0.0
        self.roll_due = 0.0
        self.expand_due = 0.0
        self.in_trouble = False
        self.nap = Nap()
        wakes = [
            f"{keys.prefix(shard)}wake:{keys.SCHEDULES}"
            for shard in range(self.house.settings.shards)
        ]
        self.wake = WakeUp(self.house.client, wakes, self.nap, self._woken)
        self.tell = Duty("tell", 1.0, callbacks.deliver)
        self.duties = [
            self.tell,
            Duty("ring", 1.0, upkeep.ring),
            Duty("rescue", 0.5, upkeep.rescue),
            Duty("prune", 5.0, upkeep.prune),
            Duty("watch", 15.0, alerts.watch),
            Duty("bulk", 0.5, bulk.work_beside),
            Duty("sweep", 30.0, export_files.sweep_beside),
        ]
        super().__init__(app, *args, **kwargs)

    def setup_schedule(self) -> None:
        """There is no schedule of Celery's own: everything is in the store."""

    def tick(self, *_args: Any, **_kwargs: Any) -> float:
        """Do what is due, then sleep until more is: here, where a wake is heard, and not in Celery."""
        self.nap.sleep(self._work())
        return 0.0

    def _woken(self) -> None:
        self.expand_due = self.tell.due = 0.0

    def _work(self) -> float:
        """Do what is due; answers the seconds until the next duty or occurrence."""
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
                if now >= self.expand_due:
                    self._expand()
                for duty in self.duties:
                    if now >= duty.due:
                        more = duty.do(self.house, self.fence)
                        duty.due = now + (AGAIN_SECONDS if more else duty.every_seconds)
        except StoreError as error:
            if not self.in_trouble:
                log.warning("the store is in trouble: duties wait", error=str(error))
            self.in_trouble, self.lead_due, self.expand_due = True, 0.0, 0.0
            return 0.2
        if self.in_trouble:
            log.info("the store is back")
            self.in_trouble = False
        due = [self.lead_due, self.roll_due]
        if self.fence:
            self.wake.arm()
            due += (self.expand_due, *(duty.due for duty in self.duties))
        return max(0.0, min(due) - time.monotonic())

    def _expand(self) -> None:
        wait = expand(self.house, self.fence)
        wait = LOOK_SECONDS if wait is None else min(wait, LOOK_SECONDS)
        self.expand_due = time.monotonic() + wait

    def _lead(self) -> None:
        lead = pumps.lead(self.house.client, keys.prefix(0), self.name, LEASE_MS)
        if lead.fence and lead.fence != self.fence:
            log.info("this beat leads now", beat=self.name, fence=lead.fence)
            for shard in range(1, self.house.settings.shards):
                upkeep.raise_fence(self.house, shard, lead.fence)
            self.expand_due = 0.0
        elif self.fence and not lead.fence:
            log.warning("another beat leads now", beat=self.name, leader=lead.leader)
            self.wake.close()
        self.fence = lead.fence

    def close(self) -> None:
        """Give the lease up, so that a standby need not wait for its end."""
        self.wake.close()
        try:
            if self.fence:
                pumps.lead(self.house.client, keys.prefix(0), self.name, 0)
            roll.sign_off(self.house.client, "beat", self.name)
        except StoreError:
            log.info("the store is away: the lease runs out by itself")
        super().close()

    @property
    def info(self) -> str:
        return f"    . duties -> expand, {', '.join(d.name for d in self.duties)}"
