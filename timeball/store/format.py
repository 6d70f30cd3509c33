"""Which format the data of a store has, so that an older Timeball leaves a newer one's alone.

The number grows when an older version would misread what a newer one writes: another layout of a record, another
meaning of a key. A new key, or a new field that may be left unread, needs no new number.
"""

from __future__ import annotations

from timeball import __version__
from timeball.store import keys
from timeball.store.scripts import Client, store_errors

FORMAT = 1
KEY = keys.prefix(0) + "format"


def mark(client: Client) -> None:
    """Write this version's format into a store that does not say which it has. Raises StoreError."""
    with store_errors():
        client.set(KEY, FORMAT, nx=True)


def refusal(client: Client) -> str | None:
    """Why this Timeball must not work on a store, in words; None when it may. Raises StoreError."""
    with store_errors():
        found = (client.get(KEY) or b"0").decode(errors="replace")
    if found.isascii() and found.isdigit() and int(found) <= FORMAT:
        return None
    return (
        f"the store has format {found}, and Timeball {__version__} knows {FORMAT} and older: a newer one has "
        "worked on it; run that again, or restore a backup into an empty store"
    )
