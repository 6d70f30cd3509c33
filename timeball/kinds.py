"""How the texts of settings are read: each function takes a text, or makes what takes one.

The words of a ValueError follow the value: "TIMEBALL_SHARDS: 'x' must be a whole number from 1 to 64".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec


def text(value: str) -> str:
    return value


def flag(value: str) -> bool:
    lowered = value.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("must be one of 1, true, yes, on, 0, false, no, off")


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
            raise ValueError(f"must be a whole number from {low} to {high}")
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return parse


def _number(value: str) -> float:
    """Not a number (NaN) where the text is none: no comparison holds for it."""
    try:
        return float(value)
    except ValueError:
        return float("nan")


def seconds(low: float, high: float) -> Callable[[str], timedelta]:
    return _span("seconds", timedelta(seconds=1), low, high)


def days(low: float, high: float) -> Callable[[str], timedelta]:
    return _span("days", timedelta(days=1), low, high)


def _span(unit: str, one: timedelta, low: float, high: float) -> Callable[[str], timedelta]:
    def parse(value: str) -> timedelta:
        number = _number(value)
        if not low <= number <= high:
            raise ValueError(f"must be a number of {unit} from {low:g} to {high:g}")
        return number * one

    return parse


def share(value: str) -> float:
    number = _number(value)
    if not 0 < number <= 1:
        raise ValueError("must be a number above 0 and up to 1")
    return number


def choice(*options: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return value

    return parse


def redis_url(value: str) -> str:
    if not re.match(r"(redis|rediss|unix|sentinel)://", value):
        raise ValueError("must begin with redis://, rediss://, unix:// or sentinel://")
    return value


def broker_url(value: str) -> str:
    if "://" not in value:
        raise ValueError("must be a broker URL that Celery knows, such as redis://host:6379/0")
    return value


def secret(value: str) -> str:
    value = value.strip()
    if len(value) < 32:
        raise ValueError(
            "must have at least 32 characters; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return value


def token_or_open(value: str) -> str:
    value = value.strip()
    if value == "open":
        return value
    try:
        return secret(value)
    except ValueError as error:
        raise ValueError(f"must be `open`, or a token: it {error}") from None


def password(value: str) -> str:
    value = value.strip()
    if len(value) < 12:
        raise ValueError("must have at least 12 characters")
    return value


def several(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def messengers(value: str) -> tuple[str, ...]:
    urls = tuple(value.split())
    if any("://" not in url for url in urls):
        raise ValueError("must be URLs as Apprise takes them, with blanks or lines between them")
    if urls:
        need("apprise", "alerts")
    return urls


def traced(value: str) -> float:
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError("must be a number from 0 to 1")
    need("opentelemetry.exporter.otlp.proto.http", "otel")
    return number


def need(package: str, extra: str) -> None:
    """Raises ValueError when a package is not installed; it is not imported."""
    try:
        there = find_spec(package) is not None
    except ModuleNotFoundError:  # nor what it would be in
        there = False
    if not there:
        raise ValueError(
            f"needs the extra `{extra}`: pip install 'timeball[{extra}]', or make extras"
        )


def ports(value: str) -> tuple[int, ...]:
    parse = whole(1, 65535)
    try:
        return tuple(parse(part) for part in several(value))
    except ValueError:
        raise ValueError("must be port numbers from 1 to 65535, comma-separated") from None
