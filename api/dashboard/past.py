"""Past runs of schedules: a bead for each, coloured by how its task ended, and a count of each fate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from api.dashboard import shown
from api.dashboard.desk import Visit
from timeball.model.schedule import Fate, Occurrence, Schedule
from timeball.model.task import State
from timeball.store import tasks

FATES = {
    Fate.CAUGHT_UP: "made late, after an outage",
    Fate.WAITED: "made once the task before had ended",
    Fate.ASKED: "asked for by a person",
    Fate.SKIPPED: "skipped, as the task before was not over",
    Fate.MISSED: "left out by the catch-up rule",
    Fate.DROPPED: "taken back before the call",
    Fate.REMADE: "made anew after a change",
}
"""What a count of each counts, in the order of the page."""
LEFT_OUT = (Fate.SKIPPED, Fate.MISSED)


@dataclass(frozen=True, slots=True)
class Run:
    """An occurrence, how its task stands (None when there is none, or no more), and the class of its bead."""

    it: Occurrence
    state: State | None

    @property
    def kind(self) -> str:
        if self.it.fate in LEFT_OUT:
            return "left-out"
        if self.state is None:
            return (
                "forgotten" if self.it.task_id and self.it.fate is not Fate.WAITING else "waiting"
            )
        return str(self.state)

    @property
    def words(self) -> str:
        """What became of it, for people."""
        word = self.it.fate.replace("_", " ")
        if self.it.fate in LEFT_OUT or self.it.task_id is None or self.it.fate is Fate.WAITING:
            return word
        return f"{word}, {'forgotten' if self.state is None else shown.STATE_WORDS[self.state]}"


def runs(visit: Visit, histories: Sequence[Sequence[Occurrence]]) -> list[list[Run]]:
    """Each history with the states of its tasks, in its order: one question for all."""
    ids = {one.task_id for history in histories for one in history if one.task_id is not None}
    known = tasks.states(visit.house.client, visit.prefix, sorted(ids))
    return [
        [Run(one, known.get(one.task_id) if one.task_id else None) for one in history]
        for history in histories
    ]


def counted(schedule: Schedule, fates: Counter[Fate]) -> list[tuple[int, str, bool]]:
    """What came of all its occurrences: how many, in words, and whether nothing was called for them."""
    made = "became a task" if schedule.runs == 1 else "became tasks"
    out = [(schedule.runs, made, False)]
    out += [(fates[fate], words, fate in LEFT_OUT) for fate, words in FATES.items() if fates[fate]]
    return out
