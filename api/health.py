"""Whether this process lives, and whether tasks would be taken, kept and called: in words."""

from __future__ import annotations

from flask import Response

from api.answers import reply
from api.door import App, Door
from timeball.dispatch.findings import awake
from timeball.dispatch.house import House, check_store
from timeball.errors import StoreError, TimeballError
from timeball.store import keys, pumps, roll


def add(app: App) -> None:
    """Add the routes of health. They need no key: they tell no more than words of ours."""
    app.add_url_rule("/livez", "livez", _live, methods=["GET"])
    app.add_url_rule("/readyz", "readyz", lambda: _ready(app.door), methods=["GET"])


def _live() -> Response:
    return reply({"status": "alive"}, 200)


def _ready(door: Door) -> Response:
    try:
        faults = what_is_missing(door.house)
    except StoreError:
        faults = ["the store cannot be reached"]
    except TimeballError as error:
        faults = [str(error)]
    if not faults:
        return reply({"status": "ready"}, 200)
    return reply({"status": "not ready", "message": "; ".join(faults), "missing": faults}, 503)


def what_is_missing(house: House) -> list[str]:
    """What keeps tasks from being kept safe and called, in words. Raises StoreError."""
    faults = [] if house.settings.allow_unsafe_redis else check_store(house)
    fresh = awake(roll.roll(house.client))
    if not any(e.role == "worker" for e in fresh) and not _pump_awake(house):
        faults.append("no worker has been seen lately: start one with timeball worker")
    if not any(e.role == "beat" and e.facts.get("leads") for e in fresh):
        faults.append("no beat leads now: start one with timeball beat")
    return faults


def _pump_awake(house: House) -> bool:
    return any(pumps.awake(house.client, keys.prefix(n)) for n in range(house.settings.shards))
