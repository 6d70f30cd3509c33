"""From a claimed task to a request on the wire, and from its end to what the store writes.

Both halves run for every call: what can be made once per project, host or policy is kept.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from timeball import logs
from timeball.dispatch.traces import Traces
from timeball.errors import TimeballError
from timeball.headers import fill_secrets, named_secrets, without_secrets
from timeball.ids import id_text
from timeball.model.attempt import Outcome
from timeball.model.retry import MERGENT_DEFAULT, MERGENT_SCHEDULED, NO_RETRY, Retry
from timeball.model.task import State
from timeball.signing import Signer
from timeball.store import codec, projects, secrets, via
from timeball.store.codec import Claimed
from timeball.store.projects import Vault
from timeball.store.pumps import Finished
from timeball.store.scripts import Client
from timeball.store.via import Via
from timeball.urls import host_of
from timeball.verdict import (
    Die,
    RetryAt,
    Succeed,
    hold_until,
    judge,
    parse_retry_after,
    tells_no_retry,
)
from workers.call import Called, Prepared
from workers.curl_words import last_header
from workers.hostbook import HostBook

SIGNERS_LIVE_SECONDS = 5.0
"""How soon a rotated secret is in use everywhere."""

_new = tuple.__new__  # a NamedTuple's own way in costs twice as much
_ATTEMPTS = tuple(b"Timeball-Attempt: %d" % n for n in range(64))

UNREAD = Via()
"""Stands for a project's way out that was never read: a call that is to go by a proxy must not go without."""

_SUCCEEDED = codec.STATE_CODES[State.SUCCEEDED]
_DEAD = codec.STATE_CODES[State.DEAD]
_SCHEDULED = codec.STATE_CODES[State.SCHEDULED]

log = logs.get(__name__)


class _Project(NamedTuple):
    until: float
    keys: projects.SigningKeys
    signers: dict[str | None, Signer]


class Signers:
    """The signers of projects, read from the store when they are first needed and then every few seconds."""

    def __init__(self, client: Client, vault: Vault) -> None:
        self._client, self._vault = client, vault
        self._projects: dict[str, _Project] = {}
        self._ways: dict[str, tuple[float, Via | None]] = {}
        self._secrets: dict[str, tuple[float, dict[str, str] | None]] = {}

    def signer(self, project: str, key_id: str | None) -> Signer:
        """The signer for a task of a project that was made with a key."""
        known = self._project(project)
        signer = known.signers.get(key_id)
        if signer is None:
            text = known.keys.texts.get(key_id or "", known.keys.default_text)
            signer = known.signers[key_id] = Signer(known.keys.secrets, text)
        return signer

    def retries(self, project: str) -> bool:
        """Whether the project's tasks are tried again where they say nothing themselves."""
        return self._project(project).keys.retries

    def via(self, project: str) -> Via | None:
        """How the project's calls go out: the same object for as long as nothing changed, or UNREAD."""
        now = time.monotonic()
        until, found = self._ways.get(project, (0.0, UNREAD))
        if now >= until:
            try:
                fresh = via.get(self._client, self._vault, project)
                found = found if fresh == found else fresh
                until = now + SIGNERS_LIVE_SECONDS
            except TimeballError as error:
                log.warning("the way out could not be read", project=project, error=str(error))
                until = now + 0.5
            self._ways[project] = until, found
        return found

    def secrets(self, project: str) -> Mapping[str, str] | None:
        """The project's secrets by name, a few seconds old at the most; None when they cannot be read."""
        now = time.monotonic()
        until, found = self._secrets.get(project, (0.0, None))
        if now >= until:
            try:
                found = secrets.values(self._client, self._vault, project)
                until = now + SIGNERS_LIVE_SECONDS
            except TimeballError as error:
                log.warning("secrets could not be read", project=project, error=str(error))
                until = now + 0.5
            self._secrets[project] = until, found
        return found

    def _project(self, project: str) -> _Project:
        now = time.monotonic()
        known = self._projects.get(project)
        if known is None or now >= known.until:
            try:
                keys = projects.signing_keys(self._client, self._vault, project)
                known = _Project(now + SIGNERS_LIVE_SECONDS, keys, {})
            except TimeballError as error:
                # A call without its signature would be refused; an old one is better than none.
                log.warning("signing keys could not be read", project=project, error=str(error))
                keys = known.keys if known else projects.SigningKeys((), {}, "", True)
                known = _Project(now + 0.5, keys, known.signers if known else {})
            self._projects[project] = known
        return known


