"""Requests to the API: where it is, who asks, and when a request is made once more."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from time import sleep
from typing import Any, NamedTuple

import requests

from timeball.client.errors import Unreachable, refusal

TRANSIENT = frozenset({429, 502, 503, 504})
LONGEST_WAIT_SECONDS = 20.0
FIRST_WAIT_SECONDS = 0.2


class Answer(NamedTuple):
    """An answer's JSON, None without a body; its headers."""

    json: Any
    headers: Mapping[str, str]


class Wire:
    """A session with one API. `retry` of a request says that making it twice does no harm."""

    def __init__(
        self, url: str | None, key: str | None, *, timeout: float = 10.0, tries: int = 5
    ) -> None:
        url, key = url or os.environ.get("TIMEBALL_URL"), key or os.environ.get("TIMEBALL_KEY")
        if not url or not key:
            raise ValueError("give url and key, or set TIMEBALL_URL and TIMEBALL_KEY")
        self.base = url.rstrip("/").removesuffix("/v2") + "/v2"
        self.timeout, self.tries = timeout, max(1, tries)
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"
        self.session.headers["User-Agent"] = "timeball-python"

    def close(self) -> None:
        """Close its connections."""
        self.session.close()

    def __call__(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        retry: bool | None = None,
    ) -> Answer:
        """Ask, and ask again while that may help. Raises Refused or Unreachable.

        Unless `retry` says otherwise, what only reads or may be repeated (GET, PUT, DELETE) is. A 503 of ours
        says that nothing was changed, so it is always asked again.
        """
        again = method in ("GET", "PUT", "DELETE") if retry is None else retry
        wait, why = FIRST_WAIT_SECONDS, ""
        for number in range(1, self.tries + 1):
            asked_to_wait = None
            try:
                answer = self.session.request(
                    method,
                    self.base + path,
                    json=json,
                    params=params,
                    headers=headers,
                    timeout=self.timeout,
                    allow_redirects=False,
                )
            except (requests.ConnectionError, requests.Timeout) as error:
                why = f"{self.base} does not answer: {error}"
                if not again and not isinstance(error, requests.ConnectTimeout):
                    break
            else:
                status = answer.status_code
                if status < 300:
                    return Answer(_told(answer), answer.headers)
                if status == 404 and method == "DELETE" and number > 1:
                    return Answer(None, answer.headers)  # an earlier try has done it
                if status not in TRANSIENT:
                    raise refusal(status, _told(answer), answer.headers.get("X-Request-Id"))
                why = f"{self.base} answers {status}: {answer.text[:200]}"
                if not again and status not in (429, 503):
                    break
                asked_to_wait = _seconds(answer.headers.get("Retry-After"))
            if number < self.tries:
                chance = wait * random.uniform(0.5, 1.5)  # noqa: S311 (jitter, not a secret)
                sleep(min(LONGEST_WAIT_SECONDS, max(chance, asked_to_wait or 0.0)))
                wait *= 2
        raise Unreachable(why)

    def pages(self, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
        """Every entry of a list, page by page."""
        asked = {name: value for name, value in params.items() if value is not None}
        while True:
            told, headers = self("GET", path, params=asked)
            yield from told
            cursor = headers.get("X-Next-Cursor")
            if cursor is None:
                return
            asked["cursor"] = cursor


def _told(answer: requests.Response) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        return answer.text[:500]


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() else None
