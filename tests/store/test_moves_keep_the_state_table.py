"""Whatever callers, pumps and beats do in whatever order, a task only moves as MOVES says."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from timeball.dispatch.house import House
from timeball.errors import Conflict, InvalidField, NotFound
from timeball.model.task import MOVES, Draft, Priority, Request, State
from timeball.store import codec, keys, lists, projects, pumps, tasks

ALLOWED = {(move.verb, move.source, move.target) for move in MOVES}
PREFIX = keys.prefix(0)
HOUR = timedelta(hours=1)


class Moves(RuleBasedStateMachine):
    """Drives the moves and keeps a model beside: the state, attempt and holder of each task."""

    house: House
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.client = self.house.client
        self.client.flushall()
        self.project = projects.create_project(self.client, self.house.vault, "model").id
        self.state: dict[bytes, State] = {}
        self.attempt: dict[bytes, int] = {}
        self.holder: dict[bytes, str] = {}
        self.log: dict[bytes, int] = {}
        self.name: dict[bytes, str | None] = {}
        self.finishes = 0
        self.fence = pumps.lead(self.client, PREFIX, "beat", 3_600_000).fence

    def moved(self, verb: str, task_id: bytes, target: State) -> None:
        assert (verb, self.state[task_id], target) in ALLOWED
        self.state[task_id] = target

    @rule(
        target=ids,
        queue=st.sampled_from(("a", "b")),
        name=st.sampled_from((None, None, "n", "m")),
        priority=st.sampled_from(Priority),
        key=st.sampled_from((None, "concurrency_key", "ordering_key")),
    )
    def submit(self, queue: str, name: str | None, priority: Priority, key: str | None) -> bytes:
        draft = Draft(
            project=self.project,
            queue=queue,
            name=name,
            request=Request("http://h/"),
            tags=("t",),
            priority=priority,
            **({key: "k"} if key else {}),
        )
        [submitted], _ = tasks.submit(self.client, PREFIX, [draft], 60_000)
        live = [i for i, n in self.name.items() if n == name and name and self.live(i)]
        if live:
            assert (submitted.taken, submitted.id) == (tasks.Taken.NAMED, live[0])
            return submitted.id
        assert submitted.taken is tasks.Taken.NEW
        self.state[submitted.id] = State.SCHEDULED
        self.attempt[submitted.id] = self.log[submitted.id] = 0
        self.name[submitted.id] = name
        return submitted.id

    def live(self, task_id: bytes) -> bool:
        return self.state.get(task_id) in (State.SCHEDULED, State.RUNNING)

    @rule(pump=st.sampled_from(("p", "q")), want=st.integers(0, 4))
    def claim(self, pump: str, want: int) -> None:
        claim = pumps.claim(self.client, PREFIX, pump, want, 100, 100)
        assert len(claim.tasks) <= want
        for claimed in claim.tasks:
            self.moved("claim", claimed.id, State.RUNNING)
            self.attempt[claimed.id] += 1
            self.holder[claimed.id] = pump
            assert claimed.attempt == self.attempt[claimed.id]

    @rule(
        task_id=ids,
        pump=st.sampled_from(("p", "q")),
        stale=st.integers(0, 1),
        follows=st.sampled_from((State.SUCCEEDED, State.DEAD, State.SCHEDULED)),
    )
    def finish(self, task_id: bytes, pump: str, stale: int, follows: State) -> None:
        attempt = self.attempt.get(task_id, 1) - stale
        self.finishes += 1  # each line of the log is its own: the same again means sent again
        entry = b'{"n":%d,"o":"answered","at":%d}' % (attempt, self.finishes)
        due = 10**13 if follows is State.SCHEDULED else 0
        result = pumps.Finished(task_id, attempt, codec.STATE_CODES[follows], due, entry)
        [code] = pumps.finish(self.client, PREFIX, pump, [result], {})
        if task_id not in self.state:
            assert code == -1
            return
        self.log[task_id] += 1
        if self.state[task_id] is State.RUNNING and self.holder[task_id] == pump and not stale:
            assert code == 1
            self.moved("finish", task_id, follows)
        else:
            assert code == 0

    def forget(self, task_id: bytes) -> None:
        for book in (self.state, self.attempt, self.log, self.name, self.holder):
            book.pop(task_id, None)

    @rule()
    def rescue(self) -> None:
        for _ in range(2):
            for pump in ("p", "q"):
                if self.client.zscore(f"{PREFIX}pumps:c", pump) is not None:
                    self.client.zadd(f"{PREFIX}pumps:c", {pump: 1})
            rescued = pumps.rescue(
                self.client, PREFIX, self.fence, silence_ms=0, watch_ms=0, max_lost=3, horizon_ms=1
            )
            assert rescued is not None
        for task_id, state in list(self.state.items()):
            if state is State.RUNNING:
                now = tasks.get(self.client, PREFIX, self.project, task_id).state
                self.moved("rescue", task_id, now)
                self.log[task_id] += 1

    @rule(task_id=ids)
    def cancel(self, task_id: bytes) -> None:
        try:
            tasks.cancel(self.client, PREFIX, self.project, task_id)
        except NotFound:
            assert task_id not in self.state
        except Conflict:
            assert self.state[task_id] not in (State.SCHEDULED, State.CANCELLED)
        else:
            if self.state[task_id] is not State.CANCELLED:
                self.moved("cancel", task_id, State.CANCELLED)

    @rule(task_id=ids)
    def run(self, task_id: bytes) -> None:
        try:
            task, _ = tasks.run(self.client, PREFIX, self.project, task_id, 60_000)
        except NotFound:
            assert task_id not in self.state
        except Conflict:
            name = self.name[task_id]
            assert any(self.name[i] == name and self.live(i) for i in self.name if i != task_id)
        else:
            if self.state[task_id] is not State.RUNNING:
                self.moved("run", task_id, State.SCHEDULED)
            assert task.state is self.state[task_id]

    @rule(task_id=ids, queue=st.sampled_from(("a", "b")), late=st.booleans())
    def update(self, task_id: bytes, queue: str, late: bool) -> None:
        changes = {"queue": queue, "delay": HOUR if late else timedelta()}
        try:
            tasks.update(self.client, PREFIX, self.project, task_id, changes, 60_000)
        except NotFound:
            assert task_id not in self.state
        except Conflict:
            assert self.state[task_id] is not State.SCHEDULED
        else:
            self.moved("update", task_id, State.SCHEDULED)

    @rule(task_id=ids, name=st.sampled_from((None, "n", "m")), changed=st.booleans())
    def redrive(self, task_id: bytes, name: str | None, changed: bool) -> None:
        changes = {"name": name, "queue": "b"} if changed else {}
        wanted = name if changed else self.name.get(task_id)
        try:
            tasks.redrive(self.client, PREFIX, self.project, task_id, changes, 60_000)
        except NotFound:
            assert task_id not in self.state
        except Conflict:
            assert self.state[task_id] is not State.DEAD
        except InvalidField:
            assert any(n == wanted and self.live(i) for i, n in self.name.items())
        else:
            self.moved("redrive", task_id, State.SCHEDULED)
            self.name[task_id] = wanted

    @rule(task_id=ids)
    def delete(self, task_id: bytes) -> None:
        found = tasks.delete(self.client, PREFIX, self.project, [task_id])
        assert found == (1 if task_id in self.state else 0)
        self.forget(task_id)

    @invariant()
    def store_and_model_agree(self) -> None:
        kept = tasks.get_many(self.client, PREFIX, list(self.state))
        assert {t.id: (t.state, t.attempt) for t in kept} == {
            i: (s, self.attempt[i]) for i, s in self.state.items()
        }

    @rule()
    def every_list_shows_just_its_tasks(self) -> None:
        for state in State:
            page = lists.find(
                self.client, PREFIX, self.project, lists.Filter(state=state), 1000, None
            )
            assert {t.id for t in page.tasks} == {i for i, s in self.state.items() if s is state}
        everything = lists.find(self.client, PREFIX, self.project, lists.Filter(), 1000, None)
        assert [t.id for t in everything.tasks] == sorted(self.state, reverse=True)

    @invariant()
    def calls_in_flight_are_counted(self) -> None:
        counted = int(self.client.hget(f"{PREFIX}inflight", self.project) or 0)
        held = sum(self.client.hlen(f"{PREFIX}lease:{pump}") for pump in ("p", "q"))
        assert counted == held

    @rule()
    def the_log_has_every_attempt(self) -> None:
        for task_id, n in self.log.items():
            assert len(tasks.attempts(self.client, PREFIX, self.project, task_id)) == n

    def teardown(self) -> None:
        """With every task deleted and every lease ended, no key of a task is left."""
        tasks.delete(self.client, PREFIX, self.project, list(self.state))
        left = {k.removeprefix(PREFIX.encode())[:2] for k in self.client.keys(f"{PREFIX}*")}
        assert not left & {b"t:", b"a:", b"na", b"ta"}


@pytest.fixture
def machine(house: House) -> type[Moves]:
    Moves.house = house
    return Moves


def test_moves_keep_the_state_table(machine: type[Moves]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=120,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
