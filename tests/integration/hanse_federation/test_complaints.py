"""Headquarters sees the complaints of the group, and answers those that came to it, whether the line is up or not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy.orm import Session

from hanse.errors import ComplaintHandlerInvolved, IllegalTransition
from hanse.log.sealing import texts_of
from hanse.names import HEADQUARTERS
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import timestamp
from hanse.work import Cause, Work
from hanse_federation.headquarters.complaints import (
    acknowledge_group_complaint,
    answer_group_complaint,
    get_group_complaint,
    get_group_complaint_attainment,
    list_group_complaints,
)
from hanse_federation.model import SCHEMA
from hanse_protos.federation.v1 import complaints_pb2 as group_pb
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, Policy
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from hanse_protos.ticket.v1.ticket_pb2 import Clock
from tests.integration.hanse_federation.group import Group, Unit, summary
from tests.interleaving import interleaved
from tests.support import OCCUR_TIME, POLICY_YAML

TICKET = "units/shanghai/tickets/t1"
NAME = f"{TICKET}/complaints/c1"
WRONG, ANSWER, REASON, DECISION = "Nobody called me back", "We are sorry", "Still nobody", "We pay for it"
SHARING = """
sharing:
  - {events: [ComplaintEscalated], fields: [complaint, answer, text], audience: HEADQUARTERS}
  - {events: [ComplaintDecided], fields: [text], audience: COUNTERPART}
"""
MANAGER, TOP = HierarchyStep.UNIT_MANAGER, HierarchyStep.HEADQUARTERS
ACTOR = "units/hq/services/escalation"
"""As whom the tests' headquarters decides."""


@pytest.fixture(autouse=True)
async def policy(group: Group, shanghai: Unit) -> None:
    version = Policy(name="policies/1", version=1, document=load_yaml(POLICY_YAML + SHARING))
    await group.enact(version)
    await shanghai.enact(version)


def complaint(
    state: pb.ComplaintState.ValueType = pb.COMPLAINT_OPEN, level: Any = TOP, **fields: Any
) -> pb.ComplaintSummary:
    """Return a complaint, with its two times at the level that has it."""
    clocks = [
        pb.ComplaintClock(kind=kind, stage=1, level=level, due_time=timestamp(OCCUR_TIME + timedelta(hours=hours)))
        for kind, hours in ((pb.ComplaintClock.ACKNOWLEDGEMENT, 2), (pb.ComplaintClock.ANSWER, 10))
    ]
    return pb.ComplaintSummary(
        name=NAME, state=state, level=level, stage=1, open_time=timestamp(OCCUR_TIME), clocks=clocks, **fields
    )


async def escalated(shanghai: Unit, *involved: str) -> None:
    """Let Shanghai's complaint come to headquarters."""
    step = told.ComplaintEscalated(complaint=complaint(involved=involved), from_level=MANAGER)
    await shanghai.tell((NAME, step), sealed={"complaint": WRONG, "answer": ANSWER, "text": REASON})


async def take_up(group: Group) -> Any:
    request = group_pb.AcknowledgeGroupComplaintRequest(name=NAME)
    return await group.execute(acknowledge_group_complaint, request, group_pb.GroupComplaint)


async def answer(group: Group) -> Any:
    request = group_pb.AnswerGroupComplaintRequest(name=NAME, text=DECISION, outcome=pb.UPHELD)
    return await group.execute(answer_group_complaint, request, group_pb.GroupComplaint)


async def shown(group: Group, **fields: Any) -> list[pb.ComplaintSummary]:
    request = group_pb.ListGroupComplaintsRequest(parent="units/-", **fields)
    reply = await group.hq.database.read(list_group_complaints, request)
    return [each.complaint for each in reply.complaints]


async def got(group: Group) -> group_pb.GroupComplaint:
    return await group.hq.database.read(get_group_complaint, group_pb.GetGroupComplaintRequest(name=NAME))


