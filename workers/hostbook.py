"""What a worker learns of hosts from its calls, until the store is told."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from timeball.store.codec import Claimed


@dataclass(slots=True)
class News:
    """What came of a host's calls since the store was last told."""

    well: int = 0
    failed: int = 0
    quiet_until_ms: int = 0
    how: dict[str, int] = field(default_factory=dict)


class HostBook:
    """How the hosts of failing endpoints do, for their breakers. A host without trouble costs nothing.

    `watched` holds hosts that failed in the last minute, or whose breaker lets a call of ours through, by
    project and authority; what went well before a host's first failure is not counted.
    """

    WATCH_SECONDS = 60.0
    MOST = 1000
    """Hosts beyond which those whose minute is over are looked for and forgotten."""

    def __init__(self) -> None:
        self.watched: dict[tuple[str, str], float] = {}
        self._news: dict[str, dict[str, News]] = {}

    def watch(self, claimed: Claimed) -> None:
        """From now on what goes well with its host counts too: its breaker waits to hear of this very call."""
        self._watch(_where(claimed))

    def _watch(self, where: tuple[str, str]) -> None:
        now = time.monotonic()
        if len(self.watched) >= self.MOST and where not in self.watched:
            self.watched = {host: until for host, until in self.watched.items() if until > now}
        self.watched[where] = now + self.WATCH_SECONDS

    def failed(self, claimed: Claimed, how: str, quiet_until_ms: int) -> None:
        """A call found its host in trouble; with Retry-After it also says until when to be quiet."""
        where = _where(claimed)
        self._watch(where)
        news = self._of(where)
        news.failed += 1
        news.quiet_until_ms = max(news.quiet_until_ms, quiet_until_ms)
        news.how[how] = news.how.get(how, 0) + 1

    def went_well(self, claimed: Claimed) -> None:
        """A call to some host was answered as it should."""
        where = _where(claimed)
        until = self.watched.get(where)
        if until is None:
            return
        if time.monotonic() > until:
            del self.watched[where]
        self._of(where).well += 1

    def _of(self, where: tuple[str, str]) -> News:
        return self._news.setdefault(where[0], {}).setdefault(where[1], News())

    def peek(self) -> dict[str, dict[str, tuple[int, int, int, dict[str, int]]]]:
        """What is to be told to the store: by project and host, the values of `pumps.finish`."""
        return {
            project: {
                host: (news.well, news.failed, news.quiet_until_ms, news.how)
                for host, news in hosts.items()
            }
            for project, hosts in self._news.items()
        }

    def clear(self) -> None:
        """It was told."""
        self._news = {}


def _where(claimed: Claimed) -> tuple[str, str]:
    url: str = claimed.spec["u"]
    authority = _AUTHORITY.match(url)
    return claimed.lane.partition("/")[0], authority[1] if authority else ""


_AUTHORITY = re.compile(r"[a-z]+://([^/?#]*)")
