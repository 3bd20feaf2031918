"""A ticket's clocks are repaired from its history: corrected, under another policy, and once for all."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from hanse.identity import Role
from hanse.names import OWN_POLICIES
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import put_time, timestamp
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import repair_pb2 as rpc
from hanse_protos.ticket.v1 import repair_pb2_grpc as stubs
from hanse_protos.ticket.v1 import service_pb2
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.repair_pb2 import MissedStep
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import (
    MONDAY,
    MUNICH,
    POLICY_YAML,
    SHANGHAI,
    Desk,
    FakeClock,
    new_request_id,
    refused,
)
from tests.integration.hanse_services.ticket.engaged import engaged_at
from tests.integration.hanse_services.ticket.test_clocks import resolution, response, used

HOUR = timedelta(hours=1)
REASON = "It is on the phone list"
versions = itertools.count(2)


def stub(desk: Desk, role: Role = Role.LEAD) -> stubs.RepairServiceAsyncStub:
    return stubs.RepairServiceStub(desk.caller.channel(role))


async def repair(
    desk: Desk, *names: str, version: int = 0, preview: bool = False, role: Role = Role.LEAD
) -> rpc.RepairTicketsResponse:
    return await stub(desk, role).RepairTickets(
        rpc.RepairTicketsRequest(
            parent=desk.unit,
            names=names,
            policy_version=version,
            validate_only=preview,
            request_id=new_request_id(),
        )
    )


async def repaired(desk: Desk, name: str, **asked: Any) -> rpc.RepairedTicket:
    [ticket] = (await repair(desk, name, **asked)).tickets
    return ticket


async def correct(desk: Desk, name: str, *corrections: rpc.Correction) -> rpc.RepairedTicket:
    request = rpc.CorrectTicketRequest(name=name, corrections=corrections, reason=REASON, request_id=new_request_id())
    return await stub(desk).CorrectTicket(request)


def missed(step: MissedStep.Step.ValueType, at: datetime) -> rpc.Correction:
    return rpc.Correction(missed=MissedStep(step=step, occur_time=timestamp(at)))


async def ticket_now(desk: Desk, name: str) -> pb.Ticket:
    """Return a ticket as of the desk's own time: what a command answers."""
    return await desk.do("CommentTicket", name)


async def enact(desk: Desk, resolution_hours: int, effective_time: datetime | None = None) -> int:
    """Put a version of the policy in force in which the solution has another target; return the version."""
    # A version never changes, so a desk keeps it compiled: each test takes a new one.
    version, new = next(versions), f"resolution: {resolution_hours}h"
    document = load_yaml(POLICY_YAML.replace("resolution: 10h", new))
    policy = Policy(name=f"policies/{version}", version=version, document=document)
    put_time(policy.effective_time, effective_time)
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)
    return version


async def one_ahead(desk: Desk) -> list[str]:
    """Open a ticket to which something happened while the machine's clock was a month ahead, and two others."""
    names = [(await desk.open()).name for _ in range(3)]
    desk.clock.advance(days=30)
    await desk.do("CommentTicket", names[0])
    desk.clock.now = MONDAY + 2 * HOUR
    return names


# Nothing to repair.


async def test_a_ticket_whose_time_lies_ahead_takes_no_other_along(desk: Desk) -> None:
    names = await one_ahead(desk)
    version = await enact(desk, 12)
    preview = await repair(desk, *names, version=version, preview=True)
    answer = await repair(desk, *names, version=version)
    assert [list(each.after) for each in preview.tickets] == [list(each.after) for each in answer.tickets]
    assert [len([clock for clock in each.after if clock.breach_time.seconds]) for each in answer.tickets] == [2, 1, 1]
    assert [resolution(await desk.get(name)).state for name in names[1:]] == [pb.Clock.RUNNING] * 2


async def test_a_true_history_needs_no_repair(desk: Desk) -> None:
    name = (await desk.open()).name
    for verb in ("AssignTicket", "PauseTicket", "ResumeTicket", "EscalateTicket", "ResolveTicket", "ReopenTicket"):
        desk.clock.advance(minutes=50)
        await desk.do(verb, name)
    await desk.evaluate(name)
    before = await desk.told_types()
    assert not (await repaired(desk, name)).changed
    assert await desk.told_types() == before


