"""How the calls of one project go out: through a proxy, with a client certificate. Set by the operator alone.

It is sealed under the master secret, for a proxy's URL may hold a password, and a certificate goes with its key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from timeball.errors import InvalidField
from timeball.store import keys
from timeball.store.projects import Vault
from timeball.store.scripts import Client, store_errors

_PROXY = re.compile(
    r"(?:https?|socks5h)://(?:[^\s/@:]+:[^\s/@]*@)?(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}/?"
).fullmatch


@dataclass(frozen=True, slots=True)
class Via:
    """The way out. `proxy` is a URL; `certificate` and `key` are PEM, together or not at all."""

    proxy: str | None = field(default=None, repr=False)
    certificate: str | None = None
    key: str | None = field(default=None, repr=False)

    @property
    def proxy_host(self) -> str:
        """The host of the proxy, as its URL names it; the address rules are asked about this one."""
        found = _PROXY(self.proxy or "")
        return found["host"].strip("[]").lower() if found else ""


def check(via: Via) -> Via:
    """Raises InvalidField for a proxy that cannot be one, or for a certificate and a key that do not fit."""
    if via.proxy is not None and not _PROXY(via.proxy):
        raise InvalidField(
            "proxy", "must read http://host:port, https://host:port or socks5h://host:port"
        )
    if (via.certificate is None) != (via.key is None):
        raise InvalidField("certificate", "goes with its key: give both or neither")
    if via.certificate is not None and via.key is not None:
        try:
            certificate = x509.load_pem_x509_certificate(via.certificate.encode())
            private = load_pem_private_key(via.key.encode(), None)
        except (ValueError, TypeError):
            message = "must be PEM, as must its key, and the key without a password"
            raise InvalidField("certificate", message) from None
        if certificate.public_key() != private.public_key():
            raise InvalidField("certificate", "does not belong to this key")
    return via


def _name(project: str) -> str:
    return f"{keys.prefix(0)}via:{project}"


def put(client: Client, vault: Vault, project: str, via: Via) -> None:
    """Keep a project's way out; an empty one lets its calls go straight. Raises InvalidField."""
    check(via)
    if via == Via():
        with store_errors():
            client.delete(_name(project))
        return
    record = {"proxy": via.proxy, "certificate": via.certificate, "key": via.key}
    with store_errors():
        client.set(_name(project), vault.seal(orjson.dumps(record).decode()))


def get(client: Client, vault: Vault, project: str) -> Via | None:
    """A project's way out; None when its calls go straight."""
    with store_errors():
        sealed = client.get(_name(project))
    return None if sealed is None else Via(**orjson.loads(vault.open(sealed.decode())))
