"""A move whose answer was lost may be sent again: nothing is lost, nothing is written twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from timeball.dispatch import intake
from timeball.dispatch import schedules as verbs
from timeball.dispatch.house import House
from timeball.ids import id_text, new_task_id
from timeball.model.project import Project
from timeball.model.schedule import Schedule
from timeball.model.task import Draft, Request, State
from timeball.store import pumps, roll, schedules
from timeball.store.gauges import server_facts
from timeball.store.scripts import connect


def submit(house: House, project: Project, n: int = 1) -> list[bytes]:
    drafts = [Draft(project=project.id, request=Request("http://h/")) for _ in range(n)]
    return [s.id for s in intake.submit(house, project.id, drafts)]


def test_a_pump_gives_back_what_it_never_learned_it_had(house: House, project: Project) -> None:
    submit(house, project, 5)
    prefix = house.prefix(project.id)
    assert len(pumps.claim(house.client, prefix, "p", 3, 200, 500).tasks) == 3  # the answer is lost
    claim = pumps.claim(house.client, prefix, "p", 10, 200, 500)
    assert (len(claim.tasks), claim.leases) == (2, 5)
    known = [c.id for c in claim.tasks]
    assert pumps.give_back(house.client, prefix, "p", known, 5) == 3
    again = pumps.claim(house.client, prefix, "p", 10, 200, 500)
    assert (len(again.tasks), again.leases) == (3, 5)
    assert {c.attempt for c in again.tasks} == {2}


def test_a_result_sent_again_is_written_once(house: House, project: Project) -> None:
    ids = submit(house, project, 2)
    prefix = house.prefix(project.id)
    pumps.claim(house.client, prefix, "p", 10, 200, 500)
    results = [
        pumps.Finished(ids[0], 1, 2, 0, b'{"n":1,"o":"answered","at":1}'),
        pumps.Finished(ids[1], 1, 0, 10**13, b'{"n":1,"o":"timed_out","at":1}'),
    ]
    counters = {project.id: {"succeeded": 1, "retried": 1}}
    for _ in range(2):
        assert pumps.finish(house.client, prefix, "p", results, counters) == [1, 1]
    for task_id in ids:
        assert len(intake.attempts(house, project.id, task_id)) == 1
    [minute] = house.client.keys(f"{prefix}m:{project.id}:*")
    assert house.client.hget(minute, "succeeded") == b"1"


def test_a_late_result_is_logged_and_changes_nothing(house: House, project: Project) -> None:
    [task_id] = submit(house, project)
    prefix = house.prefix(project.id)
    pumps.claim(house.client, prefix, "p", 10, 200, 500)
    pumps.give_back(house.client, prefix, "p", [], 5)
    pumps.claim(house.client, prefix, "p", 10, 200, 500)
    late = pumps.Finished(task_id, 1, 2, 0, b'{"n":1,"o":"answered","at":1}')
    assert pumps.finish(house.client, prefix, "p", [late], {}) == [0]
    assert intake.get(house, project.id, task_id).state is State.RUNNING
    log = intake.attempts(house, project.id, task_id)
    assert sorted(a.outcome.value for a in log) == ["answered", "lost"]


def test_a_schedule_made_twice_by_one_move_is_made_once(house: House, project: Project) -> None:
    now = verbs.now_of(house, project.id)
    draft = Schedule(
        id=id_text(new_task_id()),
        project=project.id,
        created_at=now,
        request=Request("http://h/"),
        cron="0 0 1 1 *",
    )
    draft = replace(draft, next_at=now + timedelta(days=30))
    prefix = house.prefix(project.id)
    written = [schedules.write(house.client, prefix, draft, None, (), 0)[0] for _ in range(2)]
    assert written[0] == written[1] == verbs.get(house, project.id, draft.id)
    assert verbs.find(house, project.id, None, 10, None).schedules == [written[0]]


def test_what_is_read_is_the_same_when_the_connection_had_been_closed(house: House) -> None:
    """As behind sentinels, or after a restart of the store: the second way of a command answers as the first."""
    roll.sign_in(house.client, "beat", "here:1", {"leads": True})

    def read() -> tuple[list[str], set[str]]:
        return [entry.name for entry in roll.roll(house.client)], {*server_facts(house.client)}

    before = read()
    assert before[0] == ["here:1"]
    assert "used_memory" in before[1]
    other = connect(house.settings.redis_url)
    for _ in range(3):
        other.client_kill_filter(_type="normal", skipme=True)
        assert roll.roll(house.client)[0].facts == {"leads": True}
        other.client_kill_filter(_type="normal", skipme=True)
        assert read() == before
