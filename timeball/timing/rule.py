"""A rule: when a schedule fires, made from the strings its caller wrote.

A Rule holds no state. Whoever expands schedules keeps the strings, the start and the last instant named, and
asks for the next one; the same question always has the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from timeball.errors import InvalidField
from timeball.timing.budget import Budget, OverBudget
from timeball.timing.by_wall import ByWall
from timeball.timing.cron import PROOF_FROM, PROOF_SPAN, cron_days, never_fires, parse_cron
from timeball.timing.durations import FIRST_YEAR, LAST_YEAR, format_instant
from timeball.timing.pace import TICK, Steps
from timeball.timing.plans import CronPlan, EveryPlan, Plan, Recurrence
from timeball.timing.real_time import InRealTime
from timeball.timing.recurrence_set import parse_rrule
from timeball.timing.rrule import Freq, Stamp
from timeball.timing.walls import walls_of
from timeball.timing.words import cron_in_words, rrule_in_words
from timeball.timing.zones import Zone, find_zone

EPOCH = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
BEFORE_ALL = EPOCH - TICK
BUDGET = 60_000
"""What one answer may cost, in units of about a microsecond."""
PARSE_BUDGET = 80_000
"""What checking a rule may cost: counting to COUNT and proving that it fires."""
PER_INSTANT = 100
"""What each instant of a list adds to the budget."""
PER_LISTED = 1000
"""The same for `between`, which no request waits for; no common step costs more."""
CACHED_RULES = 2048


@dataclass(frozen=True, slots=True)
class Instant:
    """One occurrence as a person wants to see it.

    `gap`: the wall time that the rule names does not exist that day, so it moved to here. `fold`: the local
    time comes twice that day; the offset says which of the two this is.
    """

    utc: datetime
    local: datetime
    offset: timedelta
    gap: bool
    fold: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """When a schedule fires. Exactly one of `cron` and `rrule` is set, as its caller wrote it.

    `timezone` is the zone in force, wherever it was named. `start` is the instant that an rrule or `@every`
    counts from. `last` is the end that UNTIL or COUNT gives, which no instant passes but an RDATE's; None is
    endless. All instants, asked and answered, are aware and UTC.
    """

    cron: str | None
    rrule: str | None
    timezone: str
    start: datetime | None
    last: datetime | None
    _plan: Plan = field(repr=False, compare=False)
    _zone: Zone = field(repr=False, compare=False)

    def next_after(self, after: datetime) -> datetime | None:
        """The first occurrence strictly after an instant; None if there is no more before LAST_YEAR ends.

        Raises InvalidField when finding it costs more than BUDGET: the rule is too sparse to be kept.
        """
        return self._next(after, Budget(BUDGET))

    def first(self) -> datetime | None:
        """The first occurrence of all; for an endless cron, the first since 1970."""
        return self.next_after((self.start or EPOCH) - TICK)

    def instants(self, after: datetime, n: int) -> list[datetime]:
        """The first `n` occurrences strictly after an instant; fewer when the rule ends, or is too sparse."""
        budget = Budget(BUDGET + PER_INSTANT * n)
        found: list[datetime] = []
        while len(found) < n:
            try:
                instant = self._next(after, budget)
            except InvalidField:
                if found:
                    break
                raise
            if instant is None:
                break
            found.append(instant)
            after = instant
        return found

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """The occurrences after `after`, up to and with `until`, `limit` of them at most."""
        budget = Budget(BUDGET + PER_LISTED * limit)
        found: list[datetime] = []
        while len(found) < limit:
            instant = self._next(after, budget)
            if instant is None or instant > until:
                break
            found.append(instant)
            after = instant
        return found

    def preview(self, after: datetime, n: int) -> list[Instant]:
        """The next `n` occurrences with their local time, gaps and folds marked."""
        return [self._shown(instant) for instant in self.instants(after, n)]

    def describe(self) -> str:
        """The rule in English words, its zone included when it is not UTC."""
        if self.cron is not None:
            words = cron_in_words(parse_cron(self.cron))
        else:
            assert self.rrule is not None
            assert self.start is not None
            words = rrule_in_words(parse_rrule(self.rrule), self._zone.wall(self.start))
        return words if self._zone.steady else f"{words} ({self.timezone})"

    def _next(self, after: datetime, budget: Budget) -> datetime | None:
        if after.tzinfo is None:
            raise ValueError(f"an instant needs a zone: {after!r}")
        if after.tzinfo is not UTC or after.fold:
            after = after.astimezone(UTC).replace(fold=0)
        after = max(after, BEFORE_ALL)
        if after.year > LAST_YEAR:
            return None
        try:
            found = self._plan.next_after(after, budget)
        except OverBudget:
            raise _too_sparse(self.cron, self.rrule) from None
        return found if found is None or found.year <= LAST_YEAR else None

    def _shown(self, instant: datetime) -> Instant:
        local = instant.astimezone(self._zone.info)
        offset = local.utcoffset() or timedelta()
        gap = self._zone.gap_before(instant)
        first, second = self._zone.offsets(local.replace(tzinfo=None))
        return Instant(
            utc=instant,
            local=local,
            offset=offset,
            gap=bool(gap) and self._moved(local.replace(tzinfo=None), gap),
            fold=first > second,
        )

    def _moved(self, wall: datetime, gap: timedelta) -> bool:
        """Whether an occurrence at the end of a gap was named for a time within it."""
        if isinstance(self._plan, CronPlan) and not self._plan.hourly:
            named = self._plan.walls(wall - gap - TICK)
        elif isinstance(self._plan, Recurrence) and isinstance(self._plan.source, ByWall):
            named = self._plan.source.next_wall(wall - gap - TICK, Budget(BUDGET))
        else:
            return False
        return named is not None and named < wall


def parse_rule(
    cron: str | None = None,
    rrule: str | None = None,
    timezone: str = "UTC",
    dtstart: datetime | None = None,
    created: datetime | None = None,
    last: datetime | None = None,
    *,
    proven: bool = False,
) -> Rule:
    """Make the rule of a cron expression or of an RFC 5545 recurrence set; one of them, not both.

    `dtstart` is where an rrule starts: an aware instant, or a naive wall time of the zone. `created` stands in
    where nobody named a start, and is where `@every` counts from. `last` may repeat what Rule.last said when
    the same strings were parsed before; then a large COUNT is not counted again. `proven` says that they were:
    then it is not proven anew that the rule fires, which costs most. Parsed rules are cached.

    Raises InvalidField on `cron`, `rrule`, `timezone` or `dtstart`: for what cannot be read, for what has no
    meaning, for rules that never fire, and for those that cost more than PARSE_BUDGET to check.
    """
    for instant in (created, last):
        if instant is not None and instant.tzinfo is None:
            raise ValueError(f"an instant needs a zone: {instant!r}")
    if cron is not None and rrule is not None:
        raise InvalidField("rrule", "cron is given too: a schedule has one of them")
    if cron is not None:
        if dtstart is not None:
            raise InvalidField("dtstart", "goes with rrule only: leave it out")
        every = "@every" in cron[:1024].lower()
        return _parse_cron(cron, timezone, created if every else None, proven)
    if rrule is None:
        raise InvalidField("cron", "is missing: give cron, like 0 9 * * 1-5, or rrule")
    return _parse_rrule(
        rrule, timezone, dtstart, created if dtstart is None else None, last, proven
    )


@lru_cache(maxsize=CACHED_RULES)
def _parse_cron(text: str, timezone: str, created: datetime | None, proven: bool) -> Rule:
    cron = parse_cron(text)
    zone = _agreed_zone(timezone, cron.zone, "cron")
    if cron.every is not None:
        start = EPOCH if created is None else created.astimezone(UTC)
        every = EveryPlan(Steps(start + cron.every, cron.every))
        return Rule(text, None, zone.name, start, None, every, zone)
    plan = CronPlan(walls_of(cron_days(cron), cron.times), zone, cron.hourly)
    if not proven:
        begin = datetime(PROOF_FROM.year, PROOF_FROM.month, PROOF_FROM.day, tzinfo=UTC)
        proof = plan.next_after(begin, Budget(PARSE_BUDGET))
        if proof is None or proof - begin > PROOF_SPAN:
            raise never_fires(text)
    return Rule(text, None, zone.name, None, None, plan, zone)


@lru_cache(maxsize=CACHED_RULES)
def _parse_rrule(
    text: str,
    timezone: str,
    dtstart: datetime | None,
    created: datetime | None,
    last: datetime | None,
    proven: bool,
) -> Rule:
    parsed = parse_rrule(text)
    zone = _agreed_zone(timezone, parsed.zone, "rrule")
    start, begin = _start(parsed.start, dtstart, created, zone)
    source: ByWall | InRealTime
    if parsed.rule.freq < Freq.HOURLY:
        source = ByWall(parsed.rule, start, begin, zone)
    else:
        source = InRealTime(parsed.rule, zone.wall(begin).replace(fold=0), begin, zone)
    budget = Budget(PARSE_BUDGET)
    if parsed.rule.until is not None:
        last = _instant(parsed.rule.until, zone)
    elif parsed.rule.count is None:
        last = None
    elif last is None:
        last = _counted(source, parsed.rule.count, budget, text)
    plan = Recurrence(
        source,
        last,
        tuple(sorted({_instant(stamp, zone) for stamp in parsed.added})),
        frozenset(_instant(stamp, zone) for stamp in parsed.removed),
    )
    made = Rule(None, text, zone.name, begin, last, plan, zone)
    if proven:
        return made
    try:
        proof = plan.next_after(BEFORE_ALL, budget)
    except OverBudget:
        raise _too_sparse(None, text) from None
    if proof is None:
        why = "no day or time matches all of its parts"
        if last is not None and last < begin:
            why = f"it ends at {format_instant(last)}, before its start {format_instant(begin)}"
        raise InvalidField("rrule", f"{text[:80]!r} never fires: {why}")
    return made


def _counted(source: ByWall | InRealTime, count: int, budget: Budget, text: str) -> datetime | None:
    """The last occurrence of a rule with a COUNT; None for a rule that never fires."""
    try:
        first = source.next_after(source.begin - TICK, budget)
    except OverBudget:
        raise _too_sparse(None, text) from None
    if first is None:
        return None
    try:
        return source.nth(count, budget)
    except OverBudget:
        raise InvalidField(
            "rrule",
            f"COUNT={count} takes too long to count with these parts: use UNTIL, or a smaller COUNT",
        ) from None


def _agreed_zone(timezone: str, inner: str | None, field: str) -> Zone:
    """The zone of the `timezone` field, or the one named inside the text; they must not differ."""
    zone = find_zone(timezone)
    if inner is None:
        return zone
    named = find_zone(inner, field)
    if timezone not in ("UTC", inner):
        raise InvalidField(
            "timezone", f"{timezone!r} is not {inner!r}, which {field} names: leave one out"
        )
    return named


def _start(
    line: Stamp | None, dtstart: datetime | None, created: datetime | None, zone: Zone
) -> tuple[datetime, datetime]:
    """Where an rrule starts, to the second: its wall time and its instant."""
    if dtstart is not None and dtstart.tzinfo is None:
        given = dtstart.replace(microsecond=0, fold=0)
        start, begin = given, zone.first(given)
    elif dtstart is not None or created is not None:
        begin = (dtstart or created or EPOCH).astimezone(UTC).replace(microsecond=0)
        start = zone.wall(begin).replace(fold=0)
    elif line is None:
        raise InvalidField("dtstart", "is missing: say where the rrule starts")
    if line is not None:
        named = _instant(line, zone)
        if dtstart is not None and named != begin:
            raise InvalidField("dtstart", "differs from the DTSTART in rrule: leave one out")
        begin = named
        start = zone.wall(named).replace(fold=0) if line.utc else line.wall
    if not FIRST_YEAR <= begin.year <= LAST_YEAR:
        raise InvalidField(
            "dtstart", f"lies outside the years {FIRST_YEAR} to {LAST_YEAR}: choose one within"
        )
    return start, begin


def _instant(stamp: Stamp, zone: Zone) -> datetime:
    return stamp.wall.replace(tzinfo=UTC) if stamp.utc else zone.first(stamp.wall)


def _too_sparse(cron: str | None, rrule: str | None) -> InvalidField:
    field, text = ("cron", cron) if cron is not None else ("rrule", rrule)
    return InvalidField(
        field,
        f"{(text or '')[:80]!r} never fires, or too seldom to be found in time: give fewer parts",
    )
