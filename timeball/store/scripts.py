"""The moves: one Lua file each, sent by their digest; and the connection to the store."""

from __future__ import annotations

import hashlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import unquote
from weakref import WeakKeyDictionary

import redis
from hiredis import pack_command
from redis.backoff import ConstantBackoff
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from timeball.errors import StoreError, StoreFull, StoreUnavailable
from timeball.settings import split_sentinel

Client = Any
"""A redis-py client that answers bytes; its own types say a union of all that any command may answer."""

Arg = bytes | str | int | float

_pack: Callable[..., Any] = pack_command
"""hiredis says that it packs words of one type only; it packs all of these."""


class Script:
    """One move: its text behind the shared parts, and the digest by which Redis knows it.

    Every move begins with `_head.lua`; a line `-- WITH _part.lua` in its own head, or in a part's, asks for
    more, each once.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        texts = _with_parts(f"{name}.lua", {"_head.lua": _read("_head.lua")})
        # A full store takes no new tasks, but those it has are finished and so make room.
        full = "#!lua flags=allow-oom\n" if "-- WHEN FULL" in texts[f"{name}.lua"] else ""
        self.text = full + "".join(texts.values())
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def _read(file: str) -> str:
    return (resources.files("timeball.store") / "lua" / file).read_text()


def _with_parts(file: str, texts: dict[str, str]) -> dict[str, str]:
    """Adds a file to `texts` behind the parts that it asks for."""
    text = _read(file)
    for part in re.findall(r"^-- WITH +(_\w+\.lua)$", text, re.MULTILINE):
        if part not in texts:
            _with_parts(part, texts)
    texts[file] = text
    return texts


@cache
def script(name: str) -> Script:
    """The move of that name; read once a process."""
    return Script(name)


def connect(url: str, *, timeout: float = 5.0, connect_timeout: float = 2.0) -> Client:
    """A client of the store at `url` (redis://, rediss://, unix:// or sentinel://host:port,.../service).

    Nothing is sent before the first command. Commands that meet a broken connection are sent once
    more: every move may be repeated safely.
    """
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": connect_timeout,
        "health_check_interval": 15,
        "retry": Retry(ConstantBackoff(0.02), 1),
        "protocol": 2,
    }
    if url.startswith("sentinel://"):
        login, nodes, service = split_sentinel(url)
        if login:
            user, _, password = login.removesuffix("@").partition(":")
            options |= {"username": unquote(user) or None, "password": unquote(password)}
        make: Any = Sentinel  # it tells no types
        return make(nodes, **options).master_for(service)
    if not url.startswith("unix://"):
        options["socket_keepalive"] = True
    else:
        options.pop("socket_connect_timeout")
    return redis.Redis.from_url(url, **options)


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what redis-py raises into the errors of the house."""
    try:
        yield
    except OutOfMemoryError as error:
        raise StoreFull("the store has no memory left") from error
    except (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError) as error:
        raise StoreUnavailable("the store does not answer") from error
    except ResponseError as error:
        text = str(error)
        if "OOM" in text:
            raise StoreFull("the store has no memory left") from error
        if text.startswith(("MISCONF", "LOADING", "MASTERDOWN", "NOREPLICAS", "BUSY")):
            raise StoreUnavailable(f"the store refuses writes: {text[:80]}") from error
        raise StoreError(f"the store refused a command: {text}") from error
    except RedisError as error:
        raise StoreError(str(error)) from error


def call(client: Client, name: str, prefix: str, args: Sequence[Arg]) -> Any:
    """Make a move. Raises StoreUnavailable, StoreFull or StoreError."""
    move = script(name)
    with store_errors():
        try:
            return _send(client, ("EVALSHA", move.digest, 1, prefix, *args))
        except NoScriptError:
            return client.execute_command("EVAL", move.text, 1, prefix, *args)


def command(client: Client, *words: Arg) -> Any:
    """A command that is no move and may be repeated, answered as the store says it. Raises as `call` does."""
    with store_errors():
        return _send(client, words, _send_plainly)


class Sent:
    """A move that the store makes while its caller goes on with something else, until it asks for the answer.

    The answer must be asked for, once, or a connection stays taken.
    """

    __slots__ = ("_client", "_connection", "_move", "_words")

    def __init__(self, client: Client, name: str, prefix: str, args: Sequence[Arg]) -> None:
        """Send it. Raises StoreUnavailable."""
        self._client, self._move = client, script(name)
        self._words: tuple[Arg, ...] = ("EVALSHA", self._move.digest, 1, prefix, *args)
        with store_errors():
            self._connection = client.connection_pool.get_connection()
            try:
                self._connection.send_packed_command((_pack(self._words),))
            except ConnectionError:
                self._give_back(broken=True)

    def _give_back(self, *, broken: bool) -> None:
        if broken:
            self._connection.disconnect()
        self._client.connection_pool.release(self._connection)
        self._connection = None

    def answer(self) -> Any:
        """What the move answers. Raises StoreUnavailable, StoreFull or StoreError."""
        with store_errors():
            try:
                return self._read()
            except NoScriptError:
                words = ("EVAL", self._move.text, *self._words[2:])
                return self._client.execute_command(*words)

    def _read(self) -> Any:
        if self._connection is not None:
            broken = True
            try:
                answer = self._connection.read_response()
                broken = False
                return answer
            except ConnectionError:
                pass
            except ResponseError:
                broken = False
                raise
            finally:
                self._give_back(broken=broken)
        return self._client.execute_command(*self._words)


class _Idle:
    """The connections of a client that rest between moves, by process.

    The pool of redis-py asks the kernel of each whether something came unasked, under a lock that all
    threads of the API wait for: a quarter of a move's time. What was left unread cannot be: whoever does not
    read his answer to its end disconnects.
    """

    def __init__(self, client: Client) -> None:
        self._pool = client.connection_pool
        self._resting: deque[Any] = deque()
        self._process = os.getpid()

    def take(self) -> Any:
        if self._process != os.getpid():  # those of before the fork are the parent's
            self._resting, self._process = deque(), os.getpid()
        try:
            return self._resting.pop()
        except IndexError:
            return self._pool.make_connection()

    def put(self, connection: Any) -> None:
        self._resting.append(connection)


_idle: WeakKeyDictionary[Client, _Idle] = WeakKeyDictionary()


def _send_plainly(client: Client, words: tuple[Arg, ...]) -> Any:
    """One command on a connection of the pool; `execute_command` would make other things of some answers."""
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command((_pack(words),))
        return connection.read_response()
    except ResponseError:
        raise
    except BaseException:
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _send_fully(client: Client, words: tuple[Arg, ...]) -> Any:
    return client.execute_command(*words)


def _send(
    client: Client,
    words: tuple[Arg, ...],
    again: Callable[[Client, tuple[Arg, ...]], Any] = _send_fully,
) -> Any:
    """One command without the retries and measures of `execute_command`, which cost as much as all the rest.

    When the connection proves broken, that one sends the command once more on a new one. A store that is too slow
    is not asked again: the caller has waited long enough.
    """
    idle = _idle.get(client)
    if idle is None:
        idle = _idle.setdefault(client, _Idle(client))
    connection = idle.take()
    try:
        connection.send_packed_command((_pack(words),))
        return connection.read_response()
    except ConnectionError:
        connection.disconnect()
    except ResponseError:
        raise
    except BaseException:
        connection.disconnect()
        raise
    finally:
        idle.put(connection)  # also one that is closed: it opens itself again
    return again(client, words)