async def test_what_a_person_has_skipped_stays_skipped(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.skip_step(name)
    assert not (await repaired(desk, name)).changed
    assert (await explain(desk, name)).agrees
    await repaired(desk, name, version=await enact(desk, 12))
    desk.clock.advance(minutes=40)
    assert list((await desk.evaluate(name)).actions) == []


async def test_an_imported_ticket_that_nobody_put_under_a_policy_stays_without_clocks(desk: Desk) -> None:
    await import_one(desk)
    assert not (await repaired(desk, f"{SHANGHAI}/tickets/old-1")).changed


# Corrections.


async def test_an_answer_that_was_given_before_it_was_noted_takes_the_breach_back(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=90)
    await desk.do("CommentTicket", name, public=True)
    found = await correct(desk, name, missed(MissedStep.ANSWERED, MONDAY + timedelta(minutes=40)))
    ticket = await ticket_now(desk, name)
    assert (response(ticket).state, used(response(ticket))) == (pb.Clock.MET, timedelta(minutes=40))
    assert [clock.state for clock in (*found.before, *found.after) if clock.kind == pb.Clock.RESPONSE] == [
        pb.Clock.BREACHED,
        pb.Clock.MET,
    ]
    told = await desk.told_types()
    assert told[-4:-1] == ["TicketCorrected", "TicketClocksRepaired", "SlaBreachWithdrawn"]


async def test_a_wait_that_began_before_it_was_noted_moves_the_deadline(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=2)
    await desk.do("PauseTicket", name)
    desk.clock.advance(hours=1)
    await desk.do("ResumeTicket", name)
    await correct(desk, name, missed(MissedStep.PAUSED, MONDAY + HOUR))
    ticket = await ticket_now(desk, name)
    assert (used(resolution(ticket)), ticket.waiting_duration.ToTimedelta()) == (HOUR, 2 * HOUR)
    assert resolution(ticket).due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + 12 * HOUR


async def test_a_step_that_did_not_happen_or_happened_at_another_time(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=1)
    await desk.do("PauseTicket", name)
    desk.clock.advance(hours=4)
    await desk.do("ResumeTicket", name)
    resumed = (await desk.records())[-1].decoded().event_id
    moved = rpc.MovedStep(event_id=resumed, occur_time=timestamp(MONDAY + 3 * HOUR))
    await correct(desk, name, rpc.Correction(moved=moved))
    assert used(resolution(await ticket_now(desk, name))) == 3 * HOUR
    both = [record.decoded().event_id for record in await desk.records() if "TicketPaused" in record.type]
    await correct(desk, name, *(rpc.Correction(voided_event_id=each) for each in both))
    assert used(resolution(await ticket_now(desk, name))) == 5 * HOUR


async def test_a_correction_that_makes_a_clock_run_out_tells_the_breach_once(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("PauseTicket", name)
    desk.clock.advance(hours=11)
    await desk.do("ResumeTicket", name)
    paused = next(record.decoded().event_id for record in await desk.records() if "TicketPaused" in record.type)
    await correct(desk, name, rpc.Correction(voided_event_id=paused))
    await desk.evaluate(name)
    assert (await desk.told_types()).count("SlaBreached") == 2
    assert (await ticket_now(desk, name)).clocks[0].breach_time.ToDatetime(MONDAY.tzinfo) == MONDAY + HOUR


@pytest.mark.parametrize("at", [MONDAY - HOUR, MONDAY + 3 * HOUR, datetime.max.replace(tzinfo=MONDAY.tzinfo)])
async def test_a_time_before_the_opening_or_in_the_future_is_refused(desk: Desk, at: datetime) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=2)
    with refused() as refusal:
        await correct(desk, name, missed(MissedStep.ANSWERED, at))
    assert refusal.reason == "CORRECTION_OUT_OF_TIME"
    assert await desk.told_types() == ["TicketOpened"]


async def test_a_correction_may_not_leave_the_ticket_elsewhere_than_it_is(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=2)
    with refused() as refusal:
        await correct(desk, name, missed(MissedStep.PAUSED, MONDAY + HOUR))
    assert refusal.reason == "CORRECTION_CONTRADICTS"


@pytest.mark.parametrize("correction", [rpc.Correction(), rpc.Correction(voided_event_id=str(uuid4()))])
async def test_a_step_that_the_history_does_not_have_is_refused(desk: Desk, correction: rpc.Correction) -> None:
    name = (await desk.open()).name
    with refused() as refusal:
        await correct(desk, name, correction)
    assert refusal.reason == "CORRECTION_UNKNOWN_STEP"


# Another policy.


async def test_a_retroactive_policy_gives_the_deadlines_that_it_would_have_given(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=6)
    version = await enact(desk, 5)
    preview = await repaired(desk, name, version=version, preview=True)
    assert preview.changed
    assert await desk.told_types() == ["TicketOpened"]
    await desk.evaluate(name)
    assert await repaired(desk, name, version=version) != preview
    ticket = await ticket_now(desk, name)
    assert (ticket.policy_version, resolution(ticket).state) == (version, pb.Clock.BREACHED)
    assert resolution(ticket).breach_time.ToDatetime(MONDAY.tzinfo) == MONDAY + 5 * HOUR
    assert not (await repaired(desk, name)).changed


async def test_a_warning_that_comes_later_now_is_given_again(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=5)
    await desk.evaluate(name)
    version = await enact(desk, 20)
    await repaired(desk, name, version=version)
    assert (await desk.evaluate(name)).actions == []
    desk.clock.advance(hours=5)
    assert "WARN on RESOLUTION at 50 %" in (await desk.evaluate(name)).actions


async def test_what_the_ladder_did_stays_done(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=6)
    await desk.evaluate(name)
    version = await enact(desk, 20)
    await repaired(desk, name, version=version)
    desk.clock.advance(hours=6)
    await desk.evaluate(name)
    assert (await ticket_now(desk, name)).tier == 2


async def test_an_imported_ticket_gets_clocks_under_the_policy_that_is_named(desk: Desk) -> None:
    await import_one(desk)
    name = f"{SHANGHAI}/tickets/old-1"
    found = await repaired(desk, name, version=1)
    assert [(clock.kind, clock.state, clock.used_duration.ToTimedelta()) for clock in found.after] == [
        (pb.Clock.RESPONSE, pb.Clock.BREACHED, 4 * HOUR),
        (pb.Clock.RESOLUTION, pb.Clock.MET, 4 * HOUR),
    ]
    assert not (await repaired(desk, name)).changed


async def test_tickets_that_can_not_be_computed_are_named_and_the_others_are_repaired(desk: Desk) -> None:
    name = (await desk.open()).name
    version = await enact(desk, 5)
    found = await repair(desk, f"{SHANGHAI}/tickets/nowhere", name, version=version)
    assert [failure.reason for failure in found.failures] == ["RESOURCE_NOT_FOUND"]
    assert [ticket.changed for ticket in found.tickets] == [True]
    unknown = await repair(desk, name, version=next(versions))
    assert [failure.reason for failure in unknown.failures] == ["POLICY_MISSING"]


# Who may choose which version.


async def test_a_lead_chooses_the_version_in_force_and_the_one_that_the_ticket_was_opened_under(desk: Desk) -> None:
    name = (await desk.open()).name
    between, newest = await enact(desk, 1000), await enact(desk, 5)
    for version in (newest, 1):
        assert (await repaired(desk, name, version=version)).policy_version == version
    for preview in (True, False):
        found = await repair(desk, name, version=between, preview=preview)
        assert [failure.reason for failure in found.failures] == ["POLICY_VERSION_RESERVED"]
    assert (await desk.get(name)).policy_version == 1
    assert (await repaired(desk, name, version=between, role=Role.STANDARDS)).policy_version == between
    # It is under that one now, so to name it is no choice.
    assert not (await repaired(desk, name, version=between)).changed


@pytest.mark.parametrize("role", [Role.LEAD, Role.STANDARDS])
async def test_nobody_takes_a_breach_back_by_a_version_whose_time_has_not_come(desk: Desk, role: Role) -> None:
    name = (await desk.open()).name
    version = await enact(desk, 1000, datetime.now(UTC) + timedelta(days=365))
    desk.clock.advance(hours=11)
    await desk.evaluate(name)
    found = await repair(desk, name, version=version, role=role)
    assert [failure.reason for failure in found.failures] == ["POLICY_NOT_YET_IN_FORCE"]
    assert resolution(await ticket_now(desk, name)).state == pb.Clock.BREACHED


async def test_a_version_of_the_units_own_is_no_choice_once_the_groups_is_in_force(desk: Desk) -> None:
    name = (await desk.open()).name
    own = Policy(name="policies/own-1", version=OWN_POLICIES + 1, document=load_yaml(POLICY_YAML))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, own)
    found = await repair(desk, name, version=own.version, role=Role.STANDARDS)
    assert [failure.reason for failure in found.failures] == ["GROUP_POLICY_IN_FORCE"]


