"""What is said of how complaints were dealt with is what a count by hand says."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from hanse.identity import Role
from hanse.times import timestamp
from hanse_protos.ticket.v1 import attainment_pb2 as rpc
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import ticket_pb2 as ticket_pb
from hanse_protos.ticket.v1.attainment_pb2_grpc import AttainmentServiceStub
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from tests.integration.hanse_services.ticket.complaining import MANAGER, TOP, Complaints, promising
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk, refused

COMPLAINTS = 12
FIGURES = (
    "opened",
    "escalated",
    "acknowledgement_met",
    "acknowledgement_breached",
    "answer_met",
    "answer_breached",
    "rejected",
)


@pytest.fixture
async def complaints(desk: Desk) -> Complaints:
    return await promising(desk)


async def report(desk: Desk, parent: str = "", **period: datetime) -> rpc.ComplaintAttainmentReport:
    request = rpc.GetComplaintAttainmentRequest(
        parent=parent or desk.unit,
        period=rpc.AttainmentPeriod(**{name: timestamp(at) for name, at in period.items()}),
    )
    stub = AttainmentServiceStub(desk.caller.channel(Role.LEAD))
    return await stub.GetComplaintAttainment(request)


def figures(row: rpc.ComplaintAttainmentRow) -> dict[str, int]:
    return {name: getattr(row, name) for name in FIGURES if getattr(row, name)}


async def live(complaints: Complaints, chance: random.Random, counted: Counter[Any]) -> None:
    """Let a complaint live: taken up and answered or not, in time or not, rejected, taken further, taken back."""
    desk = complaints.desk
    priority = chance.choice([ticket_pb.P1, ticket_pb.P2, ticket_pb.P2])
    name = (await complaints.file((await desk.open(priority=priority)).name)).name
    levels = {1: (await complaints.get(name)).summary.level}
    if levels[1] == MANAGER:
        for verb, hours in (("AcknowledgeComplaint", 3), ("AnswerComplaint", 12), ("RejectComplaintAnswer", 1)):
            desk.clock.advance(minutes=chance.randrange(60 * hours))
            await complaints.evaluate(name)
            if (await complaints.get(name)).summary.level == TOP or chance.random() < 0.2:
                break
            await complaints.do(verb, name)
            counted["rejected", MANAGER] += verb == "RejectComplaintAnswer"
    if chance.random() < 0.3:
        await complaints.do("WithdrawComplaint", name, actor="agents/zhao")
    summary = (await complaints.get(name)).summary
    levels[summary.stage] = summary.level
    for stage, level in levels.items():
        counted["opened" if stage == 1 else "escalated", level] += 1
    for clock in summary.clocks:
        if clock.state in (Clock.MET, Clock.BREACHED) and clock.kind != pb.ComplaintClock.REPLY:
            what = pb.ComplaintClock.Kind.Name(clock.kind).lower()
            counted[f"{what}_{Clock.State.Name(clock.state).lower()}", clock.level] += 1


async def test_it_agrees_with_a_count_by_hand(desk: Desk, complaints: Complaints) -> None:
    chance, counted = random.Random(7), Counter[Any]()  # noqa: S311 - a seed, not a secret.
    for _ in range(COMPLAINTS):
        await live(complaints, chance, counted)
    found = await report(desk)
    assert [row.level for row in found.rows] == [MANAGER, TOP]
    for row in found.rows:
        assert figures(row) == {name: counted[name, row.level] for name in FIGURES if counted[name, row.level]}
    assert figures(found.total) == {
        name: sum(counted[name, level] for level in (MANAGER, TOP))
        for name in FIGURES
        if any(counted[name, level] for level in (MANAGER, TOP))
    }
    assert all(any(name == figure for name, _ in counted) for figure in FIGURES if figure != "answer_breached")


async def test_it_counts_in_the_period_in_which_it_was_filed(desk: Desk, complaints: Complaints) -> None:
    name = (await complaints.file((await desk.open()).name)).name
    desk.clock.advance(hours=3)
    await complaints.evaluate(name)
    found = await report(desk, start_time=MONDAY, end_time=MONDAY + timedelta(seconds=1))
    assert (found.total.opened, found.total.escalated) == (1, 1)
    assert not (await report(desk, start_time=MONDAY + timedelta(seconds=1))).rows


async def test_what_nothing_is_promised_for_is_counted_too(desk: Desk) -> None:
    complaints = await promising(desk, "")
    name = (await complaints.answered((await desk.open()).name)).name
    await complaints.do("RejectComplaintAnswer", name)
    found = await report(desk)
    assert [figures(row) for row in found.rows] == [{"opened": 1, "rejected": 1}, {"escalated": 1}]


async def test_an_answer_that_is_taken_back_with_its_complaint_was_not_rejected(
    desk: Desk, complaints: Complaints
) -> None:
    name = (await complaints.answered((await desk.open()).name)).name
    await complaints.do("WithdrawComplaint", name, actor="agents/zhao")
    assert (await report(desk)).total.rejected == 0


async def test_another_units_are_not_found(desk: Desk) -> None:
    with refused() as refusal:
        await report(desk, "units/munich")
    assert refusal.reason == "RESOURCE_NOT_FOUND"
