"""What commands that speak to the API share: where it is, and how what is wrong is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from timeball.errors import ConfigError

if TYPE_CHECKING:
    from timeball.client import Timeball


def client_for(data: Path | None) -> Timeball:
    """A client of the API at TIMEBALL_URL, or of the `timeball up` on a data folder. Raises ConfigError."""
    from timeball.client import Timeball

    url, key = address(data)
    return Timeball(url, key, tries=3)


def address(data: Path | None) -> tuple[str, str]:
    """Where the API is, and a key of it. Raises ConfigError."""
    url, key = os.environ.get("TIMEBALL_URL"), os.environ.get("TIMEBALL_KEY")
    if data is not None:
        from timeball.up.folder import read_run

        _, facts = read_run(data)
        url, key = facts.get("url"), facts.get("api_key")
    if not url or not key:
        raise ConfigError(
            [
                "where Timeball is was not said: set TIMEBALL_URL and TIMEBALL_KEY, "
                "or name the data folder of a running `timeball up` with --data"
            ]
        )
    return url, key


class Remote:
    """The API of a running Timeball, with `requests`."""

    def __init__(self, data: Path | None) -> None:
        import requests

        url, key = address(data)
        self.base = url.rstrip("/").removesuffix("/v2") + "/v2"
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        """An answer's JSON, None without a body. Raises ClickException with what the API says is wrong."""
        return self.answer(method, path, **options)[0]

    def answer(self, method: str, path: str, **options: Any) -> tuple[Any, str | None]:
        """(JSON, the next page's cursor) of an answer."""
        import requests

        try:
            answer = self.session.request(method, self.base + path, timeout=30, **options)
            told = answer.json() if answer.content else None
        except (requests.RequestException, ValueError) as error:
            raise click.ClickException(f"{self.base} does not answer: {error}") from None
        if answer.status_code >= 400:
            raise click.ClickException(str(told.get("message", told) if told else answer.reason))
        return told, answer.headers.get("X-Next-Cursor")