# What is heard of late, and clocks that jump.


async def test_an_acceptance_that_is_heard_of_late_counts_from_when_it_happened(desk: Desk) -> None:
    """It is heard of after a pause that came later: the desk repairs the clocks by itself, and says why."""
    engaged = await engaged_at(desk, pb.OFFERED)
    accepted_at = MONDAY + timedelta(hours=1, minutes=30)
    desk.clock.advance(hours=2)
    await desk.do("PauseTicket", engaged.ticket)
    desk.clock.advance(hours=1)
    await desk.is_told(engaged.accepted(at=accepted_at))
    assert (await desk.told_types())[-3:] == ["TicketHandedOver", "TicketClocksRepaired", "SlaBreached"]
    ticket = await ticket_now(desk, engaged.ticket)
    stretches = [(part.unit, part.running, part.used_duration.ToTimedelta()) for part in resolution(ticket).segments]
    # Munich begins at nine, which is MONDAY: it had the ticket for half an hour before the pause.
    assert stretches == [(SHANGHAI, True, 1.5 * HOUR), (MUNICH, True, 0.5 * HOUR), (MUNICH, False, timedelta(0))]
    explained = await explain(desk, engaged.ticket)
    assert explained.agrees
    assert "repaired by the desk itself: a step was heard of after later ones" in explained.lines[-1].because


