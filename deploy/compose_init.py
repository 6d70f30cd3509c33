"""What docker-compose.yml does once, so that `docker compose up` needs no file edited.

    compose_init.py secrets   before Redis starts: the master secret, passwords and Redis's configuration
    compose_init.py key       once Redis answers: the first project and its key, shown in the log

Everything is kept in the volume `secrets`, mode 0600. A second run keeps what the first one made.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

FOLDER = Path("/run/timeball")
DATA = Path("/data")

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
"""

REDIS_ACL = """\
user default off ~* &* +@all
user timeball on >{password} ~* &* +@all -@dangerous +info
"""
"""Nobody without a password; and with it nothing that could drop, copy, read or reconfigure all at once.

The default user is off, so no connection gets its rights; but Redis 7.0 loads its append-only file as that user,
and would leave out every move of ours if it had none.
"""


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


def write(name: str, text: str) -> None:
    """Put a file in place at once."""
    beside = FOLDER / f".{name}"
    beside.touch(mode=0o600)
    beside.write_text(text)
    beside.replace(FOLDER / name)


def make_secrets(environ: dict[str, str]) -> None:
    keep("secret", environ.get("MASTER_SECRET", ""), fixed=True)
    keep("metrics_token", environ.get("METRICS_TOKEN", ""))
    password = keep("redis_password", environ.get("REDIS_PASSWORD", ""))
    if set(password) & set("@:/?#%\\\"'"):
        sys.exit(
            "redis_password: letters, digits, - and _ only, since it becomes part of an address"
        )
    write("redis_url", f"redis://timeball:{password}@redis:6379/0\n")
    write("redis.acl", REDIS_ACL.format(password=password))
    values = {
        "folder": FOLDER,
        "data": DATA,
        "memory": environ.get("REDIS_MAXMEMORY") or "1gb",
        "fsync": environ.get("REDIS_FSYNC") or "everysec",
    }
    write("redis.conf", REDIS_CONF.format(**values))
    password = keep("flower_password", environ.get("FLOWER_PASSWORD", ""))
    write("flower_login", f"timeball:{password}\n")
    # Redis runs under our own user id: an empty volume would take the owner of Redis's image.
    (DATA / ".timeball").touch()
    print("secrets are in place")


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
