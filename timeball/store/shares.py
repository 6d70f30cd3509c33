"""What API processes take of a common measure: it holds over all of them, and costs each hardly anything."""

from __future__ import annotations

from timeball.store import keys
from timeball.store.scripts import Client, call


def take(client: Client, key_id: str, minute: int, limit: int) -> tuple[int, int]:
    """A share of the `limit` requests that a key may make in a minute, and what is left after it.

    The share is 0 when nothing is left. A thousand requests take about 75 shares, ten thousand 110. Raises
    StoreUnavailable.
    """
    share, left = call(client, "share", keys.prefix(0), [key_id, minute, limit])
    return share, left
