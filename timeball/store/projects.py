"""Projects, their keys, and the secrets that sign their calls.

A key's text is `tb_<id>_<secret>`, or `<id>:<secret>` where it speaks for a chain. The store holds a SHA-256
of the whole for checking it, and the text itself encrypted under the master secret, since a Mergent signature is
keyed with the text (docs/adr/0002). Projects and keys live on shard 0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken

from timeball.errors import ConfigError, Conflict, InvalidField, NotFound
from timeball.ids import token
from timeball.model.project import ApiKey, Project, Scope
from timeball.store import codec, keys
from timeball.store.scripts import Client, call, store_errors

PREFIX = keys.prefix(0)
ALL_SCOPES = frozenset(Scope)
MOST_KEYS = 1000
"""Keys of a project that live, and as many that do not: workers read and open all of them every few seconds."""
CHANGE_TRIES = 20
"""How often a record is read anew when somebody else has changed it in between."""


class Vault:
    """Encrypts what must be readable again, under the master secret."""

    def __init__(self, master: str) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(hashlib.sha256(master.encode()).digest()))

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """The text again. Raises ConfigError when the master secret is another one."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise ConfigError(
                [
                    "TIMEBALL_SECRET is not the one that this store was set up with: "
                    "start with the old secret, or remove the store's data"
                ]
            ) from None


def check_name(name: str) -> str:
    """A project's name: 1 to 100 characters without control characters. Raises InvalidField."""
    if not 1 <= len(name) <= 100 or re.search(r"[\x00-\x1f\x7f]", name):
        raise InvalidField(
            "name", "a project's name has 1 to 100 characters, none of them control characters"
        )
    return name