async def test_where_the_machine_s_clock_goes_back_the_ticket_s_time_stands(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=2)
    await desk.do("PauseTicket", name)
    desk.clock = desk.executor.clock = FakeClock(MONDAY + HOUR)
    ticket = await desk.do("ResumeTicket", name)
    assert (used(resolution(ticket)), ticket.waiting_duration.ToTimedelta()) == (2 * HOUR, timedelta(0))
    assert ticket.update_time.ToDatetime(MONDAY.tzinfo) == MONDAY + 2 * HOUR
    await desk.evaluate(name)
    assert not (await repaired(desk, name)).changed


# Why.


async def explain(desk: Desk, name: str, version: int = 0) -> rpc.ClockExplanation:
    return await stub(desk).ExplainClocks(rpc.ExplainClocksRequest(name=name, policy_version=version))


async def test_each_step_is_explained_with_the_stretch_that_it_began(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=90)
    await desk.do("PauseTicket", name)
    desk.clock.advance(hours=1)
    await desk.do("ResumeTicket", name)
    desk.clock.advance(hours=1)
    await desk.do("ResolveTicket", name)
    explained = await explain(desk, name)
    assert [line.because for line in explained.lines] == [
        "opened; response and resolution started",
        "response ran out",
        "began to wait for customer; response and resolution stood",
        "resumed; response and resolution ran",
        "resolved; response and resolution stopped",
    ]
    assert [line.used_duration.ToTimedelta() for line in explained.lines[:4]] == [
        HOUR, HOUR / 2, timedelta(0), HOUR,
    ]  # fmt: skip
    assert {line.calendar for line in explained.lines[:4]} == {"always"}
    assert explained.agrees


async def test_the_lines_add_up_to_what_each_clock_has_used(desk: Desk) -> None:
    name = (await desk.open()).name
    for verb in ("CommentTicket", "PauseTicket", "ResumeTicket", "ResolveTicket", "ReopenTicket"):
        desk.clock.advance(minutes=25)
        await desk.do(verb, name, **({"public": True} if verb == "CommentTicket" else {}))
    explained = await explain(desk, name)
    for clock in explained.clocks:
        parts = (line.used_duration.ToTimedelta() for line in explained.lines if clock.kind in line.running)
        assert sum(parts, timedelta(0)) == clock.used_duration.ToTimedelta()


async def test_a_correction_and_a_change_of_policy_are_lines_of_their_own(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=50)
    await correct(desk, name, missed(MissedStep.ANSWERED, MONDAY + timedelta(minutes=10)))
    version = await enact(desk, 5)
    await repaired(desk, name, version=version)
    lines = {line.because: line for line in (await explain(desk, name)).lines}
    answered = lines["the customer got an answer (corrected); response stopped; resolution ran"]
    assert answered.noted_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(minutes=50)
    assert f"repaired: put under policy version {version}, from policy version 1" in lines


async def import_one(desk: Desk) -> None:
    """Import a ticket that was solved after four hours."""
    changes = [
        service_pb2.HistoricChange(occur_time=timestamp(MONDAY - at), state=state, holder=SHANGHAI, tier=1)
        for at, state in ((5 * HOUR, pb.IN_PROGRESS), (HOUR, pb.RESOLVED))
    ]
    historic = service_pb2.HistoricTicket(
        external_id="old-1", title="Dark", category="display", priority=pb.P2, changes=changes
    )
    assert (await desk.import_tickets(historic)).imported == 1
