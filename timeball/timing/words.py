"""Rules in English words, for previews and pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product

from cron_descriptor import ExpressionDescriptor, Options

from timeball.timing.cron import COLUMNS, Column, Cron
from timeball.timing.recurrence_set import RecurrenceSet
from timeball.timing.rrule import Freq, RRule

MAX_TIMES = 6
"""More times of day than this are told as minutes and hours."""

MONTH_NAMES = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNITS = {
    Freq.YEARLY: "year",
    Freq.MONTHLY: "month",
    Freq.WEEKLY: "week",
    Freq.DAILY: "day",
    Freq.HOURLY: "hour",
    Freq.MINUTELY: "minute",
    Freq.SECONDLY: "second",
}


def cron_in_words(cron: Cron) -> str:
    """A checked cron expression, such as "At 09:00, Monday through Friday"."""
    if cron.every is not None:
        return f"Every {_duration(cron.every)}"
    *times, day, month, weekday = cron.columns
    times = [_uneven(text, column) for text, column in zip(times, COLUMNS[:3], strict=True)]
    starred = day.startswith("*") or weekday.startswith("*")
    # cron-descriptor tells L, W and # right only where they stand alone.
    days = day.split(",") if "L" in day else [day]
    weekdays = weekday.split(",") if "L" in weekday or "#" in weekday else [weekday]
    special = any(mark in day + weekday for mark in "LW#")
    if starred or not special:
        pairs = list(product(days, weekdays))
    else:
        pairs = [*((one, "*") for one in days), *(("*", one) for one in weekdays)]
    said = [_describe(" ".join((*times, one, month, other))) for one, other in pairs]
    words = "; ".join([said[0], *(one[0].lower() + one[1:] for one in said[1:])])
    if starred:
        # With a star at either's head a day must match both; cron-descriptor does not know.
        words = words.replace(", or on ", ", and only on ")
    return words


def _uneven(text: str, column: Column) -> str:
    """A step that does not go into its hour or day as its values: "every 7 minutes" would be untrue at its end."""
    star, _, step = text.partition("/")
    if star != "*" or not step or (column.high + 1) % int(step) == 0:
        return text
    return ",".join(map(str, range(0, column.high + 1, int(step))))


def _describe(text: str) -> str:
    options = Options()
    options.use_24hour_time_format = True
    return str(ExpressionDescriptor(text, options).get_full_description())


def _duration(step: timedelta) -> str:
    hours, rest = divmod(step.total_seconds(), 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((int(hours), "hour"), (int(minutes), "minute"), (seconds, "second"))
    return " ".join(f"{n:g} {unit}{'s' if n != 1 else ''}" for n, unit in parts if n)


def rrule_in_words(parsed: RecurrenceSet, start: datetime) -> str:
    """A checked recurrence set, such as "Every 2 weeks on Monday at 09:00, 10 times".

    `start` is its wall time; it decides what the rule leaves open.
    """
    rule = parsed.rule
    unit = UNITS[rule.freq]
    words = f"Every {unit}" if rule.interval == 1 else f"Every {rule.interval} {unit}s"
    words = " ".join((words, *_days(rule, start), *_times(rule, start)))
    if rule.positions:
        words += f", only the {_list([_nth(pos) for pos in rule.positions])} of each {unit}"
    if rule.until is not None:
        words += f", until {rule.until.wall:%Y-%m-%d %H:%M}{' UTC' if rule.until.utc else ''}"
    if rule.count is not None:
        words += f", {rule.count} times" if rule.count > 1 else ", once"
    if parsed.added:
        words += f", and on {len(parsed.added)} more date{'s' if len(parsed.added) > 1 else ''}"
    if parsed.removed:
        words += f", except on {len(parsed.removed)} date{'s' if len(parsed.removed) > 1 else ''}"
    return words


def _days(rule: RRule, start: datetime) -> list[str]:
    """What the rule says of days, or takes from its start."""
    words = []
    open_days = not (rule.week_numbers or rule.year_days or rule.month_days or rule.weekdays)
    if rule.weekdays:
        names = [
            f"{_nth(d.nth)} {DAY_NAMES[d.day]}" if d.nth else DAY_NAMES[d.day]
            for d in rule.weekdays
        ]
        of = ""
        if any(one.nth for one in rule.weekdays):
            of = " of the year" if rule.freq is Freq.YEARLY and not rule.months else " of the month"
            names = [f"the {name}" for name in names]
        words.append(f"on {_list(names)}{of}")
    elif open_days and rule.freq is Freq.WEEKLY:
        words.append(f"on {DAY_NAMES[start.weekday()]}")
    month_days: Sequence[int] = rule.month_days
    if open_days and rule.freq in (Freq.MONTHLY, Freq.YEARLY):
        month_days = (start.day,)
    if month_days:
        words.append(f"on {_numbered_days(month_days)} of the month")
    if rule.year_days:
        words.append(f"on {_numbered_days(rule.year_days)} of the year")
    if rule.week_numbers:
        weeks = [f"week {n}" if n > 0 else f"the {_nth(n)} week" for n in rule.week_numbers]
        words.append(f"in {_list(weeks)}")
    months = rule.months or ((start.month,) if open_days and rule.freq is Freq.YEARLY else ())
    if months:
        words.append(f"in {_list([MONTH_NAMES[n - 1] for n in months])}")
    return words


def _times(rule: RRule, start: datetime) -> list[str]:
    """What the rule says of times of day, or takes from its start."""
    if rule.freq < Freq.HOURLY:
        hours = rule.hours or (start.hour,)
        minutes = rule.minutes or (start.minute,)
        seconds = rule.seconds or (start.second,)
        if len(hours) * len(minutes) * len(seconds) <= MAX_TIMES:
            times = [
                f"{h:02}:{m:02}" + (f":{s:02}" if s else "")
                for h, m, s in product(hours, minutes, seconds)
            ]
            return [f"at {_list(times)}"]
    else:
        hours, minutes, seconds = rule.hours, rule.minutes, rule.seconds
    parts = ((seconds, "second"), (minutes, "minute"), (hours, "hour"))
    said = [
        f"{unit}{'s' if len(values) > 1 else ''} {_list([str(one) for one in values])}"
        for values, unit in parts
        if values
    ]
    return [f"at {' of '.join(said)}"] if said else []


def _numbered_days(numbers: Sequence[int]) -> str:
    return _list([f"day {n}" if n > 0 else f"the {_nth(n)} day" for n in numbers])


def _nth(number: int) -> str:
    """`2nd`, `last`, `3rd to last`."""
    if number == -1:
        return "last"
    size = abs(number)
    suffix = (
        "th" if size % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(size % 10, "th")
    )
    return f"{size}{suffix}" if number > 0 else f"{size}{suffix} to last"


def _list(items: Sequence[str]) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
