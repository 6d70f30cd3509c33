"""Makes sure that the development key in a file is alive, and a link to the dashboard; run by `up` once
Redis answers.

A program of its own, so that the supervisor itself need not load the store's libraries.
"""

from __future__ import annotations

import sys
from pathlib import Path

from timeball import settings
from timeball.errors import ConfigError, TimeballError
from timeball.model.visitor import Role, Visitor
from timeball.store import logins, projects
from timeball.store.scripts import Client, connect
from timeball.up.folder import write_atomically

PROJECT = "default"
LABEL = "made by timeball up"


def ensure(client: Client, vault: projects.Vault, path: Path) -> str:
    """The text of the key kept in the file, made anew when the store does not know it.

    A store that was emptied, or a folder used with another store, gets a fresh key in the project `default`.
    """
    kept = path.read_text().strip() if path.exists() else ""
    if kept and projects.authenticate(client, kept) is not None:
        return kept
    project = projects.create_project(client, vault, PROJECT)
    _, text = projects.create_key(client, vault, project.id, label=LABEL)
    write_atomically(path, text + "\n")
    return text


def main(words: list[str]) -> int:
    """Exit code 0 when the file holds a live key."""
    try:
        loaded = settings.load()
        if loaded.secret is None:
            raise ConfigError(["TIMEBALL_SECRET is not set"])
        client = connect(loaded.redis_url)
        ensure(client, projects.Vault(loaded.secret), Path(words[0]))
        link = logins.make_link(client, Visitor("up", Role.ADMIN))
        write_atomically(Path(words[1]), logins.link_path(link) + "\n")
    except TimeballError as error:
        print(f"no development key: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
