"""Ports: the one that was asked for, or the next that is free."""

from __future__ import annotations

import errno
import socket
import sys

from timeball.errors import ConfigError

TRIES = 200


class Port:
    """A port that this process holds against other `up`s until it ends.

    Between the look and the server's own `bind` another `up` could find the same port free, and servers that set
    SO_REUSEPORT would then share it without a word. So each port taken is claimed by an abstract socket (Linux),
    which lives in the same network namespace as the port and goes with the process.
    """

    def __init__(self, number: int, wanted: int, claim: socket.socket) -> None:
        self.number = number
        self.wanted = wanted
        self._claim = claim

    @property
    def moved(self) -> bool:
        """Whether another one than the wanted had to be taken."""
        return self.wanted not in (0, self.number)


def take(host: str, wanted: int, last: int | None = None) -> Port:
    """Hold `wanted` on `host`, or the next free port after it; any free one when `wanted` is 0.

    When `last`, the one that was found the last time, is free, it is taken again: tasks may be waiting that
    call it.
    Raises ConfigError when the host is no address of this machine, when the port is reserved for the
    system's administrator, or when none of the next ones is free.
    """
    after = range(wanted, min(wanted + TRIES, 65536)) if wanted else range(0)
    for number in after if last is None else (last, *after):
        claim = _claim(number)
        if claim is not None:
            if _is_free(host, number):
                return Port(number, wanted, claim)
            claim.close()
    if wanted == 0:
        return _any(host)
    raise ConfigError([f"no port from {wanted} to {min(wanted + TRIES, 65536) - 1} is free"])


def _any(host: str) -> Port:
    for _ in range(TRIES):
        with _socket(host) as trial:
            trial.bind((host, 0))
            number = int(trial.getsockname()[1])
        claim = _claim(number)
        if claim is not None:
            return Port(number, 0, claim)
    raise ConfigError([f"{host} has no free port left"])


def _is_free(host: str, number: int) -> bool:
    try:
        with _socket(host) as trial:
            trial.bind((host, number))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise ConfigError([f"cannot listen on {host} port {number}: {error.strerror}"]) from error
    return True


def _socket(host: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise ConfigError([f"{host!r} is no address to listen on: {error.strerror}"]) from error
    trial = socket.socket(family, socket.SOCK_STREAM)
    # As servers do: a port whose last connections only linger (TIME_WAIT) is free.
    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return trial


def _claim(number: int) -> socket.socket | None:
    """The claim on a port, or None when another `up` has it."""
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if sys.platform.startswith("linux"):
        try:
            claim.bind(f"\0timeball-port-{number}")
        except OSError:
            claim.close()
            return None
    return claim
