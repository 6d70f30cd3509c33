"""The pump: one loop that claims due tasks, makes their calls, and writes how they ended.

It runs as a Celery job, one a worker process. It ends when it has been idle for a slice, or when the worker
stops; what is due then is left to the bell that it rings.
"""

from __future__ import annotations

import time
from typing import Protocol

from timeball import logs, queue
from timeball.dispatch.house import House
from timeball.errors import StoreError
from timeball.ids import token
from timeball.store import keys, pumps
from timeball.store.codec import Claimed
from timeball.store.pumps import Finished
from timeball.store.wake import WakeUp
from workers.ahead import Ahead
from workers.call import Caller, Prepared
from workers.hanging import Hanging
from workers.prepare import Preparer, Recorder, Signers
from workers.tell import Teller, trace

HEARTBEAT_SECONDS = 0.5
FLUSH_SECONDS = 0.005
FLUSH_RESULTS = 100
FLUSH_MOST = 500
CLAIM_MOST = 200
FIRST_CALLS = 16
"""A pump that has just begun and finds a backlog makes so many calls at first, and twice as many each time it has
written how they ended, for so long as it is YOUNG_SECONDS old. What ends a process often does so at its first
calls, and all whose ends are not written are made again."""
YOUNG_SECONDS = 0.25
AHEAD_MS = 100
"""So long before they are due an idle pump takes tasks and prepares their calls; see docs/adr/0012."""
AHEAD_MOST = 800
"""Fewer than TIMEBALL_PUMP_CALLS_TOTAL is by itself, so that what comes to be due meanwhile finds room."""
AHEAD_STALE_SECONDS = 2.0
"""A pump that has not heard from the store for so long may have been taken for dead, and its tasks given to
others: it asks again before it begins what it held ready. Leases end later."""
AHEAD_PATIENCE_MS = 250
"""A task that was taken ahead and finds no slot for so long after it was due is put back for another pump."""
STORE_RETRY_SECONDS = 0.2
HELP_EVERY_SECONDS = 5.0
PACED_SECONDS = 0.005
"""A call that a rate lets begin is begun so soon after its claim or not at all: later it might crowd with those
that other pumps begin by then. Half of SLACK in lua/_owners.lua, which leaves the other half to the network."""

log = logs.get(__name__)


class Stop(Protocol):
    """Says whether this worker has been asked to stop."""

    def __call__(self) -> bool: ...


