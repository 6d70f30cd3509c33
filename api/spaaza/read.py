"""Reading what a caller of the Spaaza dialect sends. Nothing unknown is passed over: it might mean fewer rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from werkzeug.exceptions import Forbidden

from api.auth import Caller
from api.mergent import rules
from api.mergent.errors import Fault, Rejected
from timeball.dispatch import sources
from timeball.dispatch.house import House
from timeball.egress import Policy, check_url
from timeball.errors import InvalidField, NotFound
from timeball.export.formats import Format
from timeball.model.export import Code, Order, Repeat
from timeball.store.chains import MOST, check_chain
from timeball.timing.durations import parse_instant

_TASK_KEYS = frozenset({"chain", "desc", "target", "trigger", "debug"})
_TARGET_KEYS = frozenset(
    {"action", "export_index", "export_format", "campaign", "gzip", "csv_safe", "notify"}
)
_TRIGGER_KEYS = frozenset({"once", "repeat", "segment", "segment_id"})
TEXT_LIMIT = 1000


def chain_of(caller: Caller) -> int:
    """The chain of a caller. Raises Forbidden when its key is not bound to one."""
    if caller.chain is None:
        raise Forbidden("this key belongs to no chain: make one with timeball keys create --chain")
    return caller.chain


def order(house: House, policy: Policy, caller: Caller, data: Mapping[str, Any]) -> Order:
    """What a caller asks for. Raises Rejected, Forbidden, InvalidField, ExportError."""
    missing = [key for key in ("chain", "target", "trigger") if data.get(key) is None]
    faults = [Fault(key, "must be given") for key in missing]
    faults += [Fault(str(k)[:80], "is no part of a task") for k in data if k not in _TASK_KEYS]
    for key in ("target", "trigger"):
        if data.get(key) is not None and not isinstance(data[key], dict):
            faults.append(Fault(key, "must be an object"))
    for key in ("desc", "debug"):
        if not isinstance(data.get(key, ""), str) or len(data.get(key, "")) > TEXT_LIMIT:
            faults.append(Fault(key, f"must be a text of at most {TEXT_LIMIT} characters"))
    if faults:
        raise Rejected(faults)
    if check_chain(data["chain"]) != chain_of(caller):
        raise Forbidden(f"the chain {data['chain']} is not that of this key")
    _target(house, policy, caller.project, data["target"])
    once = _trigger(house, caller.project, data)
    return Order(
        chain=data["chain"],
        desc=data.get("desc", ""),
        target=data["target"],
        trigger=data["trigger"],
        debug=data.get("debug", ""),
        key_id=caller.key_id,
        once=once,
    )


def _known(data: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
    for key in data:
        if key not in keys:
            raise InvalidField(f"{where}.{str(key)[:80]}", f"is not supported in a {where}")


def _target(house: House, policy: Policy, project: str, target: dict[str, Any]) -> None:
    _known(target, _TARGET_KEYS, "target")
    if target.get("action") != "export":
        raise InvalidField("target.action", "must be export")
    index = target.get("export_index")
    if not isinstance(index, str) or not index:
        raise InvalidField("target.export_index", "must be given: the name of an index")
    sources.check_index(house, project, index)
    if target.get("export_format", "csv") not in list(Format):
        raise InvalidField("target.export_format", f"must be one of {', '.join(Format)}")
    campaign = target.get("campaign")
    if campaign is not None and (type(campaign) is not int or not 0 <= campaign <= MOST):
        raise InvalidField("target.campaign", "must be a whole number")
    for key in ("gzip", "csv_safe"):
        if type(target.get(key, False)) is not bool:
            raise InvalidField(f"target.{key}", "must be true or false")
    if "notify" in target:
        target["notify"] = _notify(policy, target["notify"])


def _notify(policy: Policy, notify: Any) -> dict[str, Any]:
    if not isinstance(notify, dict) or not isinstance(notify.get("url"), str):
        raise InvalidField("target.notify.url", "must be given: the endpoint to call at the end")
    _known(notify, frozenset({"url", "headers"}), "target.notify")
    try:
        checked: dict[str, Any] = {"url": check_url(notify["url"], policy).url}
    except InvalidField as error:
        raise InvalidField("target.notify.url", error.message) from None
    if "headers" in notify:
        try:
            checked["headers"] = dict(rules.headers(notify["headers"]))
        except InvalidField as error:
            raise InvalidField("target.notify.headers", error.message) from None
    return checked


def _trigger(house: House, project: str, data: Mapping[str, Any]) -> datetime | None:
    trigger, chain, index = data["trigger"], data["chain"], data["target"]["export_index"]
    _known(trigger, _TRIGGER_KEYS, "trigger")
    once = None
    if "once" in trigger:
        if not isinstance(trigger["once"], str):
            raise InvalidField("trigger.once", "must be an instant like 2026-05-26T12:00:00Z")
        once = parse_instant(trigger["once"], "trigger.once")
    if "repeat" in trigger and trigger["repeat"] not in list(Repeat):
        raise InvalidField("trigger.repeat", f"must be one of {', '.join(Repeat)}")
    if "segment" in trigger and "segment_id" in trigger:
        raise InvalidField("trigger.segment_id", "must not stand beside segment: give one")
    if "segment" in trigger:
        sources.check_segment(house, project, chain, index, trigger["segment"], "trigger.segment")
    if "segment_id" in trigger:
        _segment_id(house, project, index, trigger["segment_id"])
    return once


def _segment_id(house: House, project: str, index: str, segment_id: Any) -> None:
    import orjson

    if type(segment_id) not in (str, int):
        raise InvalidField("trigger.segment_id", "must be the id of a saved segment")
    try:
        saved = sources.segment(house, project, str(segment_id))
    except NotFound:
        raise InvalidField("trigger.segment_id", "names no saved segment of this chain") from None
    if orjson.loads(saved.segment)["index"] != index:
        raise InvalidField("trigger.segment_id", f"names a segment of another index than {index}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is to show."""

    status: Code | None
    action: str | None
    campaign: int | None
    limit: int
    offset: int
    log_limit: int


def wanted(args: Mapping[str, str]) -> Wanted:
    """The parameters of a list. Raises InvalidField."""
    status = args.get("status")
    if status is not None and status not in list(Code):
        raise InvalidField("status", f"must be one of {', '.join(Code)}")
    campaign = args.get("campaign_id")
    return Wanted(
        status=None if status is None else Code(status),
        action=args.get("action"),
        campaign=None if campaign is None else whole(args, "campaign_id", 0, MOST),
        limit=whole(args, "limit", 100, 1000),
        offset=whole(args, "offset", 0, 20_000),
        log_limit=whole(args, "log_limit", 10, 200),
    )


def whole(args: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A whole number of the query. Raises InvalidField."""
    text = args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= most):
        raise InvalidField(name, f"must be a whole number from 0 to {most}")
    return int(text)
