"""The export job: takes due exports one by one, writes each into a file, and says how it ended.

While a file is written a thread keeps the worker's lease alive and looks whether somebody asked to cancel. What
publishes the file is the finish in the store, which is fenced by the attempt: a worker that was given up for
dead deletes what it wrote.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from timeball import logs, queue
from timeball.dispatch import export_files, own, sources
from timeball.dispatch import exports as verbs
from timeball.dispatch.house import House
from timeball.errors import InputError, InvalidField, StoreError
from timeball.export.failures import ExportError, ExportStopped, ExportUnavailable
from timeball.export.formats import Format
from timeball.export.run import Plan, run_export
from timeball.export.sources import Source
from timeball.export.storage import PART
from timeball.ids import token
from timeball.model.attempt import Attempt, Outcome, Timing
from timeball.model.export import LogLine, Order, Result
from timeball.model.task import State
from timeball.store import codec, exports, keys, pumps
from timeball.store.codec import Claimed
from timeball.store.exports import Field, Kept
from timeball.store.pumps import Finished
from workers.pulse import Pulse

PROGRESS_SECONDS = 5.0
STORE_RETRY_SECONDS = 0.2
GIVE_UP_SECONDS = 5.0
"""So long a worker that must stop tries to reach a store that is away."""
RETRY_WAITS = tuple(timedelta(seconds=s) for s in (5, 30, 120, 600))
"""The waits after attempts that failed for a while; past the end the export has failed."""

log = logs.get(__name__)


class Exporter:
    """One run of the export job on one shard. Call `run` once."""

    def __init__(self, house: House, shard: int, worker: str, stop: Callable[[], bool]) -> None:
        self.house, self.shard, self.worker, self.stop = house, shard, worker, stop
        self.prefix = keys.prefix(shard)
        self.name = f"{worker}#{token(6)}"
        self.root = export_files.spool(house.settings)
        self.store = export_files.open_store(house.settings)
        self.progress_due = 0.0

    def run(self) -> int:
        """Write exports until none is due or the worker stops. Answers how many there were."""
        done = 0
        while not self.stop():
            claim = pumps.claim(self.house.client, self.prefix, self.name, 1, 1, 1, keys.EXPORT)
            if not claim.tasks:
                break
            for claimed in claim.tasks:
                with Pulse(self.house, self.shard, self.name, claimed.id) as pulse:
                    self._one(claimed, codec.from_ms(claim.now_ms), pulse)
                done += 1
        due_ms = pumps.release(
            self.house.client, self.prefix, self.name, self.house.horizon_ms, keys.EXPORT
        )
        if due_ms is not None:
            now_ms, _ = pumps.clock(self.house.client, self.prefix)
            delay = max(0.0, (due_ms - now_ms) / 1000)
            queue.send_bell(self.house.celery, keys.EXPORT, self.shard, delay)
        return done

    def _one(self, claimed: Claimed, started: datetime, pulse: Pulse) -> None:
        project = keys.split_lane(claimed.lane)[0]
        number = exports.number_of(self.house.client, self.prefix, project, claimed.id)
        kept = None
        if number is not None:
            found = exports.read(self.house.client, self.prefix, [(claimed.id, number)], 0)
            kept = found[0] if found else None
        if kept is None:
            self._finish(claimed, project, State.DEAD, started, "the export was deleted")
            return
        begun = time.monotonic()
        try:
            result = self._write(claimed, project, kept, started, pulse)
        except ExportStopped:
            self._stopped(claimed, project, kept, started, pulse)
        except (ExportUnavailable, StoreError) as error:
            self._failed_for_now(claimed, project, kept, started, str(error))
        except InvalidField as error:
            self._failed(claimed, project, kept, started, f"{error.field} {error.message}")
        except (ExportError, InputError) as error:
            self._failed(claimed, project, kept, started, str(error))
        except Exception as error:
            log.error("an export broke", export=kept.number, project=project, exc_info=error)
            self._failed(claimed, project, kept, started, "an internal error: see the worker's log")
        else:
            self._done(claimed, project, kept, started, result, time.monotonic() - begun)

    def _write(
        self, claimed: Claimed, project: str, kept: Kept, started: datetime, pulse: Pulse
    ) -> Result:
        run, now_ms = exports.begin_run(
            self.house.client, self.prefix, kept.id, codec.to_ms(started)
        )
        order, home = kept.order, self.root / str(kept.order.chain) / str(kept.number)
        for part in home.glob(f"*/{PART}*"):  # of workers that died with it: the lease is ours now
            part.unlink(missing_ok=True)
        pulse.folder = home / str(run)
        words = "begun" if claimed.attempt - claimed.base == 1 else "begun again"
        self._say(kept, words, phase="", last_run=codec.to_ms(started), attempt=claimed.attempt)
        log.info("an export begins", export=kept.number, project=project, attempt=claimed.attempt)
        spare: Path | None = None
        try:
            if order.index in own.COLUMNS:
                self.root.mkdir(parents=True, exist_ok=True)
                spare = pulse.spare = self.root / f"{PART}{uuid.uuid4().hex}.db"
                own.fill(self.house, project, order.index, spare, lambda: self._must_stop(pulse))
                source = own.source(order.chain, order.index, spare)
            else:
                source = sources.get(self.house, project, order.index)
            plan = Plan(
                task=str(kept.number),
                attempt=run,
                format=Format(order.format),
                segment=self._segment(project, kept),
                gzip=bool(order.target.get("gzip")),
                csv_safe=bool(order.target.get("csv_safe")),
            )
            return self._run(plan, source, codec.from_ms(now_ms), kept, pulse)
        finally:
            if spare is not None:
                spare.unlink(missing_ok=True)

    def _run(self, plan: Plan, source: Source, now: datetime, kept: Kept, pulse: Pulse) -> Result:
        begun = time.monotonic()
        self.progress_due = begun + PROGRESS_SECONDS

        def progress(rows: int, size_bytes: int) -> None:
            at = time.monotonic()
            if at >= self.progress_due:
                self.progress_due = at + PROGRESS_SECONDS
                speed = int(rows / (at - begun))
                with suppress(StoreError):
                    self._say(kept, "writing", rows=rows, bytes=size_bytes, rows_per_second=speed)

        made = run_export(plan, source, now, self.root, progress, lambda: self._must_stop(pulse))
        self.store.publish(made.path, made.key)
        at = codec.from_ms(pumps.clock(self.house.client, self.prefix)[0])
        return Result(made.key, made.rows, made.size_bytes, made.sha256, at)

    def _must_stop(self, pulse: Pulse) -> bool:
        return pulse.lost or pulse.cancelled or self.stop()

    def _segment(self, project: str, kept: Kept) -> str | None:
        trigger = kept.order.trigger
        if trigger.get("segment_id"):
            saved = sources.segment(self.house, project, str(trigger["segment_id"]))
            self._say(kept, f"segment {saved.id} in its version {saved.version}")
            return saved.segment
        inline = trigger.get("segment")
        return None if inline is None else orjson.dumps(inline).decode()

    def _say(self, kept: Kept, message: str, phase: str | None = None, **facts: int) -> None:
        at = codec.from_ms(pumps.clock(self.house.client, self.prefix)[0])
        fields: dict[str, Field] = {}
        if phase is not None:
            fields = {"phase": phase, "last_run": facts.pop("last_run")}
        line = LogLine(at, "info", message, facts)
        exports.note(self.house.client, self.prefix, kept.id, at, line, fields=fields)

    # -- how it ended -----------------------------------------------------------------------------

    def _done(
        self,
        claimed: Claimed,
        project: str,
        kept: Kept,
        started: datetime,
        result: Result,
        seconds: float,
    ) -> None:
        raw = exports.encode_result(result)
        pending = f"r:{claimed.attempt}"
        fields: dict[str, Field] = {pending: raw, "owed": 1}
        self._until_written(
            lambda: exports.note(self.house.client, self.prefix, kept.id, result.at, fields=fields)
        )
        again = self._again(kept.order, kept, result.at)
        state = State.SUCCEEDED if again is None else State.SCHEDULED
        if self._finish(claimed, project, state, started, None, again, result):
            speed = int(result.rows / max(seconds, 0.001))
            line = LogLine(
                result.at,
                "info",
                "done",
                {
                    "rows": result.rows,
                    "bytes": result.size_bytes,
                    "rows_per_second": speed,
                    "sha256": result.sha256,
                },
            )
            drop = ("now", "cancel", "expired", pending)
            self._ended(kept, project, line, drop, phase="done", again=again, result=raw)
            log.info(
                "an export is done",
                export=kept.number,
                project=project,
                rows=result.rows,
                bytes=result.size_bytes,
                rows_per_second=speed,
            )
        else:
            self._withdraw(kept, result, pending)

    def _withdraw(self, kept: Kept, result: Result, pending: str) -> None:
        with suppress(ExportError, StoreError, OSError):
            self.store.delete(result.key)
            exports.note(self.house.client, self.prefix, kept.id, result.at, drop=(pending,))
        log.warning("an export came too late and was withdrawn", export=kept.number)

    def _stopped(
        self, claimed: Claimed, project: str, kept: Kept, started: datetime, pulse: Pulse
    ) -> None:
        if pulse.lost:
            log.warning("an export was given to another worker", export=kept.number)
        elif pulse.cancelled:
            self._failed(claimed, project, kept, started, "cancelled while it ran", final=True)
        else:
            words = "the worker was asked to stop: it will begin again"
            self._retry(claimed, project, kept, started, words, timedelta(0))

    def _failed_for_now(
        self, claimed: Claimed, project: str, kept: Kept, started: datetime, words: str
    ) -> None:
        tries = claimed.attempt - claimed.base
        if tries > len(RETRY_WAITS):
            self._failed(claimed, project, kept, started, f"{words}; tried {tries} times")
        else:
            wait = RETRY_WAITS[tries - 1]
            self._retry(claimed, project, kept, started, words, wait)

    def _retry(
        self,
        claimed: Claimed,
        project: str,
        kept: Kept,
        started: datetime,
        words: str,
        wait: timedelta,
    ) -> None:
        due = self._now() + wait
        if self._finish(claimed, project, State.SCHEDULED, started, words, due):
            line = LogLine(self._now(), "warning", words, {"next_in": wait.total_seconds()})
            exports.note(
                self.house.client, self.prefix, kept.id, line.at, line, fields={"phase": "retry"}
            )
            log.warning("an export will be tried again", export=kept.number, why=words)

    def _failed(
        self,
        claimed: Claimed,
        project: str,
        kept: Kept,
        started: datetime,
        words: str,
        *,
        final: bool = False,
    ) -> None:
        again = None if final else self._again(kept.order, kept, self._now())
        state = State.DEAD if again is None else State.SCHEDULED
        if self._finish(claimed, project, state, started, words, again):
            line = LogLine(self._now(), "error", words)
            self._ended(kept, project, line, ("now", "cancel"), phase="failed", again=again)
            log.warning("an export failed", export=kept.number, project=project, why=words)

    def _again(self, order: Order, kept: Kept, now: datetime) -> datetime | None:
        """The next occurrence of one that repeats; the one that was due counts as used."""
        if order.repeat is None:
            return None
        first = order.once or codec.from_ms(kept.created_ms)
        return order.repeat.after(first, max(now, codec.from_ms(kept.planned_ms)))

    def _ended(
        self,
        kept: Kept,
        project: str,
        line: LogLine,
        drop: tuple[str, ...],
        again: datetime | None,
        **fields: Field,
    ) -> None:
        if again is not None:
            fields["planned"] = codec.to_ms(again)
        exports.note(
            self.house.client, self.prefix, kept.id, line.at, line, drop=drop, fields=fields
        )
        export_files.tell(self.house, verbs.get(self.house, project, kept.number))
        exports.note(self.house.client, self.prefix, kept.id, line.at, drop=("owed",))

    def _finish(
        self,
        claimed: Claimed,
        project: str,
        state: State,
        started: datetime,
        error: str | None,
        due: datetime | None = None,
        result: Result | None = None,
    ) -> bool:
        """Write the end of the attempt; False when it was not ours any more."""
        spent = max(1, int((self._now() - started) / timedelta(microseconds=1)))
        outcome = Outcome.ANSWERED if error is None else Outcome.REFUSED
        attempt = Attempt(
            claimed.attempt,
            outcome,
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
            counters[project] |= {
                "export_rows": result.rows,
                "export_bytes": result.size_bytes,
            }
        codes: list[int] = []

        def write() -> None:
            codes[:] = pumps.finish(
                self.house.client, self.prefix, self.name, [finished], counters, kind=keys.EXPORT
            )

        self._until_written(write)
        return codes == [1]

    def _until_written(self, write: Callable[[], object]) -> None:
        """Write, however long the store is away; a worker that must stop leaves the rest to the rescue."""
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