class _Plan(NamedTuple):
    """What all calls of one spec share. `lines`: the caller's headers, then those that libcurl must not add."""

    url: str
    host: str
    method: str
    key_id: str | None
    lines: tuple[bytes, ...]
    timeout_ms: int | None
    secret: bool
    """Whether a line names a secret of the project."""
    traced: bool
    """Whether the caller's headers have a trace of their own."""


@lru_cache(maxsize=512)
def _plan(raw_spec: bytes) -> _Plan:
    spec = codec.read_spec(raw_spec)
    lines: list[bytes] = []
    if "sc" in spec:
        lines.append(b"Timeball-Schedule: " + spec["sc"].encode())
        occurrence = codec.from_ms(spec["oc"]).isoformat(timespec="milliseconds")
        lines.append(b"Timeball-Occurrence: " + occurrence.replace("+00:00", "Z").encode())
    typed = traced = False
    for name, value in spec.get("h", ()):
        lines.append(
            f"{name}: {value}".encode("latin-1") if value else f"{name};".encode("latin-1")
        )
        typed = typed or name.lower() == "content-type"
        traced = traced or name.lower() == "traceparent"
    if not typed:
        lines.append(b"Content-Type:")  # libcurl would say that the body is a form
    lines.append(b"Expect:")
    if "tp" in spec and not traced:
        lines.append(b"traceparent: " + spec["tp"].encode())
        if "ts" in spec and not any(name.lower() == "tracestate" for name, _ in spec.get("h", ())):
            lines.append(b"tracestate: " + spec["ts"].encode())
    url = spec["u"]
    secret = any(named_secrets(value) for _, value in spec.get("h", ()))
    return _Plan(
        url,
        host_of(url),
        spec.get("m", "POST"),
        spec.get("k"),
        tuple(lines),
        spec.get("t"),
        secret,
        traced,
    )


class Preparer:
    """Makes requests of claimed tasks."""

    def __init__(
        self, signers: Signers, default_timeout: timedelta, traces: Traces | None = None
    ) -> None:
        self._signers, self._traces = signers, traces
        self._timeout_ms = round(default_timeout.total_seconds() * 1000)
        self._now_ms, self._stamp = 0.0, 0
        self._known: dict[tuple[str, str | None], tuple[Signer, Via | None]] = {}

    def prepare(self, claimed: Claimed, started_ms: float, now_ms: float | None = None) -> Prepared:
        """The request of a task, signed. `started_ms` is the store's now, the same for a whole claim.

        With `now_ms` that is the store's now, and the call starts later.
        """
        if started_ms != self._now_ms:
            later = 0.0 if now_ms is None else (started_ms - now_ms) / 1000
            self._now_ms, self._stamp = started_ms, int(time.time() + later)
            self._known.clear()
        plan = _plan(claimed.raw_spec)
        who = (claimed.lane, plan.key_id)
        known = self._known.get(who)
        if known is None:
            project = claimed.lane.partition("/")[0]
            signer = self._signers.signer(project, plan.key_id)
            known = self._known[who] = signer, self._signers.via(project)
        signer, way = known
        task_id, attempt = id_text(claimed.id), claimed.attempt
        lines = signer.lines(task_id, self._stamp, claimed.body)
        lines.append(b"Timeball-Task: " + task_id.encode())
        lines.append(_ATTEMPTS[attempt] if attempt < 64 else b"Timeball-Attempt: %d" % attempt)
        # one line for libcurl, which need not know them: it goes through each line a dozen times
        lines = [b"\r\n".join(lines), *plan.lines]
        refused = self._fill(claimed, lines) if plan.secret else None
        trace = None
        if self._traces is not None and not plan.traced:
            trace = self._traces.begin(claimed, lines)
        if way is UNREAD:
            refused = Outcome.UNREACHABLE, "how the project's calls go out could not be read"
        return Prepared(
            claimed,
            started_ms,
            plan.url,
            plan.host,
            plan.method,
            lines,
            claimed.body,
            plan.timeout_ms or self._timeout_ms,
            way,
            refused,
            trace,
        )

    def _fill(self, claimed: Claimed, lines: list[bytes]) -> tuple[Outcome, str] | None:
        """Put secrets in place of their names, or say why the call cannot be made."""
        known = self._signers.secrets(claimed.lane.partition("/")[0])
        if known is None:
            return Outcome.UNREACHABLE, "the project's secrets could not be read"
        try:
            lines[:] = [
                fill_secrets(line.decode("latin-1"), known).encode("latin-1")
                if b"{{" in line
                else line
                for line in lines
            ]
        except KeyError as missing:
            return Outcome.BLOCKED, f"the project has no secret {missing.args[0]}"
        return None


