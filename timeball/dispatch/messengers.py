"""Alerts by mail, by Slack and by what else Apprise knows: who TIMEBALL_ALERT_URLS names (the extra `alerts`).

What is to be said waits in the store, one entry for each messenger, until that messenger has taken it. The leading
beat hands it over in a thread of its own, since a mail server may take its time: one that fails is tried again at
each watch, the others are not kept waiting. A beat that dies in between says it twice rather than never.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import orjson

from timeball import logs
from timeball.dispatch.house import House
from timeball.errors import TimeballError
from timeball.store import keys, pumps
from timeball.store.scripts import store_errors

KEY = keys.prefix(0) + "alerts:out"
MOST_WAITING = 1000
GIVE_UP_MS = 3_600_000
"""So long a messenger is tried with one alert."""

_sending = threading.Lock()
log = logs.get(__name__)


def faults(urls: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with TIMEBALL_ALERT_URLS, in words that give no secret of theirs away."""
    for number, url in enumerate(urls, 1):  # nobody named: nothing is imported
        if _messenger(url) is None:
            kind = url.partition("://")[0]
            yield (
                f"TIMEBALL_ALERT_URLS: Apprise cannot make anything of URL {number} of {len(urls)}, "
                f"which begins with {kind}://"
            )


def try_out(urls: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Send each messenger a word: what kind it is, and whether it took it."""
    said = {
        "title": "Timeball: a trial",
        "text": "Alerts of Timeball will come here.",
        "good": True,
    }
    for url in urls:
        yield _kind(url), _say(url, said)


def put(house: House, title: str, text: str, *, good: bool) -> None:
    """Let every messenger say this. Raises StoreError."""
    urls = house.settings.alert_urls
    if not urls:
        return
    now_ms, _ = pumps.clock(house.client, keys.prefix(0))
    said = {"title": title, "text": text, "good": good, "at": int(now_ms)}
    entries = [orjson.dumps({"to": _mark(url), **said}) for url in urls]
    with store_errors():
        house.client.rpush(KEY, *entries)
        house.client.ltrim(KEY, -MOST_WAITING, -1)


def send_beside(house: House) -> None:
    """Send what waits in a thread of its own, unless one still does."""
    with store_errors():
        if not house.client.llen(KEY):
            return
    if not _sending.acquire(blocking=False):
        return

    def run() -> None:
        try:
            send(house)
        except TimeballError as error:
            log.warning("alerts wait: the store is away", error=str(error))
        except Exception as error:
            log.error("sending alerts broke", exc_info=error)
        finally:
            _sending.release()

    threading.Thread(target=run, name="messengers", daemon=True).start()


def send(house: House) -> None:
    """Hand over what waits. Raises StoreError."""
    known = {_mark(url): url for url in house.settings.alert_urls}
    failed: set[str] = set()
    now_ms, _ = pumps.clock(house.client, keys.prefix(0))
    with store_errors():
        waiting = house.client.lrange(KEY, 0, -1)
    for raw in waiting:
        entry = orjson.loads(raw)
        to = entry["to"]
        url = known.get(to)
        if to in failed:
            continue
        if url is not None and not _say(url, entry):
            failed.add(to)
            if now_ms - entry["at"] < GIVE_UP_MS:
                log.warning("an alert could not be sent: it is tried again", by=_kind(url))
                continue
            log.error("an alert was never sent", by=_kind(url), title=entry["title"])
        with store_errors():
            house.client.lrem(KEY, 1, raw)


def _say(url: str, entry: dict[str, Any]) -> bool:
    import apprise

    messenger = _messenger(url)
    if messenger is None:
        return False
    kind = apprise.NotifyType.SUCCESS if entry["good"] else apprise.NotifyType.WARNING
    return bool(messenger.notify(title=entry["title"], body=entry["text"], notify_type=kind))


def _messenger(url: str) -> Any:
    """Apprise's object for a URL, or None when it knows none. It is imported by those alone who send."""
    import apprise

    asset = apprise.AppriseAsset(app_id="Timeball", app_desc="Timeball", app_url="")
    return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)


def _mark(url: str) -> str:
    """Tells messengers apart without keeping their secrets."""
    return hashlib.blake2b(url.encode(), digest_size=8).hexdigest()


def _kind(url: str) -> str:
    return url.partition("://")[0]
