"""What machines that watch are told, in Prometheus's text format (version 0.0.4).

Everything is read from the store when it is asked for, so any number of API processes tells the same. An answer is
kept for a second, or for two hundred times the processor time that it took, for the store's part may be as large
again: asked however often, it costs under 1 % of a core.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import timeball
from timeball.dispatch.house import House
from timeball.errors import StoreError
from timeball.model.attempt import Outcome
from timeball.store import gauges, keys, roll
from timeball.store.gauges import Gauge

MOST_PROJECTS = 100
"""So many projects, the oldest, are told by name; all others are one, `OTHERS`: series are bounded."""
OTHERS = "(others)"
LEAST_SECONDS = 1.0
SHARE = 200.0
"""An answer is kept so many times as long as the processor worked for it here."""
BUCKETS = 20
"""Buckets of a histogram: a millisecond, doubled 20 times, is 17 minutes."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A name, its type, what it says, and its labels."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...] = ()


METRICS = (
    Metric("timeball_info", "gauge", "1, with the version.", ("version",)),
    Metric("timeball_store_up", "gauge", "1 when the store answers; if not, nothing else is told."),
    Metric("timeball_projects", "gauge", "Projects."),
    Metric("timeball_tasks_waiting", "gauge", "Tasks that wait, due or not.", ("project",)),
    Metric("timeball_tasks_due", "gauge", "Waiting tasks that are due now.", ("project",)),
    Metric(
        "timeball_oldest_due_age_seconds",
        "gauge",
        "How long the oldest due task has been due; 0 when none is.",
        ("project",),
    ),
    Metric("timeball_tasks_running", "gauge", "Calls in flight, and exports.", ("project",)),
    Metric(
        "timeball_tasks_kept",
        "gauge",
        "Ended tasks that are kept, by state.",
        ("project", "state"),
    ),
    Metric("timeball_schedules", "gauge", "Schedules.", ("project",)),
    Metric("timeball_lanes_left_out", "gauge", "Lanes that waiting and due leave out."),
    Metric("timeball_submitted_total", "counter", "Tasks taken in.", ("project",)),
    Metric("timeball_succeeded_total", "counter", "Tasks that succeeded.", ("project",)),
    Metric("timeball_retried_total", "counter", "Attempts after which a retry.", ("project",)),
    Metric("timeball_dead_total", "counter", "Tasks that died.", ("project",)),
    Metric(
        "timeball_attempts_total",
        "counter",
        "Attempts by how they ended; `answered` by the hundreds of the status.",
        ("project", "outcome"),
    ),
    Metric(
        "timeball_call_duration_seconds",
        "histogram",
        "How long calls took. The sum is an estimate from the buckets.",
    ),
    Metric(
        "timeball_lateness_seconds",
        "histogram",
        "How long after its due instant a call began. The sum is an estimate from the buckets.",
    ),
    Metric(
        "timeball_missed_total",
        "counter",
        "Times that occurrences of a schedule were missed.",
        ("project",),
    ),
    Metric(
        "timeball_skipped_total",
        "counter",
        "Occurrences of schedules left out because the task before was not over.",
        ("project",),
    ),
    Metric("timeball_exports_ended_total", "counter", "Runs of exports that ended.", ("project",)),
    Metric("timeball_exports_failed_total", "counter", "Those that failed.", ("project",)),
    Metric("timeball_export_rows_total", "counter", "Rows that exports wrote.", ("project",)),
    Metric("timeball_export_bytes_total", "counter", "Bytes of finished exports.", ("project",)),
    Metric("timeball_pumps", "gauge", "Pumps and exporters that are awake.", ("kind",)),
    Metric("timeball_processes", "gauge", "Processes that signed the roll lately.", ("role",)),
    Metric(
        "timeball_heartbeat_age_seconds",
        "gauge",
        "How long ago the freshest process of a role signed the roll.",
        ("role",),
    ),
    Metric("timeball_beats_leading", "gauge", "Beats that lead: 1 when all is well."),
    Metric("timeball_redis_memory_used_bytes", "gauge", "What the store uses of its memory."),
    Metric("timeball_redis_memory_max_bytes", "gauge", "What it may use; 0 is no limit."),
    Metric("timeball_redis_clients", "gauge", "Connections to the store."),
    Metric("timeball_redis_commands_total", "counter", "Commands that the store carried out."),
    Metric("timeball_redis_evicted_keys_total", "counter", "Keys lost to a full store: must be 0."),
    Metric("timeball_redis_aof_enabled", "gauge", "1 when the store keeps an append-only file."),
    Metric("timeball_redis_aof_ok", "gauge", "1 when its last write to that file went well."),
    Metric("timeball_redis_uptime_seconds", "gauge", "How long the store has run."),
    Metric("timeball_scrape_seconds", "gauge", "How long it took to read all this."),
)

