"""Tells Celery's event stream of calls, so that Flower lists them beside the pumps.

The pump's loop only puts a few values into a queue; a thread of its own makes events of them and publishes them in
batches. Names, ids and numbers are told, never a URL's path, a header or a body.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from celery import Celery
from celery.events.dispatcher import EventDispatcher
from kombu.exceptions import OperationalError

from timeball import logs
from timeball.dispatch.traces import Made, Traces
from timeball.errors import StoreError
from timeball.ids import id_text
from timeball.model.attempt import Attempt
from timeball.model.task import State
from timeball.store import codec, keys, tasks
from timeball.store.pumps import Finished
from timeball.store.scripts import Client
from workers.call import Called

NAME = "timeball.call"
SAMPLED_A_SECOND = 20
"""Calls that a process tells of in a second when events are sampled: all of them on a quiet system."""
WAITING_MOST = 20_000
"""Calls not yet told of; of more the oldest are left out."""
GATHER_SECONDS = 0.25
PUBLISHED_AT_ONCE = 500
AWAY_SECONDS = 5.0
EARLIER = 8
"""Attempts of a task's log that are looked at for what came before a traced call."""

_EVENTS = {
    codec.STATE_CODES[State.SUCCEEDED]: "task-succeeded",
    codec.STATE_CODES[State.SCHEDULED]: "task-retried",
    codec.STATE_CODES[State.DEAD]: "task-failed",
}

log = logs.get(__name__)


class _Told(NamedTuple):
    """What is kept of a call until it is told: no more, since there may be many."""

    id: bytes
    queue: str
    host: str
    attempt: int
    retries: int
    how: str
    seconds: float
    state: int
    ended_at: float


class Teller:
    """One a worker process. `node` is the name of its Celery node; `most` how many calls a second are told of."""

    def __init__(self, app: Celery, node: str, most: int | None) -> None:
        self._app, self._node, self._most = app, node, most
        self._waiting: deque[_Told] = deque(maxlen=WAITING_MOST)
        self._some = threading.Event()
        self._second = 0
        self._left = 0
        thread = threading.Thread(target=self._run, name="events", daemon=True)
        thread.start()

    def tell(self, ended: Sequence[Called], results: Sequence[Finished]) -> None:
        """Take note of calls that have just ended, with what follows each. Never waits.

        Beyond the sample of this second it costs a look at the clock for all of them together.
        """
        now = time.time()
        if self._most is not None:
            if int(now) != self._second:
                self._second, self._left = int(now), self._most
            if not self._left:
                return
            ended = ended[: self._left]
            self._left -= len(ended)
        for called, result in zip(ended, results, strict=False):
            self._waiting.append(_kept(called, result.state, now))
        self._some.set()

    def _run(self) -> None:
        while True:
            try:
                with self._app.connection_for_write() as connection:
                    self._serve(
                        EventDispatcher(
                            connection,
                            hostname=self._node,
                            app=self._app,
                            buffer_while_offline=False,
                            buffer_group=["task"],
                            buffer_limit=PUBLISHED_AT_ONCE,
                        )
                    )
            except (OperationalError, OSError) as error:
                log.info("the broker takes no events", error=str(error)[:200])
            except Exception as error:
                log.error("telling Flower of calls failed", exc_info=error)
            time.sleep(AWAY_SECONDS)
            self._waiting.clear()

    def _serve(self, dispatcher: EventDispatcher) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            time.sleep(GATHER_SECONDS)  # what comes meanwhile goes out with it
            while self._waiting:
                told = self._waiting.popleft()
                dispatcher.send(_EVENTS[told.state], **fields_of(told))
            dispatcher.flush(errors=False)


def _kept(called: Called, state: int, now: float) -> _Told:
    claimed = called.prepared.claimed
    return _Told(
        claimed.id,
        keys.split_lane(claimed.lane)[1],
        called.prepared.host,
        claimed.attempt,
        claimed.attempt - claimed.base - 1,
        called.outcome.value if called.status is None else f"answered {called.status}",
        called.times_us[4] / 1e6,
        state,
        now,
    )


def fields_of(told: _Told) -> dict[str, Any]:
    """The event of a call. The one says it all, since the attempt has begun and ended before anybody is told."""
    began = told.ended_at - told.seconds
    return {
        "uuid": id_text(told.id),
        "name": NAME,
        "args": repr((told.queue,)),
        "kwargs": repr({"host": told.host, "attempt": told.attempt}),
        "retries": told.retries,
        "received": began,
        "started": began,
        "timestamp": told.ended_at,
        "runtime": told.seconds,
        "result" if _EVENTS[told.state] == "task-succeeded" else "exception": told.how,
    }


def trace(traces: Traces, client: Client, prefix: str, ended: Sequence[Called]) -> None:
    """Tell OpenTelemetry of those calls that have just ended which are traced."""
    told = [called for called in ended if called.prepared.trace is not None]
    again = [c.prepared.claimed.id for c in told if c.prepared.claimed.attempt > 1]
    logs_of: dict[bytes, list[Attempt]] = {}
    if again:
        try:
            found = tasks.last_attempts(client, prefix, again, EARLIER)
            logs_of = dict(zip(again, found, strict=True))
        except StoreError as error:
            log.info("what came before a call could not be read", error=str(error))
    for called in told:
        prepared = called.prepared
        assert prepared.trace is not None
        made = Made(
            prepared.claimed,
            prepared.trace,
            prepared.host,
            prepared.method,
            prepared.started_ms,
            called.outcome,
            called.status,
            called.times_us[4] / 1e6,
            called.error,
        )
        traces.called(made, logs_of.get(prepared.claimed.id, ()))
