"""Chains: projects with a number, as the Spaaza dialect names them.

`chain:<number>`, a string on shard 0, holds the id of a chain's project; it lives for ever.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import orjson

from timeball.errors import InvalidField, NotFound
from timeball.model.project import Project
from timeball.store.projects import PREFIX, Vault, create_project, get_project
from timeball.store.scripts import Client, store_errors

MOST = 2**53 - 1
"""The largest number of a chain or a task: what every JSON reader keeps whole."""


def check_chain(chain: object) -> int:
    """The number of a chain, checked. Raises InvalidField."""
    if type(chain) is not int or not 0 < chain <= MOST:
        raise InvalidField("chain", "must be a whole number above 0")
    return chain


def ensure(client: Client, vault: Vault, chain: int) -> Project:
    """The project of a chain; made, as `chain-<number>`, when there is none yet."""
    check_chain(chain)
    with store_errors():
        known = client.get(f"{PREFIX}chain:{chain}")
    if known is not None:
        return get_project(client, vault, known.decode())
    project = create_project(client, vault, f"chain-{chain}", chain)
    if project.chain != chain:
        raise InvalidField("chain", f"cannot be had: another project is named chain-{chain}")
    with store_errors():
        client.set(f"{PREFIX}chain:{chain}", project.id)
    return project


def find(client: Client, chain: int) -> str:
    """The id of a chain's project. Raises NotFound."""
    with store_errors():
        known = client.get(f"{PREFIX}chain:{chain}")
    if known is None:
        raise NotFound(f"there is no chain {chain}")
    return str(known.decode())


def link_secret(client: Client, master: str, key_id: str, project: str) -> str | None:
    """What signs the download links that a key asks for; None when the key is no more, and so its links."""
    with store_errors():
        raw = client.hget(f"{PREFIX}keys", key_id)
    if raw is None:
        return None
    record = orjson.loads(raw)
    now_ms = datetime.now(UTC).timestamp() * 1000
    if (
        record["project"] != project
        or "revoked" in record
        or record.get("expires", now_ms + 1) <= now_ms
    ):
        return None
    text = f"timeball links\0{record['verifier']}"
    return hmac.digest(master.encode(), text.encode(), hashlib.sha256).hex()