_REDIS = {
    "timeball_redis_memory_used_bytes": "used_memory",
    "timeball_redis_memory_max_bytes": "maxmemory",
    "timeball_redis_clients": "connected_clients",
    "timeball_redis_commands_total": "total_commands_processed",
    "timeball_redis_evicted_keys_total": "evicted_keys",
    "timeball_redis_aof_enabled": "aof_enabled",
    "timeball_redis_uptime_seconds": "uptime_in_seconds",
}
_COUNTED = {
    "timeball_submitted_total": "submitted",
    "timeball_succeeded_total": "succeeded",
    "timeball_retried_total": "retried",
    "timeball_dead_total": "dead",
    "timeball_missed_total": "missed",
    "timeball_skipped_total": "skipped",
    "timeball_exports_ended_total": "exports_ended",
    "timeball_exports_failed_total": "exports_failed",
    "timeball_export_rows_total": "export_rows",
    "timeball_export_bytes_total": "export_bytes",
}
_OUTCOMES = {
    "answered_2xx": "succeeded",
    **{f"answered_{n}xx": f"o:{Outcome.ANSWERED}{n}" for n in (1, 3, 4, 5)},
    **{str(o): f"o:{o}" for o in Outcome if o is not Outcome.ANSWERED},
}

Samples = dict[str, list[tuple[str, float]]]
"""By a metric's name: labels as text (or, of a histogram, its suffix and labels), and the value."""


@dataclass
class Board:
    """The metrics of one process, made anew when they are older than they may be."""

    house: Callable[[], House]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _text: bytes = b""
    _until: float = 0.0

    def text(self) -> bytes:
        """What is told now. A store that is away is told as such."""
        with self._lock:
            began, worked = time.monotonic(), time.thread_time()
            if began >= self._until:
                self._text = render(gather(self.house()))
                worked = time.thread_time() - worked
                self._until = began + max(LEAST_SECONDS, worked * SHARE)
            return self._text


def gather(house: House) -> Samples:
    """Every sample of now."""
    began = time.perf_counter()
    samples: Samples = {"timeball_info": [(_labels(version=timeball.__version__), 1)]}
    try:
        _of_projects(house, samples)
        _of_processes(house, samples)
        _of_redis(house, samples)
    except StoreError:
        return {"timeball_info": samples["timeball_info"], "timeball_store_up": [("", 0)]}
    samples["timeball_store_up"] = [("", 1)]
    samples["timeball_scrape_seconds"] = [("", time.perf_counter() - began)]
    return samples


def _of_projects(house: House, samples: Samples) -> None:
    names = gauges.project_names(house.client)
    samples["timeball_projects"] = [("", len(names))]
    shown = dict(list(names.items())[:MOST_PROJECTS])
    stands: dict[str, Counter[str]] = {}
    counted: dict[str, Counter[str]] = {}
    left_out = pumps = exporters = 0
    for shard in range(house.settings.shards):
        prefix = keys.prefix(shard)
        here = [project for project in names if house.shard(project) == shard]
        told = gauges.gauges(house.client, prefix, here)
        left_out += told.lanes_left_out
        pumps += told.pumps
        exporters += told.exporters
        for project, gauge in zip(here, told.projects, strict=True):
            label = shown.get(project, OTHERS)
            _join(stands.setdefault(label, Counter()), gauge, told.now_ms)
        for project, sums in zip(here, gauges.tally(house.client, prefix, here), strict=True):
            counted.setdefault(shown.get(project, OTHERS), Counter()).update(sums)
    samples["timeball_lanes_left_out"] = [("", left_out)]
    samples["timeball_pumps"] = [(_labels(kind="call"), pumps), (_labels(kind="export"), exporters)]
    _stand(stands, samples)
    _count(counted, samples)