class Recorder:
    """Turns ended calls into results for the store, and counts them for the charts."""

    def __init__(self, signers: Signers, worker: str) -> None:
        self._signers, self._worker = signers, worker
        self._tally: dict[tuple[str, int, int, int], int] = {}
        self._trouble: dict[tuple[str, str], int] = {}
        self.hosts = HostBook()

    def record(self, called: Called, ended_ms: float) -> Finished:
        """What follows the call, and its line in the log."""
        prepared, status, raw_headers = called.prepared, called.status, called.raw_headers
        times, body, error = called.times_us, called.body, called.error
        claimed, started_ms = prepared.claimed, prepared.started_ms
        if b"{{" in claimed.raw_spec:
            raw_headers, body = self._without_secrets(claimed, raw_headers, body)
        task_id, lane, attempt, _, due_ms, *_ = claimed
        entry: dict[str, Any] = {
            "n": attempt,
            "o": called.outcome,
            "at": int(started_ms),
            "t": times,
            "w": self._worker,
        }
        if status is not None:
            entry["s"] = status
        if raw_headers:
            entry["h"] = raw_headers[:2048].decode("latin-1").replace("\r\n", "\n").strip()
        if body:
            codec.encode_body(body, entry)
        if called.body_cut:
            entry["c"] = 1
        if error:
            entry["e"] = error
        state, next_ms = _SUCCEEDED, 0
        if status is None or not 200 <= status < 300:
            state, next_ms = self._follow(called, ended_ms, entry)
        elif self.hosts.watched:
            self.hosts.went_well(claimed)
        late_ms = int(started_ms - due_ms) if started_ms > due_ms else 0
        row = (lane, state, (times[4] // 1000).bit_length(), late_ms.bit_length())
        self._tally[row] = self._tally.get(row, 0) + 1
        return _new(Finished, (task_id, attempt, state, next_ms, orjson.dumps(entry)))

    def _without_secrets(self, claimed: Claimed, *texts: bytes) -> list[bytes]:
        """What came back from a call without the secrets that the call carried: some endpoints send back all."""
        known = self._signers.secrets(claimed.lane.partition("/")[0]) or {}
        names = {n for _, value in claimed.spec.get("h", ()) for n in named_secrets(value)}
        return [without_secrets(t, {n: known[n] for n in names if n in known}) for t in texts]

    def lost(self, prepared: Prepared, now_ms: float) -> Finished:
        """The result of a call that was cut when the worker had to stop: at once again, by another."""
        claimed = prepared.claimed
        entry = {
            "n": claimed.attempt,
            "o": Outcome.LOST,
            "at": int(prepared.started_ms),
            "w": self._worker,
            "e": "the worker stopped before the call ended",
            "x": int(now_ms),
        }
        self._count_trouble(claimed, Outcome.LOST, None)
        return Finished(claimed.id, claimed.attempt, _SCHEDULED, int(now_ms), orjson.dumps(entry))

    def _follow(self, called: Called, ended_ms: float, entry: dict[str, Any]) -> tuple[int, int]:
        claimed = called.prepared.claimed
        self._count_trouble(claimed, called.outcome, called.status)
        ended_at = codec.from_ms(ended_ms)
        retry_after = called.raw_headers and last_header(called.raw_headers, b"retry-after")
        no_retry = called.raw_headers and last_header(called.raw_headers, b"task-no-retry")
        asked = parse_retry_after(retry_after, ended_at) if retry_after else None
        quiet = hold_until(status=called.status, retry_after=asked, ended_at=ended_at)
        if called.outcome is Outcome.BLOCKED:
            pass  # by ourselves: that says nothing of the host
        elif called.status is None or called.status >= 500 or called.status in (408, 429):
            how = str(called.status or called.outcome.value)
            self.hosts.failed(claimed, how, codec.to_ms(quiet) if quiet else 0)
        elif self.hosts.watched:
            self.hosts.went_well(claimed)
        verdict = judge(
            outcome=called.outcome,
            status=called.status,
            attempt=claimed.attempt - claimed.base,
            policy=self._policy(claimed),
            ended_at=ended_at,
            first_due_at=codec.from_ms(claimed.spec.get("s", claimed.created_ms)),
            retry_after=asked,
            no_retry=tells_no_retry(no_retry) if no_retry else False,
            chance=random.random(),  # noqa: S311 (jitter, not a secret)
        )
        match verdict:
            case Succeed():
                return _SUCCEEDED, 0
            case RetryAt(at):
                due_ms = codec.to_ms(at)
                entry["x"] = due_ms
                return _SCHEDULED, due_ms
            case Die(reason):
                entry["e"] = f"{entry['e']} ({reason})" if "e" in entry else str(reason)
                return _DEAD, 0

    def _policy(self, claimed: Claimed) -> Retry:
        spec = claimed.spec
        if "r" in spec:
            return codec.decode_retry(spec["r"])
        if not self._signers.retries(claimed.lane.partition("/")[0]):
            return NO_RETRY
        return MERGENT_SCHEDULED if "sc" in spec else MERGENT_DEFAULT

    def _count_trouble(self, claimed: Claimed, outcome: Outcome, status: int | None) -> None:
        """Count how a call without success ended: `o:refused`, or `o:answered` and the status's hundreds."""
        name = (
            f"o:{outcome}{status // 100}"
            if outcome is Outcome.ANSWERED and status
            else f"o:{outcome}"
        )
        row = (claimed.lane, name)
        self._trouble[row] = self._trouble.get(row, 0) + 1

    @property
    def counters(self) -> dict[str, dict[str, int]]:
        """What was counted since the last `take_counters`, by project.

        Buckets go by powers of two of a millisecond: d3 counts calls of 4 to 8 ms, l3 such lateness.
        """
        found: dict[str, dict[str, int]] = {}
        for (lane, state, took, late), n in self._tally.items():
            fields = found.setdefault(lane.partition("/")[0], {})
            for name in (_NAMES[state], f"d{took}", f"l{late}"):
                fields[name] = fields.get(name, 0) + n
        for (lane, name), n in self._trouble.items():
            fields = found.setdefault(lane.partition("/")[0], {})
            fields[name] = fields.get(name, 0) + n
        return found

    def take_counters(self) -> dict[str, dict[str, int]]:
        """The counters, which begin anew."""
        counters = self.counters
        self._tally.clear()
        self._trouble.clear()
        return counters


_NAMES = {_SUCCEEDED: "succeeded", _SCHEDULED: "retried", _DEAD: "dead"}