def create_project(client: Client, vault: Vault, name: str, chain: int | None = None) -> Project:
    """A project of that name; the existing one when there is one already. `chain` is for a new one."""
    check_name(name)
    project_id = token(10)
    with store_errors():
        if not client.set(f"{PREFIX}pid:{name}", project_id, nx=True):
            project_id = client.get(f"{PREFIX}pid:{name}").decode()
        record: dict[str, Any] = {
            "name": name,
            "created": codec.to_ms(datetime.now(UTC)),
            "signing": [vault.seal("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())],
        }
        if chain is not None:
            record["chain"] = chain
        client.hsetnx(f"{PREFIX}projects", project_id, orjson.dumps(record))
    return get_project(client, vault, project_id)


def get_project(client: Client, vault: Vault, project_id: str) -> Project:
    """A project with its secrets in clear. Raises NotFound."""
    with store_errors():
        raw = client.hget(f"{PREFIX}projects", project_id)
    if raw is None:
        raise NotFound("there is no such project")
    return _project(project_id, orjson.loads(raw), vault)


def _project(project_id: str, record: dict[str, Any], vault: Vault) -> Project:
    return Project(
        id=project_id,
        name=record["name"],
        created_at=codec.from_ms(record["created"]),
        retries=record.get("retries", True),
        signing_secrets=tuple(vault.open(sealed) for sealed in live_signing(record)),
        chain=record.get("chain"),
    )


def live_signing(record: dict[str, Any]) -> list[str]:
    """The sealed signing secrets of a record that count now, newest first. One that was replaced stands there
    with the instant at which its grace ends."""
    now_ms = codec.to_ms(datetime.now(UTC))
    return [
        entry if isinstance(entry, str) else entry["sealed"]
        for entry in record["signing"]
        if isinstance(entry, str) or entry["until"] > now_ms
    ]


def list_projects(client: Client, vault: Vault) -> list[Project]:
    """Every project, oldest first."""
    with store_errors():
        raw = client.hgetall(f"{PREFIX}projects")
    found = [_project(i.decode(), orjson.loads(r), vault) for i, r in raw.items()]
    return sorted(found, key=lambda p: p.created_at)


def project_ids(client: Client) -> list[str]:
    """The ids of every project, in no order."""
    with store_errors():
        return [i.decode() for i in client.hkeys(f"{PREFIX}projects")]


def name_of(client: Client, project_id: str) -> str:
    """The name of a project; empty when there is none."""
    with store_errors():
        raw = client.hget(f"{PREFIX}projects", project_id)
    return "" if raw is None else str(orjson.loads(raw)["name"])


def set_retries(client: Client, project_id: str, on: bool) -> None:
    """Whether a project's tasks are tried again at all, where the task itself says nothing."""
    change(client, project_id, lambda record: record | {"retries": on})


def change(
    client: Client, project_id: str, alter: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Write what `alter` makes of a project's record, which it gets as it is now; answers the new one.

    Two who change it at the same moment both have their way. Raises NotFound, Conflict.
    """
    return _alter(client, "projects", project_id, "there is no such project", alter)


def _alter(
    client: Client,
    where: str,
    field: str,
    unknown: str,
    alter: Callable[[dict[str, Any]], dict[str, Any]],
) -> dict[str, Any]:
    for _ in range(CHANGE_TRIES):
        with store_errors():
            raw = client.hget(f"{PREFIX}{where}", field)
        if raw is None:
            raise NotFound(unknown)
        fresh = alter(orjson.loads(raw))
        if call(client, "swap", PREFIX, [where, field, raw, orjson.dumps(fresh)]):
            return fresh
    raise Conflict("somebody else changes the same thing: try again")


def rename(client: Client, vault: Vault, project_id: str, name: str) -> Project:
    """Give a project another name. Raises NotFound, InvalidField, Conflict when the name is taken."""
    check_name(name)
    for _ in range(CHANGE_TRIES):
        with store_errors():
            raw = client.hget(f"{PREFIX}projects", project_id)
        if raw is None:
            raise NotFound("there is no such project")
        record = orjson.loads(raw)
        if record["name"] == name:
            break
        fresh = orjson.dumps(record | {"name": name})
        done = call(client, "rename", PREFIX, [project_id, record["name"], name, raw, fresh])
        if done == -1:
            raise Conflict(f"there is a project {name!r} already")
        if done:
            break
    return get_project(client, vault, project_id)


def find_project(client: Client, vault: Vault, name: str) -> Project:
    """The project of a name. Raises NotFound."""
    with store_errors():
        project_id = client.get(f"{PREFIX}pid:{name}")
    if project_id is None:
        raise NotFound(f"there is no project {name!r}")
    return get_project(client, vault, project_id.decode())


def create_key(
    client: Client,
    vault: Vault,
    project_id: str,
    scopes: Iterable[Scope] = ALL_SCOPES,
    label: str | None = None,
    expires_at: datetime | None = None,
    *,
    pair: bool = False,
) -> tuple[ApiKey, str]:
    """A new key and its text, which is never shown again. Raises NotFound for an unknown project, Conflict.

    A `pair` is `id:secret`, the form of keys in the Spaaza dialect.
    """
    get_project(client, vault, project_id)
    _make_room(client, project_id)
    key_id = str(uuid.uuid4()) if pair else token(8)
    text = f"{key_id}:{token(43)}" if pair else f"tb_{key_id}_{token(32)}"
    created = datetime.now(UTC)
    record: dict[str, Any] = {
        "project": project_id,
        "verifier": hashlib.sha256(text.encode()).hexdigest(),
        "sealed": vault.seal(text),
        "scopes": sorted(scopes),
        "created": codec.to_ms(created),
    }
    if label:
        record["label"] = label
    if expires_at:
        record["expires"] = codec.to_ms(expires_at)
    with store_errors():
        client.hset(f"{PREFIX}keys", key_id, orjson.dumps(record))
    return _key(key_id, record), text


def _make_room(client: Client, project_id: str) -> None:
    """Forget the oldest of too many keys that are over; raises Conflict when as many live."""
    now, mine = datetime.now(UTC), list_keys(client, project_id)
    over = [key.id for key in mine if not key.lives(now)]
    if len(mine) - len(over) >= MOST_KEYS:
        raise Conflict(f"a project has at most {MOST_KEYS} keys: revoke one that is not needed")
    if len(over) >= MOST_KEYS:
        with store_errors():
            client.hdel(f"{PREFIX}keys", *over[: len(over) - MOST_KEYS + 1])


def _key(key_id: str, record: dict[str, Any], used_ms: bytes | None = None) -> ApiKey:
    return ApiKey(
        id=key_id,
        project=record["project"],
        scopes=frozenset(Scope(s) for s in record["scopes"]),
        created_at=codec.from_ms(record["created"]),
        label=record.get("label"),
        expires_at=codec.from_ms(record["expires"]) if "expires" in record else None,
        revoked_at=codec.from_ms(record["revoked"]) if "revoked" in record else None,
        last_used_at=codec.from_ms(float(used_ms)) if used_ms else None,
    )


def list_keys(client: Client, project_id: str | None = None) -> list[ApiKey]:
    """Keys without their secrets, oldest first; of one project or of all."""
    with store_errors(), client.pipeline(transaction=False) as pipe:
        pipe.hgetall(f"{PREFIX}keys")
        pipe.hgetall(f"{PREFIX}used")
        raw, used = pipe.execute()
    found = [_key(i.decode(), orjson.loads(r), used.get(i)) for i, r in raw.items()]
    return sorted(
        (k for k in found if project_id is None or k.project == project_id),
        key=lambda k: k.created_at,
    )


def owner_of(client: Client, key_id: str) -> str | None:
    """The project of a key; None when there is no such key."""
    with store_errors():
        raw = client.hget(f"{PREFIX}keys", key_id)
    return None if raw is None else str(orjson.loads(raw)["project"])


def change_key(
    client: Client, key_id: str, alter: Callable[[dict[str, Any]], dict[str, Any]]
) -> ApiKey:
    """Write what `alter` makes of a key's record. Raises NotFound, and what `alter` raises."""
    return _key(key_id, _alter(client, "keys", key_id, f"there is no key {key_id!r}", alter))


def revoke_key(client: Client, key_id: str) -> ApiKey:
    """End a key. Its tasks are still called, signed with it. Raises NotFound, Conflict."""

    def revoke(record: dict[str, Any]) -> dict[str, Any]:
        if "revoked" in record:
            raise Conflict(f"the key {key_id} was revoked before")
        return record | {"revoked": codec.to_ms(datetime.now(UTC))}

    return change_key(client, key_id, revoke)


def note_use(client: Client, key_id: str) -> None:
    """Remember that a key was used just now."""
    with store_errors():
        client.hset(f"{PREFIX}used", key_id, codec.to_ms(datetime.now(UTC)))


_KEY_TEXT = re.compile(
    r"tb_(?P<id>[0-9A-Za-z]{8})_[0-9A-Za-z]{32}|(?P<pair>[0-9a-f-]{36}):[0-9A-Za-z]{43}"
)


def authenticate(client: Client, text: str) -> ApiKey | None:
    """The key of a credential, or None when there is none such that is alive."""
    match = _KEY_TEXT.fullmatch(text)
    if match is None:
        return None
    key_id = match["id"] or match["pair"]
    with store_errors():
        raw = client.hget(f"{PREFIX}keys", key_id)
    if raw is None:
        return None
    record = orjson.loads(raw)
    digest = hashlib.sha256(text.encode()).hexdigest()
    key = _key(key_id, record)
    alive = key.lives(datetime.now(UTC))
    return key if hmac.compare_digest(digest, record["verifier"]) and alive else None


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What a project's calls are signed with.

    `secrets` are the live Standard Webhooks secrets; `texts` the keys' texts by id, for Mergent's
    signature; `default_text` is for tasks whose key is gone.
    """

    secrets: tuple[str, ...]
    texts: dict[str, str]
    default_text: str
    retries: bool


def signing_keys(client: Client, vault: Vault, project_id: str) -> SigningKeys:
    """Raises NotFound for an unknown project."""
    project = get_project(client, vault, project_id)
    with store_errors():
        raw = client.hgetall(f"{PREFIX}keys")
    records = {i.decode(): orjson.loads(r) for i, r in raw.items()}
    own = sorted(
        ((i, r) for i, r in records.items() if r["project"] == project_id),
        key=lambda item: item[1]["created"],
    )
    texts = {i: vault.open(r["sealed"]) for i, r in own}
    return SigningKeys(
        project.signing_secrets, texts, next(iter(texts.values()), ""), project.retries
    )
