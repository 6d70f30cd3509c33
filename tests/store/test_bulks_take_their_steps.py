"""A bulk is done in steps: each once, whoever takes it, and what has moved on meanwhile is left alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import Pump
from tests.conftest import eventually
from timeball.dispatch import bulk, intake
from timeball.dispatch.house import House
from timeball.errors import Conflict, InvalidField, NotFound
from timeball.model.bulk import Action, BulkState, Count
from timeball.model.project import Project
from timeball.model.task import FINAL, Draft, Request, State, Task
from timeball.store import bulks, keys, projects, pumps
from timeball.store.lists import Filter

HOUR = timedelta(hours=1)
PREFIX = keys.prefix(0)


@pytest.fixture
def fence(house: House) -> int:
    return pumps.lead(house.client, PREFIX, "beat", 3_600_000).fence


@pytest.fixture
def make(house: House, project: Project) -> Callable[..., list[Task]]:
    def make(n: int, **fields: object) -> list[Task]:
        request = Request(str(fields.pop("url", "https://example.com/")))
        drafts = [Draft(project.id, request, **fields) for _ in range(n)]
        return [s.task for s in intake.submit(house, project.id, drafts) if s.task is not None]

    return make


@pytest.fixture
def pump(house: House, project: Project) -> Pump:
    return Pump(house, project)


def _next_millisecond(house: House) -> None:
    """What is made in the same millisecond as a bulk counts as there before it."""
    before = pumps.clock(house.client, PREFIX)[0]
    eventually(lambda: pumps.clock(house.client, PREFIX)[0] >= before + 1, every=0.001)


def states(house: House, project: Project) -> list[State]:
    return [t.state for t in intake.find(house, project.id, Filter(), 1000, None).tasks]


def test_all_that_fit_are_cancelled_in_steps(
    house: House, project: Project, make: Callable[..., list[Task]], fence: int
) -> None:
    make(450, queue="a", delay=HOUR)
    make(5, queue="b", delay=HOUR)
    begun = bulk.begin(house, project.id, Action.CANCEL, "Ada", wanted=Filter(queue="a"))
    assert begun.total == Count(450, True)
    _next_millisecond(house)
    make(1, queue="a", delay=HOUR)  # made later: not meant
    bulk.work(house, fence)
    done = bulk.get(house, project.id, begun.id)
    assert (done.state, done.done, done.refused, done.by) == (BulkState.DONE, 450, 0, "Ada")
    assert done.ended_at is not None
    assert states(house, project).count(State.CANCELLED) == 450
    assert not house.client.exists(f"{PREFIX}bulking")


def test_dead_tasks_are_redriven_once(
    house: House, project: Project, make: Callable[..., list[Task]], pump: Pump, fence: int
) -> None:
    make(30)
    for claimed in pump.take(30):
        pump.end(claimed, State.DEAD)
    begun = bulk.begin(house, project.id, Action.REDRIVE, "Ada", wanted=Filter())
    bulk.work(house, fence)
    assert bulk.get(house, project.id, begun.id).done == 30
    again = pump.take(30)
    assert {c.attempt for c in again} == {2}
    # what dies after a bulk was asked for is not met by it
    late = bulk.begin(house, project.id, Action.RUN, "Ada", ids=[c.id for c in again])
    _next_millisecond(house)
    for claimed in again:
        pump.end(claimed, State.DEAD)
    bulk.work(house, fence)
    found = bulk.get(house, project.id, late.id)
    assert (found.done, found.refused) == (0, 30)


def test_a_rate_is_kept_over_steps(
    house: House, project: Project, make: Callable[..., list[Task]], fence: int
) -> None:
    ids = [task.id for task in make(40, delay=HOUR)]
    begun = bulk.begin(house, project.id, Action.RUN, "Ada", ids=ids, rate=100)
    now_ms, _ = pumps.clock(house.client, PREFIX)
    bulk.work(house, fence)
    after_ms, _ = pumps.clock(house.client, PREFIX)
    assert after_ms - now_ms >= 150  # 25 at once, and 15 a quarter of a second later
    assert bulk.get(house, project.id, begun.id).done == 40


def test_a_step_that_was_taken_is_not_taken_again(
    house: House, project: Project, make: Callable[..., list[Task]], fence: int
) -> None:
    ids = [task.id for task in make(4, delay=HOUR)]
    begun = bulk.begin(house, project.id, Action.DELETE, "Ada", ids=ids)

    def step(fence: int) -> object:
        return bulks.step(
            house.client, PREFIX, fence, begun, ids[:2], "2", last=False, wanted=None, horizon_ms=1
        )

    assert step(fence - 1) is None  # a beat that leads no more
    assert step(fence) == []
    assert step(fence) == []  # its answer was lost
    assert bulk.get(house, project.id, begun.id).done == 2
    # another beat goes on where the record says
    house.client.delete(f"{PREFIX}leader")
    bulk.work(house, pumps.lead(house.client, PREFIX, "other", 3_600_000).fence)
    assert bulk.get(house, project.id, begun.id).done == 4
    assert states(house, project) == []


def test_what_moved_on_is_refused(
    house: House, project: Project, make: Callable[..., list[Task]], pump: Pump, fence: int
) -> None:
    made = make(3)
    other = projects.create_project(house.client, house.vault, "other")
    ids = [*(task.id for task in made), b"x" * 16]
    pump.take(1)
    theirs = bulk.begin(house, other.id, Action.DELETE, "Eve", ids=ids)
    ours = bulk.begin(house, project.id, Action.CANCEL, "Ada", ids=ids)
    bulk.work(house, fence)
    assert bulk.get(house, other.id, theirs.id).done == 0
    found = bulk.get(house, project.id, ours.id)
    assert (found.done, found.refused) == (2, 2)
    with pytest.raises(NotFound):
        bulk.get(house, other.id, ours.id)
    with pytest.raises(NotFound):
        bulk.stop(house, other.id, ours.id)


def test_a_bulk_is_stopped_between_steps(
    house: House, project: Project, make: Callable[..., list[Task]], fence: int
) -> None:
    make(3, delay=HOUR)
    begun = bulk.begin(house, project.id, Action.CANCEL, "Ada", wanted=Filter())
    assert bulk.stop(house, project.id, begun.id).state is BulkState.STOPPED
    bulk.work(house, fence)
    assert states(house, project) == [State.SCHEDULED] * 3
    assert bulk.stop(house, project.id, begun.id).state is BulkState.STOPPED
    assert [b.id for b in bulk.newest(house, project.id)] == [begun.id]


def test_counts_are_exact_where_an_index_tells_or_time_suffices(
    house: House, project: Project, make: Callable[..., list[Task]], pump: Pump
) -> None:
    make(7)
    for claimed in pump.take(7):
        pump.end(claimed, State.DEAD)
    make(2500, delay=HOUR, queue="slow", tags=("x",))
    make(500, delay=HOUR, queue="slow", url="https://other.example/")

    def count(seconds: float = 5.0, **wanted: object) -> Count:
        return bulks.count(house.client, PREFIX, project.id, Filter(**wanted), seconds)

    assert count(0, state=State.DEAD) == Count(7, True)
    assert count(0, queue="slow") == Count(3000, True)
    assert count(0, state=State.SCHEDULED) == Count(3000, True)
    assert count(0, tag="x") == Count(2500, True)
    assert count(0) == Count(3007, True)
    assert count(0, state=State.SUCCEEDED) == Count(0, True)
    assert count(host="other.example") == Count(500, True)
    assert not count(0, host="other.example").exact
    assert count(name="nobody") == Count(0, True)


def test_a_bulk_that_cannot_mean_anything_is_refused(house: House, project: Project) -> None:
    for action, state in (
        (Action.CANCEL, State.DEAD),
        (Action.REDRIVE, State.SUCCEEDED),
        (Action.RUN, State.RUNNING),
    ):
        with pytest.raises(InvalidField):
            bulk.begin(house, project.id, action, "Ada", wanted=Filter(state=state))
    for state in FINAL:
        assert bulk.meant(Action.RUN, Filter(state=state)).state is state
    for _ in range(bulk.MOST_AT_ONCE):
        bulk.begin(house, project.id, Action.DELETE, "Ada", wanted=Filter())
    with pytest.raises(Conflict):
        bulk.begin(house, project.id, Action.DELETE, "Ada", wanted=Filter())


def test_a_filter_is_kept_as_it_was_asked_for(house: House, project: Project) -> None:
    at = datetime(2026, 1, 31, 9, tzinfo=UTC)
    wanted = Filter(
        State.DEAD, "q", "n", "t", "https://a/", "a", at, at + HOUR, at + 2 * HOUR, at + 3 * HOUR
    )
    begun = bulk.begin(house, project.id, Action.DELETE, "Ada", wanted=wanted)
    assert bulk.filter_of(house, project.id, begun.id) == wanted


def test_the_look_at_the_bytes_never_hides_a_task_that_fits(
    house: House, project: Project, make: Callable[..., list[Task]], pump: Pump
) -> None:
    odd = 'https://Shop.example:8080/a"b\\c/é?q=1#x'
    make(1, url=odd)
    make(1, url="https://user@other.example/", queue="b", delay=HOUR)
    [claimed] = pump.take(1)
    pump.end(claimed, State.DEAD)

    def urls(**wanted: object) -> list[str]:
        page = intake.find(house, project.id, Filter(**wanted), 10, None)
        return [task.request.url for task in page.tasks]

    for n in range(1, len(odd)):
        assert odd in urls(url=odd[:n]), odd[:n]
    assert urls(host="shop.example:8080") == [odd]
    assert urls(host="shop.example:8080", state=State.DEAD) == [odd]
    assert urls(host="other.example", state=State.SCHEDULED) == ["https://user@other.example/"]
    assert urls(host="other.example", state=State.DEAD) == []
    assert urls(host="example") == []