async def test_headquarters_sees_complaints_of_every_level_and_reads_those_that_came_to_it(
    group: Group, shanghai: Unit
) -> None:
    opened = told.ComplaintOpened(complaint=complaint(level=MANAGER))
    await shanghai.tell((NAME, opened), sealed={"text": WRONG})
    await shanghai.caught_up()
    assert [each.level for each in await shown(group)] == [MANAGER]
    assert (await got(group)).text == ""
    await escalated(shanghai)
    await shanghai.caught_up()
    assert [each.level for each in await shown(group, level=TOP)] == [TOP]
    known = await got(group)
    assert (known.text, known.answer, known.reason) == (WRONG, ANSWER, REASON)


async def test_it_is_answered_there_and_the_home_unit_hears_of_it_with_the_answer(
    group: Group, shanghai: Unit, munich: Unit
) -> None:
    await escalated(shanghai)
    await shanghai.caught_up()
    await take_up(group)
    decided = await answer(group)
    await shanghai.caught_up()
    assert (decided.complaint.state, decided.complaint.handler) == (pb.COMPLAINT_ANSWERED, ACTOR)
    assert await shanghai.told_types() == ["ComplaintSeen", "ComplaintDecided"]
    assert texts_of((await shanghai.told())[-1].sealed) == {"text": DECISION}
    assert await munich.told_types() == []


async def test_while_the_line_is_cut_both_wait_and_headquarters_own_word_is_shown(group: Group, shanghai: Unit) -> None:
    await escalated(shanghai)
    await shanghai.caught_up()
    shanghai.line.cut()
    await take_up(group)
    # What the home tells meanwhile does not know of it yet.
    await shanghai.tell((NAME, told.ComplaintWarned(complaint=complaint())))
    assert await shanghai.told_types() == []
    shanghai.line.heal()
    await shanghai.caught_up()
    assert await shanghai.told_types() == ["ComplaintSeen"]
    assert [each.state for each in await shown(group, states=[pb.COMPLAINT_ACKNOWLEDGED])] == [
        pb.COMPLAINT_ACKNOWLEDGED
    ]


async def test_what_the_customer_took_back_meanwhile_stays_closed(group: Group, shanghai: Unit) -> None:
    await escalated(shanghai)
    await shanghai.caught_up()
    await take_up(group)
    await shanghai.tell((NAME, told.ComplaintClosed(complaint=complaint(pb.COMPLAINT_CLOSED))))
    await shanghai.caught_up()
    with pytest.raises(IllegalTransition):
        await answer(group)


async def test_what_has_not_come_to_headquarters_is_left_to_its_unit(group: Group, shanghai: Unit) -> None:
    await shanghai.tell((NAME, told.ComplaintOpened(complaint=complaint(level=MANAGER))))
    await shanghai.caught_up()
    with pytest.raises(IllegalTransition, match="has not come to headquarters"):
        await take_up(group)


async def test_who_worked_on_the_ticket_does_not_answer_there_either(group: Group, shanghai: Unit) -> None:
    await escalated(shanghai, ACTOR)
    # A later event does not say again who was involved.
    await shanghai.tell((NAME, told.ComplaintWarned(complaint=complaint())))
    await shanghai.caught_up()
    with pytest.raises(ComplaintHandlerInvolved):
        await take_up(group)


async def test_another_unit_can_not_tell_of_it(group: Group, shanghai: Unit, munich: Unit) -> None:
    await escalated(shanghai)
    await shanghai.caught_up()
    await munich.tell((NAME, told.ComplaintClosed(complaint=complaint(pb.COMPLAINT_CLOSED))))
    await munich.caught_up()
    assert [each.state for each in await shown(group)] == [pb.COMPLAINT_OPEN]


async def test_when_the_ticket_is_erased_headquarters_keeps_no_word(group: Group, shanghai: Unit) -> None:
    await escalated(shanghai)
    await shanghai.caught_up()
    await take_up(group)
    await answer(group)
    assert holds(group, WRONG, ANSWER, REASON, DECISION)
    await shanghai.tell((TICKET, told.TicketErased(ticket=summary(TICKET, state=ticket.CLOSED))))
    await shanghai.caught_up()
    assert not holds(group, WRONG, ANSWER, REASON, DECISION)
    assert (await got(group)).text == ""


