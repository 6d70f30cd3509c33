"""How values look on pages. Text of others' making is made harmless to the eye here; Jinja escapes it."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta

from timeball.ids import id_text
from timeball.model.task import State, Task

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
"""Control characters, and those that turn or hide the text around them. Tab and newline stay."""

SHOWN_BYTES = 64 * 1024
DUMPED_BYTES = 512

STATE_WORDS = {
    State.SCHEDULED: "waiting",
    State.RUNNING: "in flight",
    State.SUCCEEDED: "succeeded",
    State.DEAD: "dead",
    State.CANCELLED: "cancelled",
}


def text(value: object) -> str:
    """Text of others' making with its unseen characters made visible: ␀ for NUL, ⟨U+202E⟩ for what turns text."""
    return _UNSEEN.sub(_visible, str(value))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def escaped(json_text: str) -> str:
    """JSON that means the same, its unseen characters written as escapes."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", json_text)


def line(value: object, limit: int = 200) -> str:
    """As `text`, on one line and not too long."""
    found = text(value).replace("\n", "␊").replace("\t", "␉")
    return found if len(found) <= limit else found[: limit - 1] + "…"


def body(raw: bytes, cut: bool = False) -> str:
    """A body as text; of bytes that are no text the first ones in hexadecimal."""
    try:
        return text(raw[:SHOWN_BYTES].decode())
    except UnicodeDecodeError as error:
        if (cut or len(raw) > SHOWN_BYTES) and error.start > min(len(raw), SHOWN_BYTES) - 4:
            return text(raw[: error.start].decode())
    rows = [raw[at : at + 16] for at in range(0, min(len(raw), DUMPED_BYTES), 16)]
    return "\n".join(
        f"{at * 16:04x}  {row.hex(' '):<47}  "
        + "".join(chr(b) if 32 <= b < 127 else "." for b in row)
        for at, row in enumerate(rows)
    )


def span(value: timedelta | float) -> str:
    """A duration in two units at most: `340 ms`, `12.5 s`, `3 min 5 s`, `2 d 4 h`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds < 0.001:
        return f"{sign}{seconds * 1_000_000:.0f} µs" if seconds else "0 s"
    if seconds < 1:
        return f"{sign}{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{sign}{seconds:.3g} s"
    whole = round(seconds)
    for size, unit, small_size, small in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            large, rest = divmod(whole, size)
            rest //= small_size
            return f"{sign}{large} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{sign}{whole} s"


def written(value: timedelta) -> str:
    """A duration as our rules read it, in one unit: `90s`, `5m`, `1h`."""
    seconds = value.total_seconds()
    for size, unit in ((3600, "h"), (60, "m")):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:.10g}s"


def instant(at: datetime | None) -> str:
    """An instant in UTC to the second."""
    return "–" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def exact(at: datetime | None) -> str:
    """An instant in UTC to the millisecond, as the API writes it."""
    return "" if at is None else at.isoformat("T", "milliseconds").replace("+00:00", "Z")


def ago(at: datetime | None, now: datetime) -> str:
    """An instant as seen from now: `in 5 s`, `3 min ago`."""
    if at is None:
        return "–"
    seconds = (at - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(coarse(seconds))}" if seconds > 0 else f"{span(coarse(-seconds))} ago"


def coarse(seconds: float) -> float:
    """Seconds cut to what a person reads at a glance."""
    if seconds < 60:
        return float(int(seconds))
    return seconds - seconds % (60 if seconds < 86400 else 3600)


def count(value: int) -> str:
    """A number with thin spaces between its thousands."""
    return f"{value:,}".replace(",", "\u2009")


def many(value: int, noun: str) -> str:
    """A number of things: `1 task`, `2 tasks`, `2 processes`."""
    return f"{count(value)} {nouns(value, noun)}"


def nouns(value: int, noun: str) -> str:
    """A noun as it stands behind a number."""
    if value == 1:
        return noun
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def shell(value: str) -> str:
    """A word of a command that people copy."""
    return shlex.quote(line(value))


def size(value: int) -> str:
    """Bytes in the largest fitting unit."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            return f"{amount:.0f} B" if unit == "B" else f"{amount:.3g} {unit}"
        amount /= 1024
    return f"{value} B"


def state(task: Task) -> str:
    """The state's word; a waiting task that was tried says so."""
    if task.state is State.SCHEDULED and task.attempt > task.attempt_base:
        return "retrying"
    return STATE_WORDS[task.state]


def task_id(task: Task) -> str:
    """The 36 characters of a task's id."""
    return id_text(task.id)


def is_export(task: Task) -> bool:
    """Whether a task writes a file instead of calling somebody."""
    return task.request.url.startswith("export:")


def action(task: Task) -> str:
    """What a task does, before what it does it to."""
    return "export" if is_export(task) else task.request.method.value


def target(task: Task) -> str:
    """The URL that a task calls, or the index that it exports."""
    return text(task.request.url.removeprefix("export:"))


def title(task: Task) -> str:
    """What a list calls a task: its name, or what it calls."""
    return line(task.name or target(task))
