"""What each role may do in the store: the rules of its Redis user, for the ACL file of a server.

Who breaks into a worker, which talks to strangers, can make no key and let nobody in, nor wipe, copy or
reconfigure the store; who breaks into Flower finds Celery's messages alone.

The rules for keys are tried for every key that a move touches, in this order until one fits: so there are few, by
the first letters of the families in `keys`, and the busiest come first.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

OPERATOR = "timeball"
"""Who backs up, restores and looks: everything but what could drop, copy or reconfigure all at once."""
HEALTH = "health"
"""May ask whether the server answers, without a password."""
ROLES = ("api", "worker", "exporter", "beat", "flower")

_ALL = "multi exec discard"
_DIRECT = (
    "blpop hkeys mget zlexcount zrangebylex zrevrangebylex exists hexists hsetnx ltrim zrangebyscore zrevrange "
    "zremrangebyrank expire lrem set"
)
"""What workers, exporters and beats do besides moves."""
_DOOR = "getdel hlen info incrby"
"""What the API does besides."""
_SENDS = "lpush sadd smembers publish"
_CONSUMES = (
    "time brpop rpop rpush llen hset hdel hget zadd zrem zrange zrangebyscore zrevrangebyscore sadd srem del "
    "exists get set pexpire pttl watch unwatch eval evalsha script|load script|exists "
    "subscribe psubscribe unsubscribe punsubscribe"
)

_BEHIND = (
    "~tb:{*}:[^ovmsalkup]*",  # the letters with which a family begins that only the API may know
    "~tb:{*}:",
    "~tb:{*}:[amhs]:*",
    "~tb:{*}:l[ae]*",
    "~tb:{*}:s[hncpuwf]*",
    "~tb:{*}:sea*",
    "~tb:{*}:outbox",
    "~tb:{*}:p[au]*",
    "~tb:{*}:a[lps]*",
    "%R~tb:{*}:projects",
    "%R~tb:{*}:keys",  # what signs calls and links is made of them
)
"""What moves touch: all but members, sessions, their log, sources, saved segments, secrets of calls."""
_QUEUES = "~timeball-* ~_kombu.binding*"
_CHANNELS = "&/0.celeryev/* &/0.celery.pidbox"
"""By name: what is subscribed to as a pattern must be a rule letter by letter."""
_CONSUMED = f"{_QUEUES} ~unacked* ~*celery.pidbox* ~celeryev* {_CHANNELS}"


@cache
def commands_of_moves() -> frozenset[str]:
    """The commands that the Lua files call; any role that may make moves needs all of them."""
    folder = resources.files("timeball.store") / "lua"
    text = "".join(f.read_text() for f in folder.iterdir() if f.name.endswith(".lua"))
    return frozenset(word.lower() for word in re.findall(r"redis\.p?call\(\s*'([A-Z]+)'", text))


def rules(role: str) -> str:
    """The rules of a role's user, behind its password: keys and channels, then commands."""
    moves = " ".join(commands_of_moves() | {"eval", "evalsha"})
    # a shard's number has one figure or two; a * there would have every rule that does not fit read the whole key
    behind = " ".join(rule.replace("*", shard, 1) for shard in ("?", "??") for rule in _BEHIND)
    match role:
        case "api":
            return _rule(f"~tb:* {_QUEUES} {_CHANNELS}", moves, _DIRECT, _DOOR, _SENDS)
        case "worker":
            more = "%R~tb:{*}:via:* %R~tb:{*}:secrets:*"
            return _rule(f"{behind} {more} {_CONSUMED}", moves, _DIRECT, _SENDS, _CONSUMES)
        case "exporter":
            return _rule(
                f"{behind} %R~tb:{{*}}:sources:* {_CONSUMED}", moves, _DIRECT, _SENDS, _CONSUMES
            )
        case "beat":
            return _rule(f"{behind} {_QUEUES}", moves, _DIRECT, _SENDS)
        case "flower":
            return _rule(_CONSUMED, _SENDS, _CONSUMES)
        case "operator":
            return "~* &* +@all -@dangerous +info"
    raise ValueError(f"no role {role!r}")


def _rule(keys: str, *commands: str) -> str:
    words = sorted({word for text in (_ALL, *commands) for word in text.split()})
    # redis-py sends CLIENT SETINFO, which is no command to Redis 7.0: so the category, without KILL and its like
    return f"{keys} -@all +@connection -@admin -@dangerous " + " ".join(
        f"+{word}" for word in words
    )


def file(passwords: dict[str, str]) -> str:
    """The text of an ACL file, with the password of each of ROLES and of OPERATOR.

    The default user is off, so no connection gets its rights; but Redis 7.0 loads its append-only file as that
    user, and would leave out every move of ours if it had none.
    """
    lines = ["user default off ~* &* +@all", f"user {HEALTH} on nopass -@all +ping"]
    lines.append(f"user {OPERATOR} on >{passwords[OPERATOR]} {rules('operator')}")
    lines += [f"user {role} on >{passwords[role]} {rules(role)}" for role in ROLES]
    return "\n".join(lines) + "\n"
