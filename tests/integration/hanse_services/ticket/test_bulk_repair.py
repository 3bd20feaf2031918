"""The tickets with open clocks are put under another policy, many at once, as a repair of each would."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.identity import Role
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.work import Cause, Work
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import repair_pb2 as rpc
from hanse_protos.ticket.v1 import repair_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.service_pb2 import ReclassifyTicketRequest
from hanse_services.ticket.clocks.bulk_repair import repair_open_clocks
from hanse_services.ticket.model import SCHEMA
from hanse_services.ticket.reclassifying import reclassify_ticket
from tests.integration.hanse_services.ticket.desk import MONDAY, POLICY_YAML, Desk, new_request_id, refused
from tests.integration.hanse_services.ticket.test_clocks import resolution
from tests.integration.hanse_services.ticket.test_repair import (
    enact,
    explain,
    one_ahead,
    repaired,
    ticket_now,
    versions,
)
from tests.integration.hanse_services.ticket.test_tuning import tune

HOUR = timedelta(hours=1)
REPAIRED = told.TicketClocksRepaired.DESCRIPTOR.full_name


async def apply(
    desk: Desk, version: int, *, preview: bool = False, role: Role = Role.LEAD, **page: Any
) -> rpc.RepairOpenClocksResponse:
    stub = stubs.RepairServiceStub(desk.caller.channel(role))
    request = rpc.RepairOpenClocksRequest(
        parent=desk.unit, policy_version=version, validate_only=preview, request_id=new_request_id(), **page
    )
    return await stub.RepairOpenClocks(request)


async def enact_text(desk: Desk, old: str, new: str) -> int:
    """Put the policy in force with a change of its text; return the version."""
    version = next(versions)
    assert old in POLICY_YAML
    policy = Policy(name=f"policies/{version}", version=version, document=load_yaml(POLICY_YAML.replace(old, new)))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, policy)
    return version


async def live(desk: Desk) -> list[str]:
    """Open tickets, and let each get somewhere else."""
    names = [(await desk.open()).name for _ in range(5)]
    desk.clock.advance(minutes=40)
    await desk.do("CommentTicket", names[1], public=True)
    await desk.do("PauseTicket", names[2])
    desk.clock.advance(minutes=90)
    await desk.do("ResumeTicket", names[2])
    await desk.do("ResolveTicket", names[3])
    await desk.do("EscalateTicket", names[4])
    desk.clock.advance(hours=3)
    for name in names:
        await desk.evaluate(name)
    return names


async def clocks_told(desk: Desk) -> dict[str, list[pb.ClockSummary]]:
    """Return what the last repairs have told of their tickets' clocks."""
    events = [Event.FromString(record.event) for record in await desk.records()]
    repairs = [told.TicketClocksRepaired.FromString(each.payload) for each in events if each.type == REPAIRED]
    return {repair.ticket.name: list(repair.ticket.clocks) for repair in repairs}


async def test_open_tickets_are_put_under_a_version_as_a_repair_of_each_would(desk: Desk) -> None:
    names = await live(desk)
    version = await enact(desk, 5)
    singly = {name: await repaired(desk, name, version=version, preview=True) for name in names}
    desk.clock.advance(minutes=10)
    found = await apply(desk, version)
    assert (found.total_count, found.ticket_count, found.recomputed_count, found.replayed_count) == (4, 4, 4, 0)
    for name in names:
        if name == names[3]:
            assert (await desk.get(name)).policy_version == 1
            continue
        assert (await explain(desk, name)).agrees
        after = await ticket_now(desk, name)
        assert after.policy_version == version
        expected = {(clock.kind, clock.number): clock.due_time for clock in singly[name].after}
        assert {(clock.kind, clock.number): clock.due_time for clock in after.clocks} == expected
    assert await clocks_told(desk) == {name: list(singly[name].after) for name in names if name != names[3]}
    assert (await apply(desk, version)).recomputed_count == 0


async def test_a_ticket_whose_time_lies_ahead_takes_no_other_along(desk: Desk) -> None:
    names = await one_ahead(desk)
    # One of the others has to be replayed.
    await desk.do("ReclassifyTicket", names[2], priority=pb.P3)
    version = await enact(desk, 12)
    answer = await apply(desk, version)
    assert (answer.recomputed_count, answer.replayed_count) == (2, 1)
    times = [(await desk.get(name)).update_time.ToDatetime(MONDAY.tzinfo) for name in names]
    assert times == [MONDAY + 30 * 24 * HOUR, MONDAY + 2 * HOUR, MONDAY + 2 * HOUR]
    repairs = [Event.FromString(each.event) for each in await desk.records() if each.type == REPAIRED]
    told_at = {each.resource: each.occur_time.ToDatetime(MONDAY.tzinfo) for each in repairs}
    assert [told_at[name] for name in names] == times


