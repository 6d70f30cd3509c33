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
from datetime import datetime
from functools import partial
from pathlib import Path

import orjson

from timeball import logs, queue
from timeball.dispatch import export_files, own, sources
from timeball.dispatch.house import House
from timeball.errors import InputError, InvalidField, StoreError
from timeball.export.failures import ExportError, ExportStopped, ExportUnavailable
from timeball.export.formats import Format
from timeball.export.run import Plan, run_export
from timeball.export.sources import Source
from timeball.export.storage import PART
from timeball.ids import token
from timeball.model.export import LogLine, Result
from timeball.store import codec, exports, keys, pumps
from timeball.store.codec import Claimed
from timeball.store.exports import Field, Kept
from workers.ending import Ending, Run
from workers.pulse import Pulse

PROGRESS_SECONDS = 5.0

log = logs.get(__name__)


class Exporter:
    """One run of the export job on one shard. Call `run` once."""

    def __init__(self, house: House, shard: int, worker: str, stop: Callable[[], bool]) -> None:
        self.house, self.shard, self.worker, self.stop = house, shard, worker, stop
        self.prefix = keys.prefix(shard)
        self.name = f"{worker}#{token(6)}"
        self.root = export_files.spool(house.settings)
        self.store = export_files.open_store(house.settings)
        self.ending = Ending(house, self.prefix, self.name, worker, self.store, stop)
        self.progress_due = 0.0

    def run(self) -> int:
        """Write exports until none is due or the worker stops. Answers how many there were."""
        done = 0
        while not self.stop():
            claim = pumps.claim(
                self.house.client, self.prefix, self.name, 1, 1, 1, kind=keys.EXPORT
            )
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
        found: list[Kept] = []
        if number is not None:
            found = exports.read(self.house.client, self.prefix, [(claimed.id, number)], 0)
        if not found:
            self.ending.forgotten(claimed, project, started)
            return
        run, begun, ending = Run(claimed, project, found[0], started), time.monotonic(), self.ending
        try:
            result = self._write(run, pulse)
        except ExportStopped:
            if pulse.lost:
                log.warning("an export was given to another worker", export=number)
            elif pulse.cancelled:
                ending.failed(run, "cancelled while it ran", for_good=True)
            else:
                ending.stopped(run)
        except (ExportUnavailable, StoreError) as error:
            ending.failed_for_now(run, str(error))
        except InvalidField as error:
            ending.failed(run, f"{error.field} {error.message}")
        except (ExportError, InputError) as error:
            ending.failed(run, str(error))
        except Exception as error:
            log.error("an export broke", export=number, project=project, exc_info=error)
            ending.failed(run, "an internal error: see the worker's log")
        else:
            ending.done(run, result, time.monotonic() - begun)

    def _write(self, run: Run, pulse: Pulse) -> Result:
        claimed, project, kept = run.claimed, run.project, run.kept
        started_ms = codec.to_ms(run.started)
        number, now_ms = exports.begin_run(self.house.client, self.prefix, kept.id, started_ms)
        order, home = kept.order, self.root / str(kept.order.chain) / str(kept.number)
        for part in home.glob(f"*/{PART}*"):  # of workers that died with it: the lease is ours now
            part.unlink(missing_ok=True)
        words = "begun" if claimed.attempt - claimed.base == 1 else "begun again"
        self._say(kept, words, phase="", last_run=started_ms, attempt=claimed.attempt)
        log.info("an export begins", export=kept.number, project=project, attempt=claimed.attempt)
        spare: Path | None = None
        try:
            if order.index in own.COLUMNS:
                spare = home / str(number) / f"{PART}{uuid.uuid4().hex}.db"
                spare.parent.mkdir(parents=True, exist_ok=True)
                own.fill(self.house, project, order.index, spare, lambda: self._must_stop(pulse))
                source = own.source(order.chain, order.index, spare)
            else:
                source = sources.get(self.house, project, order.index)
            plan = Plan(
                task=str(kept.number),
                attempt=number,
                format=Format(order.format),
                segment=self._segment(project, kept),
                gzip=bool(order.target.get("gzip")),
                csv_safe=bool(order.target.get("csv_safe")),
                max_bytes=self.house.settings.exports_max_bytes or None,
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

        policy = sources.policy(self.house.settings)
        stop = partial(self._must_stop, pulse)
        made = run_export(plan, source, now, self.root, progress, stop, policy)
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
