"""What a unit has tuned for itself governs the tickets that it opens from then on."""

from __future__ import annotations

from datetime import timedelta

from hanse.policy import load_override_yaml
from hanse.policy.store import PolicyStore
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import Desk, policy


async def tune(desk: Desk, version: int, hours: int) -> None:
    document = load_override_yaml(f"targets: [{{target: every, resolution: {hours}h}}]")
    override = PolicyOverride(unit=desk.unit, version=version, document=document)
    await desk.runtime.database.write(PolicyStore(SCHEMA).tune, override)


def hours_of(ticket: pb.Ticket) -> float:
    [clock] = [clock for clock in ticket.clocks if clock.kind == pb.Clock.RESOLUTION]
    return clock.target_duration.ToTimedelta() / timedelta(hours=1)


async def test_a_ticket_keeps_the_override_that_it_was_opened_under(desk: Desk) -> None:
    before = await desk.open()
    await tune(desk, 1, 15)
    first = await desk.open()
    await tune(desk, 2, 20)
    second = await desk.open()
    shown = [await desk.get(ticket.name) for ticket in (before, first, second)]
    assert [(ticket.policy_override, hours_of(ticket)) for ticket in shown] == [(0, 10), (1, 15), (2, 20)]
    opened = told.TicketOpened.FromString((await desk.records())[-1].decoded().payload)
    assert (second.policy_override, opened.ticket.policy_override) == (2, 2)


async def test_a_step_of_a_ticket_counts_by_its_own_override(desk: Desk) -> None:
    await tune(desk, 1, 15)
    ticket = await desk.open()
    await tune(desk, 2, 20)
    desk.clock.advance(hours=1)
    await desk.do("PauseTicket", ticket.name)
    assert hours_of(await desk.do("ResumeTicket", ticket.name)) == 15


async def test_a_new_version_of_the_policy_has_the_override_over_it(desk: Desk) -> None:
    await tune(desk, 1, 15)
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy(2))
    ticket = await desk.open()
    assert (ticket.policy_version, ticket.policy_override, hours_of(ticket)) == (2, 1, 15)
