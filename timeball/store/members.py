"""Who may sign in with a password: members, and the admin whose password is a setting.

A password is kept as its scrypt hash (RFC 7914), with a salt of its own; one check costs 16 MiB and about 40 ms,
so how many are made in a minute is limited before the work is done.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from timeball.errors import InvalidField, NotFound
from timeball.model.visitor import Role, Visitor
from timeball.store import codec, keys, logins
from timeball.store.scripts import Client, store_errors

PREFIX = keys.prefix(0)
ADMIN = "admin"
"""The name that goes with the password of the settings."""
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1024
COST, BLOCK, PARALLEL = 2**14, 8, 1
TRIES = {"address": 10, "name": 30, "all": 120}
"""Passwords that are checked in a minute: from one address, for one name, and in all."""
_NAME = re.compile(r"[^\x00-\x20\x7f](?:[^\x00-\x1f\x7f]{0,58}[^\x00-\x20\x7f])?").fullmatch


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with a password of his own."""

    visitor: Visitor
    since: datetime


def put(client: Client, visitor: Visitor, password: str) -> bool:
    """Let somebody sign in with a password; whoever had the name before is signed out. Answers whether the name
    is new. Raises InvalidField."""
    if not _NAME(visitor.name) or visitor.name == ADMIN:
        raise InvalidField(
            "name", f"must have 1 to 60 characters, no blank at either end, and not be {ADMIN}"
        )
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidField("password", f"must have at least {SHORTEST_PASSWORD} characters")
    salt = secrets.token_bytes(16)
    record = {
        "role": visitor.role,
        "since": codec.to_ms(logins.real_now()),
        "scrypt": [COST, BLOCK, PARALLEL, _text(salt), _text(_hash(password, salt))],
    }
    with store_errors():
        new = bool(client.hset(f"{PREFIX}members", visitor.name, orjson.dumps(record)))
    if not new:
        logins.end_all_sessions(client, visitor.name)
    return new


def remove(client: Client, name: str) -> None:
    """Let somebody sign in no more, and sign him out. Raises NotFound."""
    with store_errors():
        gone = client.hdel(f"{PREFIX}members", name)
    if not gone:
        raise NotFound(f"there is no member {name!r}")
    logins.end_all_sessions(client, name)


def members(client: Client) -> list[Member]:
    """Everybody with a password of his own, by name."""
    with store_errors():
        raw = client.hgetall(f"{PREFIX}members")
    found = []
    for name, text in raw.items():
        record = orjson.loads(text)
        visitor = Visitor(name.decode(), Role(record["role"]))
        found.append(Member(visitor, codec.from_ms(record["since"])))
    return sorted(found, key=lambda member: member.visitor.name)


def may_try(client: Client, address: str, name: str) -> bool:
    """Counts a try to sign in with a password; False when there were too many in this minute."""
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    counted = {
        f"{PREFIX}logins:pw:{address[:64]}": TRIES["address"],
        f"{PREFIX}logins:name:{digest}": TRIES["name"],
        f"{PREFIX}logins:all": TRIES["all"],
    }
    with store_errors(), client.pipeline(transaction=True) as pipe:
        for key in counted:
            pipe.set(key, 0, ex=60, nx=True)
            pipe.incr(key)
        counts = pipe.execute()[1::2]
    return all(n <= most for n, most in zip(counts, counted.values(), strict=True))


def check(client: Client, name: str, password: str, admin_password: str | None) -> Visitor | None:
    """The visitor of a name and a password; None when they do not belong together. Costs the same either way."""
    if len(password) > LONGEST_PASSWORD:
        return None
    if name == ADMIN:
        given = hashlib.sha256(password.encode()).digest()
        wanted = hashlib.sha256((admin_password or "").encode()).digest()
        right = hmac.compare_digest(given, wanted) and admin_password is not None
        return Visitor(ADMIN, Role.ADMIN) if right else None
    with store_errors():
        raw = client.hget(f"{PREFIX}members", name)
    record = orjson.loads(raw) if raw else None
    kept_as: list[Any] = (
        record["scrypt"] if record else [COST, BLOCK, PARALLEL, _text(b"0" * 16), _text(b"0" * 32)]
    )
    cost, block, parallel, salt, kept = kept_as
    found = _hash(password, b64decode(salt), cost, block, parallel)
    if not hmac.compare_digest(found, b64decode(kept)) or record is None:
        return None
    return Visitor(name, Role(record["role"]))


def _hash(
    password: str, salt: bytes, cost: int = COST, block: int = BLOCK, parallel: int = PARALLEL
) -> bytes:
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=cost,
        r=block,
        p=parallel,
        dklen=32,
        maxmem=256 * cost * block,
    )


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
