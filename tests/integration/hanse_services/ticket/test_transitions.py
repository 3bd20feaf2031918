"""The tables of transitions hold over gRPC: what they do not allow is refused, and nothing has changed."""

from __future__ import annotations

import pytest

from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import ENGAGEMENT_TRANSITIONS, TICKET_TRANSITIONS
from tests.integration.hanse_services.ticket.desk import Desk, refused
from tests.integration.hanse_services.ticket.engaged import HOME_VERBS, PATHS, PROVIDER_VERBS, Engaged, engaged_at

WAYS: dict[pb.TicketState.ValueType, list[str]] = {
    pb.NEW: [],
    pb.IN_PROGRESS: ["AssignTicket"],
    pb.WAITING: ["PauseTicket"],
    pb.RESOLVED: ["ResolveTicket"],
    pb.CLOSED: ["ResolveTicket", "CloseTicket"],
}
"""How a ticket gets into each state."""

TICKET_VERBS = sorted(TICKET_TRANSITIONS)


def illegal_ticket_verbs(state: pb.TicketState.ValueType) -> list[str]:
    return [verb for verb in TICKET_VERBS if state not in TICKET_TRANSITIONS[verb]]


def illegal_engagement_verbs(state: pb.EngagementState.ValueType, verbs: tuple[str, ...]) -> list[str]:
    return [verb for verb in verbs if state not in ENGAGEMENT_TRANSITIONS[verb]]


async def take(desk: Desk, verb: str, name: str) -> None:
    await (desk.engage if verb == "RequestEngagement" else desk.do)(verb, name)


def test_every_state_of_a_ticket_is_reached() -> None:
    assert set(WAYS) == set(pb.TicketState.values()) - {pb.TICKET_STATE_UNSPECIFIED}


@pytest.mark.parametrize("state", WAYS, ids=pb.TicketState.Name)
async def test_steps_that_a_ticket_s_state_does_not_allow_change_nothing(
    desk: Desk, state: pb.TicketState.ValueType
) -> None:
    name = (await desk.open()).name
    for verb in WAYS[state]:
        await desk.do(verb, name)
    before, head = await desk.get(name), await desk.head()
    assert before.state == state
    for verb in illegal_ticket_verbs(state):
        with refused() as refusal:
            await take(desk, verb, name)
        assert refusal.error is not None
        assert (verb, refusal.reason, refusal.error.metadata["from"]) == (
            verb,
            "ILLEGAL_TRANSITION",
            pb.TicketState.Name(state),
        )
    after = await desk.get(name)
    assert (after.etag, after.state, await desk.head()) == (before.etag, state, head)


@pytest.mark.parametrize("state", [pb.NEW, pb.IN_PROGRESS, pb.WAITING, pb.RESOLVED], ids=pb.TicketState.Name)
async def test_steps_that_the_table_allows_lead_where_it_says(desk: Desk, state: pb.TicketState.ValueType) -> None:
    for verb in TICKET_VERBS:
        after = TICKET_TRANSITIONS[verb].get(state)
        if after is None:
            continue
        name = (await desk.open()).name
        for step in WAYS[state]:
            await desk.do(step, name)
        await take(desk, verb, name)
        assert (verb, (await desk.get(name)).state) == (verb, after)


async def check_refused(engaged: Engaged, desk: Desk, verbs: list[str]) -> None:
    before, head = await desk.engagement(engaged.name), await desk.head()
    for verb in verbs:
        with refused() as refusal:
            await desk.engage(verb, engaged.name)
        assert (verb, refusal.reason) == (verb, "ILLEGAL_TRANSITION")
    assert (await desk.engagement(engaged.name), await desk.head()) == (before, head)


@pytest.mark.parametrize("state", PATHS, ids=pb.EngagementState.Name)
async def test_steps_that_an_engagement_s_state_does_not_allow_at_home_change_nothing(
    desk: Desk, state: pb.EngagementState.ValueType
) -> None:
    engaged = await engaged_at(desk, state)
    await check_refused(engaged, desk, illegal_engagement_verbs(state, HOME_VERBS))


@pytest.mark.parametrize("state", [state for state in PATHS if state != pb.REQUESTED], ids=pb.EngagementState.Name)
async def test_steps_that_an_engagement_s_state_does_not_allow_at_the_provider_change_nothing(
    munich: Desk, state: pb.EngagementState.ValueType
) -> None:
    engaged = await engaged_at(munich, state)
    await check_refused(engaged, munich, illegal_engagement_verbs(state, PROVIDER_VERBS))


async def test_a_second_engagement_waits_for_the_end_of_the_first(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.OFFERED)
    with refused() as refusal:
        await desk.engage("RequestEngagement", engaged.ticket)
    assert refusal.reason == "ILLEGAL_TRANSITION"
    await desk.engage("WithdrawEngagement", engaged.name)
    assert (await desk.engage("RequestEngagement", engaged.ticket)).name.endswith("/e2")


async def test_a_ticket_that_a_provider_works_on_is_not_resolved_at_home(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.ACCEPTED)
    with refused() as refusal:
        await desk.do("ResolveTicket", engaged.ticket)
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_a_ticket_that_is_resolved_at_home_calls_its_open_offer_off(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.OFFERED)
    await desk.do("ResolveTicket", engaged.ticket)
    assert (await desk.engagement(engaged.name)).state == pb.WITHDRAWN
    assert (await desk.told_types())[-2:] == ["EngagementWithdrawn", "TicketResolved"]


async def test_the_final_owner_can_not_decline(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.OFFERED, final=True)
    with refused() as refusal:
        await munich.engage("DeclineEngagement", engaged.name)
    assert refusal.reason == "ILLEGAL_TRANSITION"
    assert (await munich.engage("AcceptEngagement", engaged.name)).state == pb.ACCEPTED


async def test_an_offer_that_has_run_out_is_not_accepted(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.OFFERED)
    munich.clock.advance(hours=24)
    with refused() as refusal:
        await munich.engage("AcceptEngagement", engaged.name)
    assert refusal.reason == "ILLEGAL_TRANSITION"


async def test_another_units_offer_is_not_this_units_to_accept(munich: Desk) -> None:
    engaged = await engaged_at(munich, pb.OFFERED, provider="units/oslo")
    with refused() as refusal:
        await munich.engage("AcceptEngagement", engaged.name)
    assert refusal.reason == "RESOURCE_NOT_FOUND"
