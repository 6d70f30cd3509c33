"""How a run of an export ends: done, failed, to be tried again, or not ours any more."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from timeball import logs
from timeball.dispatch import export_files
from timeball.dispatch import exports as verbs
from timeball.dispatch.house import House
from timeball.errors import NotFound, StoreError
from timeball.export.failures import ExportError
from timeball.export.storage import Store
from timeball.model.attempt import Attempt, Outcome, Timing
from timeball.model.export import LogLine, Result
from timeball.model.task import State
from timeball.store import codec, exports, pumps
from timeball.store.codec import Claimed
from timeball.store.exports import Field, Kept
from timeball.store.pumps import Finished

STORE_RETRY_SECONDS = 0.2
GIVE_UP_SECONDS = 5.0
"""So long a worker that must stop tries to reach a store that is away."""
RETRY_WAITS = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600))
"""The waits after attempts that failed for a while; past the end the export has failed."""

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Run:
    """One claimed export: the claim, what is kept of it, and when the run began by the store's clock."""

    claimed: Claimed
    project: str
    kept: Kept
    started: datetime


class Ending:
    """Writes ends for one worker. Each is written however long the store is away, unless the worker must stop."""

    def __init__(
        self,
        house: House,
        prefix: str,
        pump: str,
        worker: str,
        store: Store,
        stop: Callable[[], bool],
    ) -> None:
        self.house, self.prefix, self.pump, self.worker = house, prefix, pump, worker
        self.store, self.stop = store, stop

    def done(self, run: Run, result: Result, seconds: float) -> None:
        """The file is there: publish it, or withdraw it when another worker has the export now."""
        raw, pending = exports.encode_result(result), f"r:{run.claimed.attempt}"
        self._note(run, result.at, None, fields={pending: raw, "owed": 1})
        again = self._again(run, result.at)
        state = State.SUCCEEDED if again is None else State.SCHEDULED
        if not self._finish(run, state, None, again, result):
            self._withdraw(run, result, pending)
            return
        speed = int(result.rows / max(seconds, 0.001))
        facts = {"rows": result.rows, "bytes": result.size_bytes, "rows_per_second": speed}
        line = LogLine(result.at, "info", "done", {**facts, "sha256": result.sha256})
        drop = ("now", "cancel", "expired", pending)
        self._ended(run, line, drop, again, {"phase": "done", "result": raw})
        log.info("an export is done", export=run.kept.number, project=run.project, **facts)

    def _withdraw(self, run: Run, result: Result, pending: str) -> None:
        with suppress(ExportError, StoreError, OSError):
            self.store.delete(result.key)
            exports.note(self.house.client, self.prefix, run.kept.id, result.at, drop=(pending,))
        log.warning("an export came too late and was withdrawn", export=run.kept.number)

    def stopped(self, run: Run) -> None:
        """The worker must stop: another one begins again at once."""
        words = "the worker was asked to stop: it will begin again"
        self._retry(run, words, timedelta(0))

    def failed_for_now(self, run: Run, words: str) -> None:
        """Trying again may help: so it is, with longer waits, so many times."""
        tries = run.claimed.attempt - run.claimed.base
        if tries > len(RETRY_WAITS):
            self.failed(run, f"{words}; tried {tries} times")
        else:
            self._retry(run, words, RETRY_WAITS[tries - 1])

    def _retry(self, run: Run, words: str, wait: timedelta) -> None:
        if self._finish(run, State.SCHEDULED, words, self._now() + wait):
            line = LogLine(self._now(), "warning", words, {"next_in": wait.total_seconds()})
            self._note(run, line.at, line, fields={"phase": "retry"})
            log.warning("an export will be tried again", export=run.kept.number, why=words)

    def failed(self, run: Run, words: str, *, for_good: bool = False) -> None:
        """Trying again would fail again. One that repeats waits for its next occurrence, unless `for_good`."""
        self._note(run, self._now(), None, fields={"owed": 1})
        again = None if for_good else self._again(run, self._now())
        state = State.DEAD if again is None else State.SCHEDULED
        if self._finish(run, state, words, again):
            line = LogLine(self._now(), "error", words)
            self._ended(run, line, ("now", "cancel"), again, {"phase": "failed"})
            log.warning("an export failed", export=run.kept.number, project=run.project, why=words)

    def forgotten(self, claimed: Claimed, project: str, started: datetime) -> None:
        """The export was deleted, and left its record behind."""
        self._write_end(claimed, project, started, State.DEAD, "the export was deleted", None, None)

    def _again(self, run: Run, now: datetime) -> datetime | None:
        """The next occurrence of one that repeats; the one that was due counts as used."""
        order, kept = run.kept.order, run.kept
        if order.repeat is None:
            return None
        first = order.once or codec.from_ms(kept.created_ms)
        return order.repeat.after(first, max(now, codec.from_ms(kept.planned_ms)))

    def _ended(
        self,
        run: Run,
        line: LogLine,
        drop: tuple[str, ...],
        again: datetime | None,
        fields: dict[str, Field],
    ) -> None:
        if again is not None:
            fields["planned"] = codec.to_ms(again)
        self._note(run, line.at, line, drop, fields)
        with suppress(NotFound):  # it was deleted at this moment
            self._until_written(lambda: self._tell(run))
        self._note(run, line.at, None, drop=("owed",))

    def _tell(self, run: Run) -> None:
        export_files.tell(self.house, verbs.get(self.house, run.project, run.kept.number))

    def _note(
        self,
        run: Run,
        at: datetime,
        line: LogLine | None,
        drop: tuple[str, ...] = (),
        fields: dict[str, Field] | None = None,
    ) -> None:
        client, kept = self.house.client, run.kept
        self._until_written(
            lambda: exports.note(client, self.prefix, kept.id, at, line, drop=drop, fields=fields)
        )

    def _finish(
        self,
        run: Run,
        state: State,
        error: str | None,
        due: datetime | None = None,
        result: Result | None = None,
    ) -> bool:
        """Write the end of the attempt; False when it was not ours any more."""
        return self._write_end(run.claimed, run.project, run.started, state, error, due, result)

    def _write_end(
        self,
        claimed: Claimed,
        project: str,
        started: datetime,
        state: State,
        error: str | None,
        due: datetime | None,
        result: Result | None,
    ) -> bool:
        spent = max(1, int((self._now() - started) / timedelta(microseconds=1)))
        attempt = Attempt(
            claimed.attempt,
            Outcome.ANSWERED if error is None else Outcome.REFUSED,
            started,
            timing=Timing(total_us=spent),
            error=error,
            worker=self.worker,
            next_at=due,
        )
        finished = Finished(
            claimed.id,
            claimed.attempt,
            codec.STATE_CODES[state],
            0 if due is None else codec.to_ms(due),
            codec.encode_attempt(attempt),
        )
        counters = {project: {"exports_ended": 1, "exports_failed": int(error is not None)}}
        if result is not None:
            counters[project] |= {"export_rows": result.rows, "export_bytes": result.size_bytes}
        codes: list[int] = []

        def write() -> None:
            codes[:] = pumps.finish(self.house.client, self.prefix, self.pump, [finished], counters)

        self._until_written(write)
        return codes == [1]

    def _until_written(self, write: Callable[[], object]) -> None:
        end: float | None = None
        while True:
            try:
                write()
            except StoreError:
                if self.stop():
                    end = end or time.monotonic() + GIVE_UP_SECONDS
                    if time.monotonic() >= end:
                        raise
                time.sleep(STORE_RETRY_SECONDS)
            else:
                return

    def _now(self) -> datetime:
        found: list[float] = []
        self._until_written(lambda: found.append(pumps.clock(self.house.client, self.prefix)[0]))
        return codec.from_ms(found[-1])
