"""The heartbeat of a worker while it writes an export."""

from __future__ import annotations

import threading

from timeball import logs, queue
from timeball.dispatch.house import House
from timeball.errors import StoreError
from timeball.store import exports, keys, pumps

HEARTBEAT_SECONDS = 1.0
HELP_SECONDS = 5.0

log = logs.get(__name__)


class Pulse:
    """The heartbeat of a worker while it has an export: a thread of its own, for writing may take hours."""

    def __init__(self, house: House, shard: int, pump: str, export_id: bytes) -> None:
        self.house, self.shard, self.pump, self.export_id = house, shard, pump, export_id
        self.prefix = keys.prefix(shard)
        self.lost = False
        self.cancelled = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                self._once()
            except StoreError:
                continue  # the next beat may find the store again; if none does, the lease is lost
            except Exception as error:
                log.error("a heartbeat broke", pump=self.pump, exc_info=error)

    def _once(self) -> None:
        client = self.house.client
        mine, cancelled = exports.held(client, self.prefix, self.pump, self.export_id)
        self.lost = self.lost or not mine
        self.cancelled = self.cancelled or cancelled
        if not mine:
            return
        claim = pumps.claim(client, self.prefix, self.pump, 0, 1, 1, kind=keys.EXPORT)
        if 0 <= claim.next_ms <= claim.now_ms:  # more is due: whoever is free takes it
            queue.send_help(self.house.celery, keys.EXPORT, self.shard, HELP_SECONDS)
