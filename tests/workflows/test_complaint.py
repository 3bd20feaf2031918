"""The `complaint` process against a service in memory, in time that skips."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from hanse_workflows.complaint.workflow import ComplaintWorkflow
from hanse_workflows.processes import complaint_of
from tests.workflows.conftest import Stage
from tests.workflows.fake_complaints import FakeComplaint
from tests.workflows.fakes import eventually, settled

PUNCTUAL = timedelta(seconds=1)
DAY_SECONDS = 86_400.0


async def test_each_level_has_its_times_and_each_thing_happens_within_a_second(stage: Stage) -> None:
    deadlines = {"warn": await stage.in_future(hours=4), "overdue": await stage.in_future(hours=8)}
    complaint = stage.complaints.complaints[stage.complaint] = FakeComplaint(
        deadlines, levels=[{"warn at the top": DAY_SECONDS, "overdue at the top": 2 * DAY_SECONDS}]
    )
    async with stage.working():
        await stage.processes.start(complaint_of(stage.complaint))
        outcome = await stage.result_of(complaint_of(stage.complaint))
    assert [done.what for done in complaint.done] == ["warn", "overdue", "warn at the top", "overdue at the top"]
    assert all(timedelta() <= done.lateness <= PUNCTUAL for done in complaint.done)
    assert outcome == {"complaint": stage.complaint, "evaluations": 5}


async def test_a_process_asks_nothing_before_something_is_due(stage: Stage) -> None:
    due_time = await stage.in_future(minutes=5)
    stage.complaints.complaints[stage.complaint] = FakeComplaint({"overdue": due_time})
    async with stage.working():
        await stage.processes.wake(complaint_of(stage.complaint), due_time)
        await stage.environment.sleep(timedelta(minutes=4))
        assert stage.complaints.request_ids == []


async def test_people_can_ask_where_it_is(stage: Stage) -> None:
    due_time = await stage.in_future(days=300)
    stage.complaints.complaints[stage.complaint] = FakeComplaint({"overdue": due_time})
    process = complaint_of(stage.complaint)
    async with stage.working():
        await stage.processes.start(process)
        await eventually(lambda: stage.complaints.request_ids)
        state = await settled(partial(stage.handle(process).query, ComplaintWorkflow.state), lambda state: state.last)
    assert state.last is not None
    assert (state.complaint, state.last.next_due_time) == (stage.complaint, due_time)