class Pump:
    """One run of the pump on one shard.

    `caller` and `signers` belong to the process and outlive the run. Call `run` once.
    """

    def __init__(
        self,
        house: House,
        shard: int,
        caller: Caller,
        signers: Signers,
        worker: str,
        stop: Stop,
        teller: Teller | None = None,
    ) -> None:
        settings = house.settings
        self.house, self.shard, self.caller, self.stop = house, shard, caller, stop
        self.prefix = keys.prefix(shard)
        self.name = f"{worker}#{token(6)}"
        self.queue_calls, self.total_calls = settings.pump_calls, settings.pump_calls_total
        self.idle_seconds = settings.pump_slice.total_seconds()
        self.grace_seconds = settings.stop_grace.total_seconds()
        self.traces = house.traces
        self.preparer = Preparer(signers, settings.call_timeout, self.traces)
        self.recorder = Recorder(signers, worker)
        self.teller = teller
        self.results: list[Finished] = []
        self.lanes: dict[str, int] = {}  # calls in flight by lane
        self.hanging = Hanging(caller)
        self.ahead = Ahead(AHEAD_PATIENCE_MS)
        self.young_until = 0.0
        self.risk = FIRST_CALLS  # so many calls may be without a written end
        self.oldest = 0.0
        self.claim_due = 0.0
        self.heartbeat_due = 0.0
        self.heard = 0.0
        self.more = False
        self.skew_ms = self.late_skew_ms = 0.0
        self.called = 0
        self.help_asked = 0.0
        self.store_away = False

    def run(self) -> int:
        """Work until idle for a slice or told to stop. Answers how many calls were made."""
        wake = WakeUp(
            self.house.client, [f"{self.prefix}wake:{keys.CALL}"], self.caller, self._woken
        )
        busy_until = time.monotonic()
        self.young_until = busy_until + YOUNG_SECONDS
        stopping_since: float | None = None
        try:
            while True:
                now = time.monotonic()
                if self.caller.busy or self.results or self.ahead.count:
                    busy_until = now
                if stopping_since is None and self.stop():
                    stopping_since = now
                    self._put_back(self.ahead.clear())
                if self.ahead.count:
                    self._begin_ahead(now)
                if self._must_flush(now, stopping_since is not None):
                    self._flush(now)
                if stopping_since is not None:
                    if not self.caller.busy and not self.results:
                        break
                    if now - stopping_since >= self.grace_seconds:
                        self._give_up_calls()
                        break
                    if now >= self.heartbeat_due:
                        self._claim(now, 0)
                elif now >= self.claim_due or now >= self.heartbeat_due:
                    self._claim(now, self._room(now))
                    busy = self.caller.busy or self.ahead.count
                    if now - busy_until >= self.idle_seconds and not busy:
                        break
                if not self.more:
                    wake.arm()
                self._step(now)
        finally:
            wake.close()
        self._sleep()
        return self.called

    def _woken(self) -> None:
        self.claim_due = 0.0

    def _room(self, now: float) -> int:
        """So many tasks may be claimed now."""
        if now >= self.young_until:
            self.risk = self.total_calls + FLUSH_MOST
        busy = self.caller.busy
        free = self.total_calls - busy - self.ahead.count
        return min(CLAIM_MOST, free, self.risk - busy - len(self.results))

    def _must_flush(self, now: float, stopping: bool) -> bool:
        results = self.results
        if self.ahead.rushed and not stopping:
            return len(results) >= FLUSH_MOST  # calls that are due go first
        return bool(results) and (
            len(results) >= FLUSH_RESULTS
            or now - self.oldest >= FLUSH_SECONDS
            or stopping
            or not self.caller.busy
        )

    def _step(self, now: float) -> None:
        due = min(self.claim_due, self.heartbeat_due)
        if self.ahead.count:
            due = min(due, (self.ahead.look_ms - self.skew_ms) / 1000)
        if self.results:
            due = min(due, self.oldest + FLUSH_SECONDS)
        ended = self.caller.wait(due - now)
        if not ended:
            return
        ended_at = time.monotonic()
        ended_ms = ended_at * 1000 + self.late_skew_ms
        if not self.results:
            self.oldest = ended_at
        for called in ended:
            lane = called.prepared.claimed.lane
            if (n := self.lanes[lane] - 1) > 0:
                self.lanes[lane] = n
            else:
                del self.lanes[lane]
            self.results.append(self.recorder.record(called, ended_ms))
        if self.teller is not None:
            self.teller.tell(ended, self.results[-len(ended) :])
        if self.traces is not None:
            trace(self.traces, self.house.client, self.prefix, ended)
        self.called += len(ended)

    def _in_flight(self, now: float) -> dict[str, int]:
        """The calls in flight by queue and by project.

        Calls of a queue that hang are not counted for it, up to as many as it may have besides: or a hundredth
        of slow endpoints would keep a queue at a fraction of its pace. They count for its project.
        """
        found: dict[str, int] = {}
        for lane, n in (*self.lanes.items(), *self.ahead.counts()):
            queue = lane.partition(keys.APART)[0]
            for owner in (queue, queue.partition("/")[0]):
                found[owner] = found.get(owner, 0) + n
        if self.caller.busy >= self.queue_calls:
            for queue, n in self.hanging.count(now, now * 1000 + self.skew_ms).items():
                if queue in found:
                    found[queue] -= min(n, self.queue_calls, found[queue])
        return found

    def _claim(self, now: float, want: int) -> None:
        """Take due tasks and start their calls; also the heartbeat."""
        self.heartbeat_due = now + HEARTBEAT_SECONDS
        ahead_ms, queue_calls, project_calls = 0, self.queue_calls, self.total_calls // 2
        if not self.caller.busy and not self.results and self.ahead.count < AHEAD_MOST:
            # what a queue may have in flight holds when its calls begin
            want = min(want, queue_calls, project_calls, AHEAD_MOST - self.ahead.count)
            ahead_ms, queue_calls, project_calls = AHEAD_MS, AHEAD_MOST, AHEAD_MOST
        asked = time.monotonic()
        try:
            claim = pumps.claim(
                self.house.client,
                self.prefix,
                self.name,
                max(0, want),
                queue_calls,
                project_calls,
                in_flight=self._in_flight(now),
                ahead_ms=ahead_ms,
            )
        except StoreError as error:
            self._store_failed(error)
            self.claim_due = now + STORE_RETRY_SECONDS
            self.heartbeat_due = self.claim_due
            return
        self.store_away = False
        self.heard = asked
        held = self.caller.busy + len(self.results) + self.ahead.count
        if claim.leases > held + len(claim.tasks):
            self._give_back_unknown(claim)
        after = time.monotonic()
        # what must not begin early goes by the first, what must not be tried again early by the second
        self.skew_ms = claim.now_ms - after * 1000
        self.late_skew_ms = claim.now_ms - asked * 1000
        for place in claim.probes:
            self.recorder.hosts.watch(claim.tasks[place])
        for claimed in self._begin_paced(claim, asked) if claim.paced else claim.tasks:
            if claimed.due_ms > claim.now_ms:
                self.ahead.put(self.preparer.prepare(claimed, claimed.due_ms, claim.now_ms))
            else:
                self._begin(self.preparer.prepare(claimed, claim.now_ms))
        self.more = 0 <= claim.next_ms <= claim.now_ms
        if not self.more:
            self.young_until = after  # it is level with its work
        if self.more:
            # with all slots taken, the next flush frees some and claims again
            full = self._room(after) <= 0
            stuck = not claim.tasks and not claim.unfinished
            young = after < self.young_until
            later = self.young_until if young else self.heartbeat_due
            self.claim_due = later if full or stuck else after
            if (not young and len(claim.tasks) == want) or self.caller.busy >= self.queue_calls:
                self._ask_for_help(after)
        elif claim.next_ms < 0:
            self.claim_due = self.heartbeat_due
        else:
            wait_ms = claim.next_ms - claim.now_ms
            if wait_ms > AHEAD_MS:
                wait_ms -= AHEAD_MS
            elif ahead_ms and 0 < len(claim.tasks) == want and self.ahead.count < AHEAD_MOST:
                wait_ms = 0  # there may be more that can be taken ahead
            self.claim_due = after + wait_ms / 1000

    def _begin(self, prepared: Prepared) -> None:
        lane = prepared.claimed.lane
        self.lanes[lane] = self.lanes.get(lane, 0) + 1
        self.caller.start(prepared)

    def _begin_ahead(self, now: float) -> None:
        """Begin the calls that were taken ahead and are due, as far as there are slots for them."""
        if now - self.heard > AHEAD_STALE_SECONDS:
            self._put_back(self.ahead.clear())
            return
        now_ms = now * 1000 + self.skew_ms
        idle = not self.caller.busy
        for prepared in self.ahead.ready(now_ms, self._slots):
            prepared.started_ms = now_ms
            self._begin(prepared)
        if idle and self.caller.busy:
            self.caller.push()  # before the store is asked for more
        if late := self.ahead.late(now_ms):
            self._put_back(late)
            self._ask_for_help(now)

    def _slots(self, lane: str) -> int:
        """So many more calls of a lane may be in flight."""
        return min(self.queue_calls - self.lanes.get(lane, 0), self.total_calls - self.caller.busy)

    def _begin_paced(self, claim: pumps.Claim, asked: float) -> list[Claimed]:
        """Begin the calls that are under a rate, each in time or not at all; answers the others."""
        others, late = [], []
        for place, claimed in enumerate(claim.tasks):
            if place not in claim.paced:
                others.append(claimed)
                continue
            prepared = self.preparer.prepare(claimed, claim.now_ms)
            if time.monotonic() - asked > PACED_SECONDS:
                late.append(claimed)
                continue
            self._begin(prepared)
            self.caller.push()
        self._put_back(late)
        return others

    def _put_back(self, late: list[Claimed]) -> None:
        """Tasks that were claimed and cannot begin now wait as if nobody had claimed them."""
        if not late:
            return
        try:
            pumps.put_back(self.house.client, self.prefix, self.name, late)
        except StoreError as error:
            self._store_failed(error)  # the next claim finds their leases and gives them back
        self.claim_due = 0.0

    def _give_back_unknown(self, claim: pumps.Claim) -> None:
        """The answer to an earlier claim was lost: its tasks are ours in the store, and nobody calls them."""
        known = [
            *(p.claimed.id for p in self.caller.in_flight()),
            *(r.id for r in self.results),
            *self.ahead.ids(),
            *(c.id for c in claim.tasks),
        ]
        try:
            lost = pumps.give_back(
                self.house.client, self.prefix, self.name, known, self.house.settings.max_lost
            )
        except StoreError as error:
            self._store_failed(error)  # the next claim counts again
            return
        log.warning(
            "a claim's answer was lost: its tasks were given back", pump=self.name, tasks=lost
        )

    def _flush(self, now: float) -> None:
        """Write the results; on a store that is away they are kept and written later."""
        some = self.results[:FLUSH_MOST]
        try:
            pumps.finish(
                self.house.client,
                self.prefix,
                self.name,
                some,
                self.recorder.counters,
                self.recorder.hosts.peek(),
            )
        except StoreError as error:
            self._store_failed(error)
            self.oldest = now + STORE_RETRY_SECONDS
            return
        self.recorder.take_counters()
        self.recorder.hosts.clear()
        if self.risk < self.total_calls:
            self.risk *= 2
        del self.results[: len(some)]
        self.claim_due = min(self.claim_due, now)

    def _store_failed(self, error: StoreError) -> None:
        if not self.store_away:
            log.warning(
                "the store is in trouble: results are kept", pump=self.name, error=str(error)
            )
        self.store_away = True

    def _ask_for_help(self, now: float) -> None:
        """There is more than this pump takes at once: ring for another one, now and then."""
        if now - self.help_asked >= HELP_EVERY_SECONDS:
            self.help_asked = now
            queue.send_help(self.house.celery, keys.CALL, self.shard, HELP_EVERY_SECONDS)

    def _give_up_calls(self) -> None:
        now_ms = time.monotonic() * 1000 + self.skew_ms
        for prepared in self.caller.abandon():
            self.results.append(self.recorder.lost(prepared, now_ms))
        log.warning("calls were cut to stop in time", pump=self.name, calls=len(self.results))
        self._flush(time.monotonic())

    def _sleep(self) -> None:
        try:
            due_ms = pumps.release(self.house.client, self.prefix, self.name, self.house.horizon_ms)
            if due_ms is not None:
                now_ms = time.monotonic() * 1000 + self.skew_ms
                queue.send_bell(
                    self.house.celery, keys.CALL, self.shard, max(0.0, (due_ms - now_ms) / 1000)
                )
        except StoreError as error:
            log.warning("the pump could not sign off", pump=self.name, error=str(error))
