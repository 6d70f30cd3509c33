"""What a segment is once it is checked: rules, typed by the columns they name. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dateutil.relativedelta import relativedelta

from timeball.export.columns import Kind, Times, Value


class Operator(StrEnum):
    """What a rule asks of a field."""

    IS = "is"
    """Equal to `value`."""
    IS_NOT = "is_not"
    """Not equal to `value`, or NULL."""
    IS_ANY_OF = "is_any_of"
    """Equal to one of `values`. Ours."""
    CONTAINS = "contains"
    """Holds `value` as a part."""
    DOES_NOT_CONTAIN = "does_not_contain"
    """Does not hold `value`, or NULL."""
    IS_SET = "is_set"
    """Not NULL. Ours."""
    IS_NOT_SET = "is_not_set"
    """NULL. Ours."""
    IS_DATE = "is_date"
    """On the day of `value`."""
    IS_AFTER_DATE = "is_after_date"
    """Later than `start_date`."""
    IS_BEFORE_DATE = "is_before_date"
    """Earlier than `end_date`."""
    IS_BETWEEN_DATE = "is_between_date"
    """From `start_date` to `end_date`, both included."""
    IS_BETWEEN_NUMBER = "is_between_number"
    """From `min` to `max`, both included."""
    IS_LESS_THAN = "is_less_than"
    """A number below `value`. Ours."""
    IS_GREATER_THAN = "is_greater_than"
    """A number above `value`. Ours."""
    RELATIVE_LESS_THAN = "relative_less_than"
    """Within the last `time_amount` of `time_factor`."""
    RELATIVE_MORE_THAN = "relative_more_than"
    """Longer ago than `time_amount` of `time_factor`. Ours."""
    RELATIVE_NEXT = "relative_next"
    """Within the next `time_amount` of `time_factor`. Ours."""


@dataclass(frozen=True, slots=True)
class Span:
    """A length of calendar time: `amount` of `unit` (second, minute, hour, day, week, month, year)."""

    unit: str
    amount: int

    def before(self, now: datetime) -> datetime:
        return now - self._delta()

    def after(self, now: datetime) -> datetime:
        return now + self._delta()

    def _delta(self) -> relativedelta:
        # relativedelta is typed for its own absolute arguments too, so the mapping must be Any
        lengths: dict[str, Any] = {self.unit + "s": self.amount}
        return relativedelta(**lengths)


@dataclass(frozen=True, slots=True)
class Rule:
    """One typed rule. A row fits when its field equals, holds or lies in one of `values`, or in the span.

    `times` is set when the field is compared as an instant, and says how it is stored.
    """

    column: str
    operator: Operator
    kind: Kind
    times: Times | None = None
    values: tuple[Value, ...] = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Rules joined by AND (`every`) or by OR."""

    every: bool
    rules: tuple[Rule, ...]
