"""A share of the calls in flight with their connections: one of libcurl's multis, and an epoll of its sockets.

libcurl looks for a free connection to a host from the front of the host's list, past all that are in use, and
moves all calls of a multi on at once. With 200 calls to one host in one multi that search took a tenth of a
call's instructions. So a host's calls are spread over several multis, as soon as there are more than a few.
"""

from __future__ import annotations

import select

import pycurl

POOLS = 8
CROWD = 32
"""Calls to one host that a pool takes before the next one gets some: fewer share all connections."""
CONNECTIONS = 2000
"""Connections kept open for later calls, over all pools."""
HOSTS = 1000
"""Hosts that are remembered though no call to them is in flight."""

_PATIENCE_SECONDS = (0.001, 0.05)
"""Of some things no socket of ours tells, the answer of a resolver's thread above all: libcurl is asked for them,
soon after a call began and then less and less often."""


class Pool:
    """Calls that are moved on together."""

    __slots__ = ("add", "begun", "busy", "due", "moved", "multi", "perform", "remove", "sockets")

    def __init__(self) -> None:
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAXCONNECTS, CONNECTIONS // POOLS)
        self.add, self.remove = self.multi.add_handle, self.multi.remove_handle
        self.perform = self.multi.perform
        # not the caller's epoll: libcurl closes its sockets when it likes and their numbers come back as others
        self.sockets = select.epoll()
        self.busy = 0
        self.moved = False  # since libcurl last looked
        self.begun = self.due = 0.0

    def see_edges(self) -> None:
        """Some socket moved."""
        self.sockets.poll(0, 4096)  # which they are does not matter; each is told once
        self.moved = True

    def patience(self, now: float) -> float:
        """How many seconds libcurl may be left alone while no socket moves; `due` is when they have passed."""
        until_timer = self.multi.timeout()
        if until_timer == 0:
            self.due = now
            return 0.0
        least, most = _PATIENCE_SECONDS
        patience = min(max((now - self.begun) / 3, least), most)
        if until_timer > 0:
            patience = min(patience, until_timer / 1000)
        self.due = now + patience
        return patience

    def close(self) -> None:
        """Close every connection."""
        self.multi.close()
        self.sockets.close()


class Line:
    """The calls to one host: its pools, always in the same order so that connections are found again."""

    __slots__ = ("busy", "pools")

    def __init__(self, pools: list[Pool]) -> None:
        self.pools, self.busy = pools, [0] * len(pools)

    def place(self) -> int:
        """Which of its pools takes one more call."""
        for place, n in enumerate(self.busy):
            if n < CROWD:
                return place
        return self.busy.index(min(self.busy))


class Pools:
    """All pools of a caller, and the hosts that they call; its length is how many of those are known."""

    def __init__(self) -> None:
        self.all = [Pool() for _ in range(POOLS)]
        self._lines: dict[str, Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def line(self, host: str) -> Line:
        """The calls to a host."""
        line = self._lines.get(host)
        if line is None:
            if len(self._lines) >= HOSTS:
                self._lines = {name: one for name, one in self._lines.items() if any(one.busy)}
            first = hash(host) % POOLS
            line = self._lines[host] = Line(self.all[first:] + self.all[:first])
        return line
