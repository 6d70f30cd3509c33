"""Who may enter the dashboard: links that sign in once, sessions that were ended, and the audit log of writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson

from timeball.ids import token
from timeball.model.visitor import Role, Visitor, Written
from timeball.store import codec, keys
from timeball.store.scripts import Client, store_errors

PREFIX = keys.prefix(0)
LINK_LIFE = timedelta(minutes=15)
TRIES_A_MINUTE = 20
"""How often one address may come with a link that is not alive."""
AUDIT_KEPT = 10_000
TEXT_KEPT = 500
SEARCHED_AT_ONCE = 1000


def make_link(client: Client, visitor: Visitor) -> str:
    """A token that signs the visitor in once, within LINK_LIFE. The store keeps its digest only."""
    text = token(40)
    value = orjson.dumps({"name": visitor.name, "role": visitor.role})
    with store_errors():
        client.set(_link(text), value, ex=LINK_LIFE)
    return text


def link_path(text: str) -> str:
    """The path and query at which a token signs in."""
    return f"/dashboard/login?t={text}"


def take_link(client: Client, text: str) -> Visitor | None:
    """The visitor of a token, which ends with this; None when it was used, is too old, or never was."""
    with store_errors():
        raw = client.getdel(_link(text))
    if raw is None:
        return None
    found = orjson.loads(raw)
    return Visitor(found["name"], Role(found["role"]))


def _link(text: str) -> str:
    return f"{PREFIX}login:{hashlib.sha256(text.encode()).hexdigest()}"


def may_fail(client: Client, address: str) -> bool:
    """Counts a link that was not alive; False when there were too many of them in this minute."""
    key = f"{PREFIX}logins:{address[:64]}"
    with store_errors(), client.pipeline(transaction=True) as pipe:
        pipe.set(
            key, 0, ex=60, nx=True
        )  # with its end at once: one without it would lock out for ever
        pipe.incr(key)
        _, count = pipe.execute()
    return int(count) <= TRIES_A_MINUTE


def end_session(client: Client, session_id: str, life: timedelta) -> None:
    """Let a session be known as ended for as long as its cookie would be believed."""
    with store_errors():
        client.set(f"{PREFIX}out:{session_id}", 1, ex=life)


def end_all_sessions(client: Client, name: str) -> None:
    """End every session that somebody of this name has begun until now."""
    with store_errors():
        client.hset(f"{PREFIX}outs", name, codec.to_ms(real_now()))


def has_ended(client: Client, session_id: str, name: str, began_ms: int) -> bool:
    """Whether a session was signed out, or all of its visitor's were."""
    with store_errors(), client.pipeline(transaction=False) as pipe:
        pipe.exists(f"{PREFIX}out:{session_id}")
        pipe.hget(f"{PREFIX}outs", name)
        out, all_out = pipe.execute()
    return bool(out) or (all_out is not None and began_ms <= int(all_out))


def write_down(client: Client, line: Written) -> None:
    """Add a line to the audit log, which keeps the last AUDIT_KEPT."""
    value = orjson.dumps(
        [
            codec.to_ms(line.at),
            line.name,
            line.role,
            line.address,
            line.project,
            line.verb,
            *(text[:TEXT_KEPT] for text in (line.subject, line.before, line.after)),
        ]
    )
    with store_errors(), client.pipeline(transaction=True) as pipe:
        pipe.lpush(f"{PREFIX}audit", value)
        pipe.ltrim(f"{PREFIX}audit", 0, AUDIT_KEPT - 1)
        pipe.execute()


def audit(client: Client, start: int, count: int) -> list[Written]:
    """Lines of the audit log, newest first."""
    with store_errors():
        found = client.lrange(f"{PREFIX}audit", start, start + count - 1)
    out = []
    for raw in found:
        at_ms, name, role, *rest = orjson.loads(raw)
        out.append(Written(codec.from_ms(at_ms), name, Role(role), *rest))
    return out


def search(
    client: Client, wanted: Callable[[Written], bool], start: int, count: int
) -> tuple[list[Written], int | None]:
    """Lines of the audit log that are wanted, newest first, from a place on; and the place of the next one."""
    out: list[Written] = []
    place = start
    while lines := audit(client, place, SEARCHED_AT_ONCE):
        for number, line in enumerate(lines):
            if wanted(line):
                if len(out) == count:
                    return out, place + number
                out.append(line)
        place += len(lines)
    return out, None


def real_now() -> datetime:
    """The wall clock, by which people read the audit log; a virtual clock does not move it."""
    return datetime.now(UTC)
