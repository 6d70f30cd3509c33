"""Settings: one frozen object, read once from `TIMEBALL_*`, checked before anything starts.

Every variable may be given as `TIMEBALL_X_FILE` too: the path of a file that holds the value. An unknown
`TIMEBALL_*` name is a fault, so that a misspelt setting is never silently ignored.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from timeball import kinds
from timeball.errors import ConfigError

PREFIX = "TIMEBALL_"
CLIENT = frozenset({"TIMEBALL_URL", "TIMEBALL_KEY"})
"""No settings: they tell commands that speak to the API where it is, and with which key."""

SECRETS = frozenset({"SECRET", "ADMIN_PASSWORD", "METRICS_TOKEN", "ALERT_URLS"})
"""Settings whose values are never shown."""


def _setting(parse: Callable[[str], Any], default: Any, why: str) -> Any:
    return field(default=default, metadata={"parse": parse, "why": why})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. The name of the variable is `TIMEBALL_` and the field's name in capitals."""

    redis_url: str = _setting(
        kinds.redis_url,
        "redis://127.0.0.1:6379/0",
        "Where tasks are kept: redis://, rediss:// or unix://.",
    )
    broker_url: str | None = _setting(
        kinds.broker_url, None, "Where Celery's messages go; the store's Redis when unset."
    )
    secret: str | None = _setting(
        kinds.secret,
        None,
        "The master secret: encrypts signing secrets at rest, signs cursors and links. "
        "At least 32 characters; losing it loses the signing secrets.",
    )
    admin_password: str | None = _setting(
        kinds.password,
        None,
        "With it `admin` may sign in to the dashboard; without it, those with a link and members may. "
        "At least 12 characters.",
    )
    shards: int = _setting(
        kinds.whole(1, 64), 1, "Into how many shards projects are spread; fixed at install."
    )
    dev: bool = _setting(kinds.flag, False, "Development mode: allows the virtual clock.")
    allow_unsafe_redis: bool = _setting(
        kinds.flag, False, "Start even when Redis may evict keys or keeps no append-only file."
    )
    allowed_targets: tuple[str, ...] = _setting(
        kinds.several,
        (),
        "Private addresses that calls may reach: hosts or CIDRs with optional port, comma-separated. "
        "Public addresses need no entry.",
    )
    denied_targets: tuple[str, ...] = _setting(
        kinds.several,
        (),
        "Hosts or CIDRs with optional port that calls may never reach; wins over allowed ones.",
    )
    own_ports: tuple[int, ...] = _setting(
        kinds.ports,
        (),
        "Ports of our own API, Redis and Flower: on this machine, calls may never reach them.",
    )
    own_addresses: tuple[str, ...] = _setting(
        kinds.several,
        (),
        "Further addresses of this machine, where own_ports are closed as well; loopback is always one.",
    )
    ca_file: str | None = _setting(
        kinds.text,
        None,
        "A PEM file of certificate authorities that calls trust beside the system's.",
    )
    pump_calls: int = _setting(
        kinds.whole(1, 5000),
        200,
        "Calls that one queue may have in flight in one pump, and as many again of those that hang.",
    )
    pump_calls_total: int = _setting(
        kinds.whole(1, 20000), 1000, "Calls that one pump may have in flight over all lanes."
    )
    pump_slice: timedelta = _setting(
        kinds.seconds(0.1, 3600),
        timedelta(seconds=30),
        "How long one pump job runs before it hands over.",
    )
    stop_grace: timedelta = _setting(
        kinds.seconds(0, 900),
        timedelta(seconds=6),
        "How long a stopping worker lets calls in flight finish.",
    )
    bell_horizon: timedelta = _setting(
        kinds.seconds(1, 3600),
        timedelta(seconds=60),
        "The furthest future for which a Celery message is sent.",
    )
    max_lost: int = _setting(
        kinds.whole(1, 100),
        5,
        "How many times in a row a task may be lost with its worker before it dies.",
    )
    call_timeout: timedelta = _setting(
        kinds.seconds(0.1, 900),
        timedelta(seconds=30),
        "Total time of a call when the task names none.",
    )
    connect_timeout: timedelta = _setting(
        kinds.seconds(0.1, 60), timedelta(seconds=5), "Time to connect, within the total."
    )
    response_keep_bytes: int = _setting(
        kinds.whole(0, 65536), 4096, "How much of a response body the attempt log keeps."
    )
    response_read_bytes: int = _setting(
        kinds.whole(1024, 64 * 1024 * 1024),
        1024 * 1024,
        "How much of a response is read before it is cut.",
    )
    body_limit_bytes: int = _setting(
        kinds.whole(1024, 64 * 1024 * 1024), 1024 * 1024, "The largest body of a task."
    )
    hidden_headers: tuple[str, ...] = _setting(
        kinds.several,
        (),
        "Further headers whose values are shown as a digest; Authorization, Cookie, X-Api-Key and what ends in "
        "-token, -secret or -key always are.",
    )
    key_requests_per_minute: int = _setting(
        kinds.whole(0, 1_000_000_000),
        0,
        "Requests that one API key may make in a minute, over all API processes; 0 is no limit.",
    )
    quota_waiting_tasks: int = _setting(
        kinds.whole(0, 1_000_000_000),
        0,
        "Waiting tasks that one project may have before the API refuses more; 0 is no limit.",
    )
    quota_schedules: int = _setting(
        kinds.whole(0, 1_000_000_000), 0, "Schedules that one project may have; 0 is no limit."
    )
    retention_succeeded: timedelta = _setting(
        kinds.days(0.001, 3650), timedelta(days=3), "Days to keep succeeded and cancelled tasks."
    )
    retention_failed: timedelta = _setting(
        kinds.days(0.001, 3650), timedelta(days=31), "Days to keep dead tasks."
    )
    retention_count: int = _setting(
        kinds.whole(1000, 1_000_000_000),
        5_000_000,
        "The most finished tasks kept per project and state.",
    )
    exports_dir: str = _setting(
        kinds.text,
        ".timeball/exports",
        "Where exports are written, and kept unless there is a bucket; the API, the exporters and beat share it.",
    )
    exports_bucket: str | None = _setting(
        kinds.text, None, "A bucket of S3, or of what speaks its protocol, for finished exports."
    )
    exports_bucket_prefix: str = _setting(
        kinds.text, "", "What every key in the bucket begins with."
    )
    exports_endpoint: str | None = _setting(
        kinds.text, None, "The bucket's address where it is not Amazon's."
    )
    exports_region: str | None = _setting(kinds.text, None, "The bucket's region.")
    exports_max_bytes: int = _setting(
        kinds.whole(0, 10**15), 0, "The largest file that an export may write; 0 is no limit."
    )
    retention_exports: timedelta = _setting(
        kinds.days(0.001, 3650), timedelta(days=7), "Days to keep the files of exports."
    )
    events: str = _setting(
        kinds.choice("on", "off", "sampled"),
        "sampled",
        "Whether Flower is told of each call; sampled: of the first 20 a second of each worker process.",
    )
    public_url: str | None = _setting(
        kinds.text, None, "The address under which users reach the API, for links in answers."
    )
    inbox_url: str | None = _setting(
        kinds.text, None, "Where the inbox is, for the dashboard's links and first commands."
    )
    flower_url: str | None = _setting(
        kinds.text, None, "Where Flower is, for a link on the dashboard."
    )
    alert_url: str | None = _setting(
        kinds.text, None, "A URL that is told when something goes wrong, and when that is over."
    )
    alert_urls: tuple[str, ...] = _setting(
        kinds.messengers,
        (),
        "Who is told the same by mail, Slack and others: URLs as Apprise takes them, with blanks between. "
        "Needs the extra `alerts`.",
    )
    alert_late: timedelta = _setting(
        kinds.seconds(1, 86400),
        timedelta(minutes=5),
        "An alert begins when the oldest due task of a project has waited so long.",
    )
    alert_failures: float = _setting(
        kinds.share,
        0.5,
        "An alert begins when so large a share of a project's attempts fails, 0 to 1.",
    )
    metrics_token: str | None = _setting(
        kinds.token_or_open,
        None,
        "Who may read /metrics: whoever sends this as a bearer token, or anybody when it is `open`. "
        "Unset, nobody may, but in development anybody.",
    )
    trace_share: float | None = _setting(
        kinds.traced,
        None,
        "Tells OpenTelemetry of tasks: of those whose callers are traced, and of so large a share, 0 to 1, of all "
        "others. Unset, of none. Needs the extra `otel`; OTEL_EXPORTER_OTLP_ENDPOINT says where to.",
    )
    log_format: str = _setting(
        kinds.choice("auto", "json", "text"),
        "auto",
        "json for servers, text for terminals; auto looks.",
    )
    log_level: str = _setting(
        kinds.choice("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "The least severe line that is written.",
    )

    @property
    def broker(self) -> str:
        """The URL for Celery as kombu has it: `redis+socket://` for `unix://`, a URL for each sentinel."""
        url = self.broker_url or self.redis_url
        if url.startswith("sentinel://"):
            user, hosts, _ = split_sentinel(url)
            return ";".join(f"sentinel://{user}{host}:{port}/0" for host, port in hosts)
        return "redis+socket://" + url.removeprefix("unix://") if url.startswith("unix://") else url

    @property
    def broker_service(self) -> str | None:
        """What the sentinels call the broker's master; None when it has no sentinels."""
        url = self.broker_url or self.redis_url
        return split_sentinel(url)[2] if url.startswith("sentinel://") else None


def split_sentinel(url: str) -> tuple[str, list[tuple[str, int]], str]:
    """(`user:password@` or nothing, hosts and ports, service) of sentinel://user:password@host:port,.../service."""
    place, _, service = url.removeprefix("sentinel://").partition("/")
    user, at, hosts = place.rpartition("@")
    found = []
    for each in hosts.split(","):
        host, _, port = each.rpartition(":") if re.search(r":\d+$", each) else (each, "", "26379")
        found.append((host, int(port)))
    return user + at, found, service or "mymaster"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process's environment.

    Raises ConfigError with every fault: unknown names, values out of range, unreadable files.
    """
    environ = os.environ if environ is None else environ
    known = {f.name.upper(): f for f in fields(Settings)}
    values: dict[str, Any] = {}
    faults: list[str] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in CLIENT:
            continue
        name, raw = variable.removeprefix(PREFIX), environ[variable]
        if name not in known and name.endswith("_FILE") and name.removesuffix("_FILE") in known:
            name = name.removesuffix("_FILE")
            if PREFIX + name in environ:
                faults.append(f"{variable} and {PREFIX + name} are both set: keep one")
                continue
            try:
                raw = Path(raw).read_text().strip()
            except (OSError, UnicodeDecodeError) as error:
                faults.append(f"{variable}: cannot read {raw!r}: {error}")
                continue
        if name not in known:
            close = _closest(name, known)
            faults.append(
                f"{variable} is no setting" + (f": did you mean {PREFIX + close}?" if close else "")
            )
            continue
        if raw == "" and known[name].default is not MISSING:
            continue
        try:
            values[name.lower()] = cast(Callable[[str], Any], known[name].metadata["parse"])(raw)
        except ValueError as error:
            shown = "its value" if name in SECRETS else repr(raw)
            faults.append(f"{variable}: {shown} {error}")
    if faults:
        raise ConfigError(faults)
    return Settings(**values)


def sources(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Where each setting comes from, by its field: the variable, the file it names, or `default`."""
    environ = os.environ if environ is None else environ
    found = {}
    for one in fields(Settings):
        variable = PREFIX + one.name.upper()
        if environ.get(variable):
            found[one.name] = "environment"
        elif environ.get(variable + "_FILE"):
            found[one.name] = f"file {environ[variable + '_FILE']}"
        else:
            changed = getattr(settings, one.name) != one.default
            found[one.name] = "set at the start" if changed else "default"
    return found


def _closest(name: str, known: Mapping[str, object]) -> str | None:
    import difflib

    found = difflib.get_close_matches(name, known, n=1)
    return found[0] if found else None
