"""A project's secrets: values that headers of its calls may name, `{{secret.NAME}}`, and only workers read.

They are sealed under the master secret and live on shard 0, as keys do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from timeball.errors import InvalidField, NotFound
from timeball.headers import SECRET_NAME
from timeball.store import codec, keys
from timeball.store.projects import Vault
from timeball.store.scripts import Client, store_errors

VALUE_LIMIT = 4096
MOST = 1000
_VALUE = re.compile(
    r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?"
).fullmatch


@dataclass(frozen=True, slots=True)
class Secret:
    """What may be shown of a secret."""

    name: str
    changed_at: datetime


def _key(project: str) -> str:
    return f"{keys.prefix(0)}secrets:{project}"


def check_name(name: str) -> str:
    """Raises InvalidField for what is no name of a secret."""
    if not re.fullmatch(SECRET_NAME, name):
        raise InvalidField("name", "must be 1 to 64 of A-Z, 0-9 and _, and begin with a letter")
    return name


def put(client: Client, vault: Vault, project: str, name: str, value: str) -> Secret:
    """Keep a value under a name, in place of one before; calls use it within seconds. Raises InvalidField."""
    check_name(name)
    if len(value) > VALUE_LIMIT or not _VALUE(value):
        raise InvalidField(
            "value",
            f"must be 1 to {VALUE_LIMIT} characters that a header may carry: Latin-1, on one line",
        )
    now = datetime.now(UTC)
    record = orjson.dumps({"v": vault.seal(value), "at": codec.to_ms(now)})
    with store_errors():
        known = client.hexists(_key(project), name)
        if not known and client.hlen(_key(project)) >= MOST:
            raise InvalidField("name", f"is one too many: a project has at most {MOST} secrets")
        client.hset(_key(project), name, record)
    return Secret(name, now)


def remove(client: Client, project: str, name: str) -> None:
    """Forget a secret; calls that name it are not made any more. Raises NotFound."""
    with store_errors():
        gone = client.hdel(_key(project), name)
    if not gone:
        raise NotFound("there is no such secret")


def every(client: Client, project: str) -> list[Secret]:
    """A project's secrets by name, without their values."""
    with store_errors():
        raw = client.hgetall(_key(project))
    found = [(name.decode(), orjson.loads(record)) for name, record in raw.items()]
    return [Secret(name, codec.from_ms(record["at"])) for name, record in sorted(found)]


def values(client: Client, vault: Vault, project: str) -> dict[str, str]:
    """The values by name, for a worker."""
    with store_errors():
        raw = client.hgetall(_key(project))
    return {name.decode(): vault.open(orjson.loads(record)["v"]) for name, record in raw.items()}
