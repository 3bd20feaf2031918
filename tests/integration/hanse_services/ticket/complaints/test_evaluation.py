"""What is due on a complaint happens once: a warning, and at the end the next level has it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import instant
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.complaining import COMPLAINTS, MANAGER, TOP, Complaints, promising
from tests.integration.hanse_services.ticket.desk import MONDAY, POLICY_YAML, Desk, refused
from tests.integration.hanse_services.ticket.test_restoring import lose_and_restore


@pytest.fixture
async def complaints(desk: Desk) -> Complaints:
    return await promising(desk)


@pytest.fixture
async def name(desk: Desk, complaints: Complaints) -> str:
    """A complaint with two hours to acknowledge and ten to answer, and a warning after half of each."""
    return (await complaints.file((await desk.open()).name)).name


async def test_it_warns_once_and_says_what_is_due_next(desk: Desk, complaints: Complaints, name: str) -> None:
    desk.clock.advance(hours=1)
    first, again = await complaints.evaluate(name), await complaints.evaluate(name)
    assert (list(first.actions), list(again.actions)) == (["WARN on ACKNOWLEDGEMENT at 50 %"], [])
    assert instant(again.next_due_time) == MONDAY + timedelta(hours=2)


async def test_a_time_that_runs_out_takes_it_to_the_next_level_with_new_times(
    desk: Desk, complaints: Complaints, name: str
) -> None:
    desk.clock.advance(hours=3)
    answer = await complaints.evaluate(name)
    summary = (await complaints.get(name)).summary
    assert (summary.level, summary.state) == (TOP, pb.COMPLAINT_OPEN)
    assert [clock.state for clock in summary.clocks] == [
        Clock.BREACHED, Clock.CANCELLED, Clock.RUNNING, Clock.RUNNING,
    ]  # fmt: skip
    assert instant(answer.next_due_time) == MONDAY + timedelta(hours=4)
    assert (await desk.told_types())[-3:] == ["ComplaintWarned", "ComplaintOverdue", "ComplaintEscalated"]


async def test_at_the_top_it_stays_overdue_and_nothing_more_is_due(
    desk: Desk, complaints: Complaints, name: str
) -> None:
    for _ in range(2):
        desk.clock.advance(hours=24)
        answer = await complaints.evaluate(name)
    assert not answer.HasField("next_due_time")
    assert (await complaints.get(name)).summary.stage == 2
    assert await complaints.open_names(name) == []


async def test_an_independent_unit_keeps_it_with_its_manager(desk: Desk, complaints: Complaints) -> None:
    document = load_yaml(POLICY_YAML + COMPLAINTS)
    del document.peers[:]
    alone = [unit for unit in document.units if unit.unit == desk.unit]
    del document.units[:]
    document.units.extend(alone)
    await desk.runtime.database.write(
        PolicyStore(SCHEMA).enact, Policy(name="policies/3", version=3, document=document)
    )
    name = (await complaints.file((await desk.open()).name)).name
    desk.clock.advance(hours=24)
    await complaints.evaluate(name)
    assert (await complaints.get(name)).summary.level == MANAGER


async def test_an_answer_that_comes_late_is_late_also_where_nobody_noticed(
    desk: Desk, complaints: Complaints, name: str
) -> None:
    await complaints.do("AcknowledgeComplaint", name)
    desk.clock.advance(hours=11)
    answered = await complaints.do("AnswerComplaint", name)
    assert [clock.state for clock in answered.summary.clocks] == [Clock.MET, Clock.BREACHED, Clock.RUNNING]
    assert "ComplaintOverdue" in await desk.told_types()


@pytest.mark.parametrize(("early", "state"), [(timedelta(0), Clock.BREACHED), (timedelta(microseconds=1), Clock.MET)])
async def test_at_the_very_instant_at_which_it_is_due_it_is_late(
    desk: Desk, complaints: Complaints, name: str, early: timedelta, state: Clock.State.ValueType
) -> None:
    desk.clock.now = MONDAY + timedelta(hours=2) - early
    assert (await complaints.do("AcknowledgeComplaint", name)).summary.clocks[0].state == state


@pytest.mark.parametrize("verb", ["EscalateComplaint", "WithdrawComplaint"])
async def test_what_ran_out_before_it_was_taken_further_or_back_is_late_also_where_nobody_noticed(
    desk: Desk, complaints: Complaints, name: str, verb: str
) -> None:
    desk.clock.advance(hours=11)
    summary = (await complaints.do(verb, name)).summary
    assert [clock.state for clock in summary.clocks[:2]] == [Clock.BREACHED, Clock.BREACHED]
    assert (await desk.told_types()).count("ComplaintOverdue") == 2


async def test_a_step_that_is_skipped_is_never_done(desk: Desk, complaints: Complaints, name: str) -> None:
    assert await complaints.skip_step(name) == "WARN on ACKNOWLEDGEMENT at 50 %"
    desk.clock.advance(hours=1)
    assert list((await complaints.evaluate(name)).actions) == []


async def test_nobody_skips_that_it_goes_to_the_next_level(desk: Desk, complaints: Complaints, name: str) -> None:
    await complaints.skip_step(name)
    with refused() as refusal:
        await complaints.skip_step(name)
    assert refusal.reason == "NOTHING_TO_SKIP"


async def test_a_step_that_was_skipped_comes_back_as_skipped(desk: Desk, complaints: Complaints, name: str) -> None:
    await complaints.skip_step(name)
    await lose_and_restore(desk)
    desk.clock.advance(hours=1)
    assert list((await complaints.evaluate(name)).actions) == []


async def test_nothing_is_skipped_where_nothing_is_due(desk: Desk, complaints: Complaints) -> None:
    over = await complaints.close((await complaints.answered((await desk.open()).name)).name)
    with refused() as refusal:
        await complaints.skip_step(over.name)
    assert refusal.reason == "NOTHING_TO_SKIP"