def holds(group: Group, *texts: str) -> bool:
    """Return whether any row of headquarters' federation holds one of some texts."""
    with psycopg.connect(group.hq.settings.database_url) as connection:
        tables = ("log_record", "request", "group_complaint", "complaint_decision")
        rows = [str(row) for table in tables for row in connection.execute(f"SELECT * FROM federation.{table}")]  # noqa: S608
    return any(text in row for text in texts for row in rows)


def told_at(name: str, level: Any, stage: int, *clocks: tuple[int, Any, Any]) -> tuple[str, told.ComplaintNoted]:
    """Return what a unit tells of a complaint: its level, and how the clocks of its levels ended."""
    known = pb.ComplaintSummary(name=name, state=pb.COMPLAINT_OPEN, level=level, stage=stage)
    known.open_time.CopyFrom(timestamp(OCCUR_TIME))
    for number, kind, state in clocks:
        known.clocks.add(kind=kind, stage=number, state=state)
    return name, told.ComplaintNoted(complaint=known)


async def test_how_the_units_dealt_with_complaints_is_counted_by_unit_and_level(
    group: Group, shanghai: Unit, munich: Unit
) -> None:
    taken_up, answered, reply = pb.ComplaintClock.ACKNOWLEDGEMENT, pb.ComplaintClock.ANSWER, pb.ComplaintClock.REPLY
    rejected = ((1, taken_up, Clock.MET), (1, answered, Clock.MET), (1, reply, Clock.CANCELLED))
    await shanghai.tell(told_at(NAME, TOP, 2, *rejected, (2, taken_up, Clock.BREACHED)))
    await shanghai.tell(told_at(f"{TICKET}/complaints/c2", MANAGER, 1, (1, taken_up, Clock.RUNNING)))
    await munich.tell(told_at("units/munich/tickets/t1/complaints/c1", TOP, 1, (1, answered, Clock.MET)))
    await shanghai.caught_up()
    await munich.caught_up()
    request = group_pb.GetGroupComplaintAttainmentRequest(parent="units/-")
    report = await group.hq.database.read(get_group_complaint_attainment, request)
    assert [(row.unit, row.level, row.opened, row.escalated, row.rejected) for row in report.rows] == [
        ("units/munich", TOP, 1, 0, 0), ("units/shanghai", MANAGER, 2, 0, 1), ("units/shanghai", TOP, 0, 1, 0),
    ]  # fmt: skip
    total = report.total
    assert (total.acknowledgement_met, total.acknowledgement_breached, total.answer_met) == (1, 1, 2)
    request.parent = munich.name
    assert (await group.hq.database.read(get_group_complaint_attainment, request)).total.opened == 1


async def test_a_level_that_there_is_not_stops_nothing(group: Group, shanghai: Unit) -> None:
    await shanghai.tell(told_at(NAME, HierarchyStep.LEVEL_UNSPECIFIED, 1_000_000))
    await shanghai.caught_up()
    request = group_pb.GetGroupComplaintAttainmentRequest(parent="units/-")
    assert not (await group.hq.database.read(get_group_complaint_attainment, request)).rows


async def test_a_step_of_headquarters_stays_while_an_older_word_of_the_home_comes_in(
    group: Group, shanghai: Unit
) -> None:
    await escalated(shanghai)
    await shanghai.caught_up()
    await take_up(group)

    def decide(session: Session) -> None:
        work = Work(session, HEADQUARTERS, Cause(ACTOR, "r"), group.now, PolicyStore(SCHEMA))
        answer_group_complaint(work, group_pb.AnswerGroupComplaintRequest(name=NAME, outcome=pb.UPHELD))

    async def hear() -> None:
        await shanghai.tell((NAME, told.ComplaintAcknowledged(complaint=complaint(pb.COMPLAINT_ACKNOWLEDGED))))
        await shanghai.caught_up()

    await interleaved(group.hq.database, decide, hear)
    assert [each.state for each in await shown(group, states=[pb.COMPLAINT_ANSWERED])] == [pb.COMPLAINT_ANSWERED]
