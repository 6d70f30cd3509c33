"""What docker-compose.yml does once, so that `docker compose up` needs no file edited.

    compose_init.py secrets   before Redis starts: the master secret, passwords and Redis's configuration
    compose_init.py key       once Redis answers: the first project and its key, shown in the log

Everything is kept in the volume `secrets`, mode 0600. A second run keeps what the first one made. Each role has
a volume besides with what it may know: its own user's address of Redis, the master secret if it needs that.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from timeball.store import acl

FOLDER = Path("/run/timeball")
ROLES = Path("/run/roles")
"""Holds a folder for each role, and one for Redis."""
DATA = Path("/data")
ADDRESS = "redis:6379"

REDIS_CONF = """\
# Written by compose_init.py at each start; set the variables of .env.example instead.
bind * -::*
port 6379
dir {data}
aclfile {folder}/redis.acl
appendonly yes
appendfsync {fsync}
save ""
maxmemory {memory}
maxmemory-policy noeviction
tcp-keepalive 60
# As the embedded store has it, and for its reasons (timeball/up/valkey.py).
auto-aof-rewrite-min-size 256mb
hash-max-listpack-entries 64
rdbcompression no
"""

KNOWS = {
    "redis": ("redis.conf", "redis.acl"),
    "api": ("secret", "metrics_token"),
    "worker": ("secret",),
    "exporter": ("secret",),
    "beat": ("secret",),
    "flower": ("flower_password", "flower_login"),
}
"""The files of each role, beside `redis_url`."""


def keep(name: str, given: str, *, fixed: bool = False) -> str:
    """The secret in the file `name`: the one given by the environment, the one kept, or a new one.

    A `fixed` one cannot be changed once it is kept: what it encrypted would be lost.
    """
    path = FOLDER / name
    kept = path.read_text().strip() if path.exists() else ""
    if fixed and kept and given not in ("", kept):
        sys.exit(
            f"{name}: the one given differs from the one that this installation was set up with. "
            "Give that one, or none."
        )
    word = given or kept or secrets.token_urlsafe(32)
    if len(word) < 32 or any(c.isspace() for c in word):
        sys.exit(f"{name}: must have at least 32 characters and no blanks")
    if word != kept:
        write(name, word + "\n")
    return word


def write(name: str, text: str, folder: Path | None = None) -> None:
    """Put a file in place at once."""
    folder = folder or FOLDER
    beside = folder / f".{name}"
    beside.touch(mode=0o600)
    beside.write_text(text)
    beside.replace(folder / name)


def make_secrets(environ: dict[str, str]) -> None:
    keep("secret", environ.get("MASTER_SECRET", ""), fixed=True)
    keep("metrics_token", environ.get("METRICS_TOKEN", ""))
    passwords = {acl.OPERATOR: keep("redis_password", environ.get("REDIS_PASSWORD", ""))}
    if set(passwords[acl.OPERATOR]) & set("@:/?#%\\\"'"):
        sys.exit(
            "redis_password: letters, digits, - and _ only, since it becomes part of an address"
        )
    for role in acl.ROLES:
        passwords[role] = keep(f"redis_password_{role}", "")
    write("redis_url", address(acl.OPERATOR, passwords))
    write("redis.acl", acl.file(passwords))
    values = {
        "folder": FOLDER,
        "data": DATA,
        "memory": environ.get("REDIS_MAXMEMORY") or "1gb",
        "fsync": environ.get("REDIS_FSYNC") or "everysec",
    }
    write("redis.conf", REDIS_CONF.format(**values))
    password = keep("flower_password", environ.get("FLOWER_PASSWORD", ""))
    write("flower_login", f"timeball:{password}\n")
    for role, names in KNOWS.items():
        for name in names:
            write(name, (FOLDER / name).read_text(), ROLES / role)
        if role in acl.ROLES:
            write("redis_url", address(role, passwords), ROLES / role)
    # Redis runs under our own user id: an empty volume would take the owner of Redis's image.
    (DATA / ".timeball").touch()
    print("secrets are in place")


def address(user: str, passwords: dict[str, str]) -> str:
    return f"redis://{user}:{passwords[user]}@{ADDRESS}/0\n"


def make_key() -> None:
    from timeball import settings
    from timeball.errors import TimeballError
    from timeball.store.projects import Vault
    from timeball.store.scripts import connect
    from timeball.up import firstkey

    loaded = settings.load()
    assert loaded.secret is not None, "TIMEBALL_SECRET_FILE is set in docker-compose.yml"
    try:
        key = firstkey.ensure(connect(loaded.redis_url), Vault(loaded.secret), FOLDER / "first_key")
    except TimeballError as error:
        sys.exit(f"no first key: {error}")
    print(f"project: {firstkey.PROJECT}\nkey: {key}")


if __name__ == "__main__":
    if sys.argv[1:] == ["secrets"]:
        make_secrets(dict(os.environ))
    elif sys.argv[1:] == ["key"]:
        make_key()
    else:
        sys.exit(__doc__)