async def test_a_deadline_that_is_past_under_the_version_is_told_as_a_breach_and_one_that_is_not_is_taken_back(
    desk: Desk,
) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=6)
    await desk.evaluate(name)
    shorter = await enact(desk, 5)
    assert (await apply(desk, shorter, preview=True)).breach_count == 1
    assert (await apply(desk, shorter)).breach_count == 1
    assert (await desk.told_types())[-2:] == ["TicketClocksRepaired", "SlaBreached"]
    assert resolution(await ticket_now(desk, name)).breach_time.ToDatetime(MONDAY.tzinfo) == MONDAY + 5 * HOUR
    longer = await enact(desk, 20)
    assert (await apply(desk, longer)).withdrawn_count == 1
    assert "SlaBreachWithdrawn" in await desk.told_types()
    assert resolution(await ticket_now(desk, name)).state == pb.Clock.RUNNING


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("response: 1h,", "response: 1h, next_reply: 2h,"),
        ("response: 1h,", "response: 1h, clocks: {resolution: {pause: current.assigned}},"),
        ("{id: every, response: 1h,", "{id: every, when: ticket.tier == 1, response: 1h,"),
        ("units/shanghai, calendar: always", "units/shanghai, calendar: office"),
    ],
)
async def test_where_more_than_lengths_differ_histories_are_replayed(desk: Desk, old: str, new: str) -> None:
    name = (await desk.open()).name
    found = await apply(desk, await enact_text(desk, old, new))
    assert (found.recomputed_count, found.replayed_count) == (0, 1)
    assert (await explain(desk, name)).agrees


async def test_a_ticket_that_was_reclassified_in_the_same_transaction_is_replayed(desk: Desk) -> None:
    name, version = (await desk.open()).name, await enact(desk, 7)

    def both(session: Session) -> rpc.RepairOpenClocksResponse:
        policies, cause = PolicyStore(SCHEMA), Cause(f"{desk.unit}/agents/chen", roles=frozenset({Role.LEAD}))
        first = Work(session, desk.unit, cause, desk.clock.now, policies)
        reclassify_ticket(first, ReclassifyTicketRequest(name=name, priority=pb.P1))
        second = Work(session, desk.unit, cause, desk.clock.now, policies, earlier=first.entries)
        request = rpc.RepairOpenClocksRequest(parent=desk.unit, policy_version=version)
        return repair_open_clocks(second, request)

    found = await desk.runtime.database.write(both)
    assert (found.recomputed_count, found.replayed_count) == (0, 1)


async def test_a_page_ends_where_it_is_full_and_the_next_goes_on(desk: Desk) -> None:
    names = sorted([(await desk.open()).name for _ in range(3)])
    version = await enact(desk, 7)
    first = await apply(desk, version, page_size=2)
    assert (first.ticket_count, first.total_count) == (2, 3)
    assert (await desk.get(names[2])).policy_version == 1
    last = await apply(desk, version, page_size=2, page_token=first.next_page_token)
    assert (last.ticket_count, last.next_page_token, last.total_count) == (1, "", 0)


async def test_a_lead_puts_them_under_no_version_but_the_one_in_force(desk: Desk) -> None:
    name = (await desk.open()).name
    version = await enact(desk, 5)
    for preview in (True, False):
        with refused() as refusal:
            await apply(desk, 1, preview=preview)
        assert refusal.reason == "POLICY_VERSION_RESERVED"
    assert (await apply(desk, version)).recomputed_count == 1
    assert (await apply(desk, 1, role=Role.STANDARDS)).recomputed_count == 1
    assert (await desk.get(name)).policy_version == 1


async def test_what_the_unit_has_tuned_is_laid_over_it(desk: Desk) -> None:
    name = (await desk.open()).name
    await tune(desk, 1, 6)
    assert (await apply(desk, 0)).recomputed_count == 1
    assert (await desk.get(name)).policy_override == 1
    assert resolution(await ticket_now(desk, name)).target_duration.ToTimedelta() == 6 * HOUR


async def test_what_another_process_changes_meanwhile_is_waited_for_and_kept(desk: Desk) -> None:
    name = (await desk.open()).name
    version = await enact(desk, 7)
    with psycopg.connect(desk.runtime.database.url) as other:
        other.execute("SELECT FROM ticket.ticket WHERE name = %s FOR UPDATE", [name])
        other.execute("UPDATE ticket.clock SET stop_time = now(), due_time = NULL WHERE kind = 'RESPONSE'")
        applying = asyncio.create_task(apply(desk, version))
        await _somebody_waits(desk)
    assert (await applying).recomputed_count == 1
    clocks = {clock.kind: clock for clock in (await ticket_now(desk, name)).clocks}
    assert clocks[pb.Clock.RESPONSE].HasField("stop_time") and not clocks[pb.Clock.RESPONSE].HasField("due_time")
    assert clocks[pb.Clock.RESOLUTION].target_duration.ToTimedelta() == 7 * HOUR


async def _somebody_waits(desk: Desk) -> None:
    waiting, found = text("SELECT 1 FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')"), None
    async with asyncio.timeout(30):
        while found is None:
            await asyncio.sleep(0.02)
            found = await desk.runtime.database.read(lambda session: session.scalar(waiting))