def _join(stand: Counter[str], gauge: Gauge, now_ms: int) -> None:
    for name in ("waiting", "due", "in_flight", "succeeded", "dead", "cancelled", "schedules"):
        stand[name] += getattr(gauge, name)
    age_ms = now_ms - gauge.oldest_due_ms if gauge.oldest_due_ms else 0
    stand["oldest_ms"] = max(stand["oldest_ms"], age_ms)


def _stand(stands: dict[str, Counter[str]], samples: Samples) -> None:
    for label, stand in stands.items():
        who = _labels(project=label)
        for name, key in (
            ("timeball_tasks_waiting", "waiting"),
            ("timeball_tasks_due", "due"),
            ("timeball_tasks_running", "in_flight"),
            ("timeball_schedules", "schedules"),
        ):
            samples.setdefault(name, []).append((who, stand[key]))
        oldest = samples.setdefault("timeball_oldest_due_age_seconds", [])
        oldest.append((who, stand["oldest_ms"] / 1000))
        kept = samples.setdefault("timeball_tasks_kept", [])
        kept += (
            (_labels(project=label, state=state), stand[state])
            for state in ("succeeded", "dead", "cancelled")
        )


def _count(counted: dict[str, Counter[str]], samples: Samples) -> None:
    every: Counter[str] = Counter()
    for label, sums in counted.items():
        every.update(sums)
        for name, key in _COUNTED.items():
            samples.setdefault(name, []).append((_labels(project=label), sums[key]))
        samples.setdefault("timeball_attempts_total", []).extend(
            (_labels(project=label, outcome=outcome), sums[key])
            for outcome, key in _OUTCOMES.items()
        )
    samples["timeball_call_duration_seconds"] = list(_histogram(every, "d"))
    samples["timeball_lateness_seconds"] = list(_histogram(every, "l"))


def _histogram(sums: Counter[str], letter: str) -> Iterator[tuple[str, float]]:
    """Of counts whose names tell how many binary digits the milliseconds have."""
    found = {int(n[1:]): c for n, c in sums.items() if re.fullmatch(letter + "[0-9]+", n)}
    total = sum(found.values())
    below = 0
    for digits in range(BUCKETS):
        below += found.get(digits, 0)
        yield f"_bucket{_labels(le=repr(2**digits / 1000))}", below
    yield f"_bucket{_labels(le='+Inf')}", total
    # the middle of a bucket stands for all in it
    yield "_sum", sum(0.00075 * 2**digits * n for digits, n in found.items())
    yield "_count", total


def _of_processes(house: House, samples: Samples) -> None:
    entries = roll.roll(house.client)
    roles = sorted({entry.role for entry in entries})
    ages = {role: min(e.age_seconds for e in entries if e.role == role) for role in roles}
    fresh = Counter(e.role for e in entries if e.age_seconds < 10)
    samples["timeball_processes"] = [
        (_labels(role=role), fresh[role]) for role in sorted({"worker", "exporter", "beat", *roles})
    ]
    samples["timeball_heartbeat_age_seconds"] = [
        (_labels(role=role), age) for role, age in ages.items()
    ]
    leading = [e for e in entries if e.role == "beat" and e.facts.get("leads")]
    samples["timeball_beats_leading"] = [("", sum(e.age_seconds < 10 for e in leading))]


def _of_redis(house: House, samples: Samples) -> None:
    facts = gauges.server_facts(house.client)
    for name, key in _REDIS.items():
        samples[name] = [("", float(facts.get(key, 0)))]
    ok = facts.get("aof_last_write_status", "ok") == "ok"
    samples["timeball_redis_aof_ok"] = [("", float(ok))]


@lru_cache(maxsize=4096)
def _labels(**values: str) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in values.items())
    return "{" + ",".join(pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def render(samples: Samples) -> bytes:
    """The text of samples; every metric there may be has its place in `METRICS`."""
    return "".join(_lines(samples)).encode()


def _lines(samples: Samples) -> Iterable[str]:
    for metric in METRICS:
        if metric.name not in samples:
            continue
        yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.type}\n"
        for labels, value in samples[metric.name]:
            whole = type(value) is float and value.is_integer()
            yield f"{metric.name}{labels} {int(value) if whole else value}\n"
