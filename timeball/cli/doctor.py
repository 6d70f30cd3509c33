"""`timeball doctor`: looks for what would keep tasks from being kept safe and called, and says it in words."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from timeball.cli.common import data_option, settings_for
from timeball.cli.tasks import json_option
from timeball.errors import ConfigError, InvalidField, TimeballError

if TYPE_CHECKING:
    from timeball.dispatch.house import House
    from timeball.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: `good` is None where it could not be made, or is no more than a hint."""

    check: str
    good: bool | None
    words: str


@click.command()
@click.option(
    "--target", "targets", multiple=True, metavar="URL", help="A URL that calls should reach."
)
@click.option("--alerts", is_flag=True, help="Send a trial to each of TIMEBALL_ALERT_URLS.")
@json_option
@data_option
def doctor(targets: tuple[str, ...], alerts: bool, as_json: bool, data: Path | None) -> None:
    """Check settings, store, clock, processes and signatures; with --target also whether calls could go there.

    Exits with 1 when something is wrong. Nothing is changed, and no call is made but a connection to a target.
    """
    found = list(_examine(data, targets, alerts))
    if as_json:
        click.echo(
            json.dumps([{"check": f.check, "good": f.good, "words": f.words} for f in found])
        )
    else:
        marks = {True: "ok   ", False: "WRONG", None: "note "}
        for finding in found:
            click.echo(f"{marks[finding.good]}  {finding.check:<12}  {finding.words}")
    if any(finding.good is False for finding in found):
        raise SystemExit(1)


def _examine(data: Path | None, targets: tuple[str, ...], alerts: bool) -> Iterator[Finding]:
    from timeball.dispatch import messengers
    from timeball.dispatch.house import open_house

    try:
        settings = settings_for(data)
        house = open_house(settings, store_timeout=3.0)
    except ConfigError as error:
        yield from (Finding("settings", False, fault) for fault in error.faults)
        return
    wrong = list(messengers.faults(settings.alert_urls))
    yield from (Finding("settings", False, fault) for fault in wrong)
    if not wrong:
        yield Finding("settings", True, "every one is known and in range")
    if settings.dev:
        yield Finding("settings", None, "development mode is on: never on a server")
    try:
        yield from _store(house)
        yield from _processes(house)
        yield from _sample(house)
    except TimeballError as error:
        yield Finding("store", False, str(error))
    yield from _broker(settings)
    for target in targets:
        yield _target(settings, target)
    if alerts:
        if not settings.alert_urls:
            yield Finding("alerts", None, "TIMEBALL_ALERT_URLS names nobody")
        for kind, sent in messengers.try_out(settings.alert_urls):
            yield Finding(
                "alerts", sent, f"{kind}:// " + ("took it" if sent else "did not take it")
            )


def _store(house: House) -> Iterator[Finding]:
    from timeball.dispatch import findings
    from timeball.dispatch.house import check_store
    from timeball.store.figures import memory_and_persistence

    faults = check_store(house)
    yield from (Finding("store", False, fault) for fault in faults)
    facts = memory_and_persistence(house.client)
    if not faults:
        name = facts.get("server_name", "redis")
        version = facts.get("valkey_version") or facts.get("redis_version")
        yield Finding(
            "store", True, f"{name} {version} keeps an append-only file and evicts nothing"
        )
    if findings.cannot_append(facts):
        yield Finding(
            "store", False, "its last write to the append-only file failed: is the disk full?"
        )
    used, most = findings.memory(facts)
    if not most:
        yield Finding("memory", None, "the store has no maxmemory: full, it is killed, not refused")
    else:
        share = used / most
        yield Finding(
            "memory", share < findings.NEARLY_FULL, f"{share:.0%} of {most / 2**20:.0f} MiB is used"
        )
    skew, ahead = findings.clocks(house)
    yield Finding(
        "clock",
        abs(skew) <= findings.SKEW_SECONDS,
        f"the store's is {skew * 1000:+.0f} ms from this machine's",
    )
    if ahead:
        good = None if house.settings.dev else False
        yield Finding("clock", good, f"a virtual clock is {ahead:.0f} s ahead")


def _processes(house: House) -> Iterator[Finding]:
    from timeball.dispatch import findings
    from timeball.store.roll import roll

    fresh = findings.awake(roll(house.client))
    for role in ("worker", "beat", "exporter"):
        here = [e for e in fresh if e.role == role]
        needed = False if role != "exporter" else None
        words = f"{len(here)} signed the roll lately" if here else f"none is there: timeball {role}"
        yield Finding(role, True if here else needed, words)
    leading = [e for e in fresh if e.role == "beat" and e.facts.get("leads")]
    if len(leading) == 1:
        yield Finding("beat", True, f"{leading[0].name} leads")
    elif any(e.role == "beat" for e in fresh):
        yield Finding("beat", False, f"{len(leading)} beats lead, and one should")


def _sample(house: House) -> Iterator[Finding]:
    """Sign something with each project's secrets, and check that as a receiver would."""
    from datetime import UTC, datetime

    from timeball.signing import Signer, Verification, verify_webhook
    from timeball.store import projects

    ids = projects.project_ids(house.client)
    for project_id in ids:
        keys = projects.signing_keys(house.client, house.vault, project_id)
        now, body = datetime.now(UTC), b"a sample"
        lines = Signer(keys.secrets, keys.default_text).lines("sample", int(now.timestamp()), body)
        headers = dict(line.decode().split(": ", 1) for line in lines)
        if verify_webhook(keys.secrets, headers, body, now) is not Verification.VALID:
            yield Finding("signatures", False, f"those of project {project_id} do not verify")
            return
    yield Finding("signatures", True, f"samples of {len(ids)} projects verify")


def _broker(settings: Settings) -> Iterator[Finding]:
    from timeball import queue

    try:
        with queue.make_app(settings).connection_for_write(connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:  # whatever a transport of kombu's raises
        yield Finding("broker", False, f"cannot be reached: {error}")
    else:
        yield Finding("broker", True, "can be reached")


def _target(settings: Settings, url: str) -> Finding:
    from timeball.egress import Policy, check_url

    policy = Policy.parse(
        settings.allowed_targets,
        settings.denied_targets,
        settings.own_ports,
        settings.own_addresses,
    )
    try:
        text = check_url(url, policy).url
    except InvalidField as error:
        return Finding("target", False, f"{url}: {error.message}")
    parts = urlsplit(text)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        allowed = [ip for ip in addresses if policy.allows(host, ip, port)]
        if not allowed:
            words = f"{url}: {', '.join(addresses)} may not be called: see TIMEBALL_ALLOWED_TARGETS"
            return Finding("target", False, words)
        began = time.monotonic()
        limit = settings.connect_timeout.total_seconds()
        with socket.create_connection((allowed[0], port), limit):
            took = (time.monotonic() - began) * 1000
    except OSError as error:
        return Finding("target", False, f"{url}: no connection: {error}")
    return Finding("target", True, f"{url}: {allowed[0]} can be connected to, in {took:.0f} ms")
