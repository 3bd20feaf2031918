"""The whole of a unit's waiting on real servers: from a log in PostgreSQL to processes in Temporal."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from hanse.errors import RoleMissing
from hanse.names import HEADQUARTERS
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.ticket.v1 import events_pb2, ticket_pb2
from hanse_protos.ticket.v1.complaint_pb2 import COMPLAINT_ANSWERED, COMPLAINT_CLOSED
from hanse_workflows.processes import complaint_of, escalation_of, sla_of
from tests.support import MakeRuntime
from tests.workflows.fake_complaints import FakeComplaint
from tests.workflows.fakes import FakeEngagement, FakeTicket, eventually
from tests.workflows.unit import (
    COMPLAINT,
    ENGAGEMENT,
    FAR_SECONDS,
    FEDERATION_SCHEMA,
    NEVER_SECONDS,
    PATIENCE_SECONDS,
    TICKET,
    TICKET_SCHEMA,
    TRACE,
    Unit,
    commented,
    complained,
    in_seconds,
    opened,
    passed,
    requested,
)

PUNCTUAL = timedelta(seconds=1)
OTHER_TRACE = "00-11111111111111111111111111111111-b7ad6b7169203331-01"
WAITING_PROCESS = str(Path(__file__).with_name("waiting_process.py"))


async def test_an_opened_ticket_is_watched_and_its_deadline_met_within_a_second(unit: Unit) -> None:
    async def lateness(number: int) -> timedelta:
        name = f"units/hq/tickets/t{number}"
        ticket = unit.tickets.tickets[name] = FakeTicket({"breach": in_seconds(3)})
        await unit.tell(opened(name=name), name)
        await eventually(lambda: ticket.done)
        [done] = ticket.done
        return done.lateness

    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        await unit.sees_it_work()
        assert await least(lateness) <= PUNCTUAL


async def test_what_waits_for_an_agent_is_given_out_also_while_temporal_is_away(unit: Unit) -> None:
    await unit.temporal.stop()
    unit.teams.waiting, unit.teams.shift_time = [TICKET], in_seconds(-1)
    async with unit.waiting():
        await eventually(lambda: unit.teams.given)
    await unit.temporal.start()


async def test_a_complaint_is_watched_beside_its_ticket_and_its_time_met_within_a_second(unit: Unit) -> None:
    async def lateness(number: int) -> timedelta:
        name = f"{TICKET}/complaints/c{number}"
        complaint = unit.complaints.complaints[name] = FakeComplaint({"overdue": in_seconds(3)})
        await unit.tell(complained(), name)
        await eventually(lambda: complaint.done)
        await unit.result_of(complaint_of(name))
        [done] = complaint.done
        return done.lateness

    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        await unit.sees_it_work()
        assert await least(lateness) <= PUNCTUAL


async def test_an_answered_complaint_has_a_process_that_closes_it_by_itself(unit: Unit) -> None:
    complaint = unit.complaints.complaints[COMPLAINT] = FakeComplaint({"overdue": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(complained(), COMPLAINT)
        await unit.begin_time_of(complaint_of(COMPLAINT))
        complaint.deadlines = {"close": in_seconds(2)}
        await unit.tell(complained(COMPLAINT_ANSWERED), COMPLAINT)
        await eventually(lambda: complaint.done)
    assert [done.what for done in complaint.done] == ["close"]


async def test_a_closed_complaint_has_no_process(unit: Unit) -> None:
    complaint = unit.complaints.complaints[COMPLAINT] = FakeComplaint({"overdue": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(complained(), COMPLAINT)
        await unit.begin_time_of(complaint_of(COMPLAINT))
        complaint.deadlines = {}
        await unit.tell(complained(COMPLAINT_CLOSED), COMPLAINT)
        await unit.sees_it_ended(complaint_of(COMPLAINT))


async def test_a_complaints_process_comes_back_with_its_time_when_the_store_is_lost(unit: Unit) -> None:
    due_time = in_seconds(3600)
    unit.complaints.complaints[COMPLAINT] = FakeComplaint({"overdue": due_time})
    async with unit.waiting():
        await unit.tell(complained(), COMPLAINT)
        await unit.begin_time_of(complaint_of(COMPLAINT))
    await unit.lose_store()
    async with unit.waiting():
        assert abs(await unit.begin_time_of(complaint_of(COMPLAINT)) - due_time) <= PUNCTUAL


async def test_a_process_begins_when_something_is_due_and_not_before(unit: Unit) -> None:
    due_time = in_seconds(3600)
    unit.tickets.tickets[TICKET] = FakeTicket({"breach": due_time})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        assert abs(await unit.begin_time_of(sla_of(TICKET)) - due_time) <= PUNCTUAL
    assert unit.tickets.request_ids == []


async def test_an_event_moves_the_time_at_which_the_process_begins(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        ticket.deadlines = {"breach": in_seconds(1)}
        await unit.tell(commented(), TICKET)
        await eventually(lambda: ticket.done)


async def test_a_ticket_whose_clocks_stand_has_no_process_until_they_go_on(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        ticket.paused = True
        await unit.tell(commented(), TICKET)
        await unit.sees_it_ended(sla_of(TICKET))
        ticket.paused, ticket.deadlines = False, {"breach": in_seconds(1)}
        summary = ticket_pb2.TicketSummary(name=TICKET, state=ticket_pb2.IN_PROGRESS)
        await unit.tell(events_pb2.TicketResumed(ticket=summary), TICKET)
        await eventually(lambda: ticket.done)


async def test_a_ticket_that_ends_before_something_is_due_was_never_asked_about(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        ticket.ended = True
        await unit.tell(events_pb2.TicketResolved(ticket=opened(ticket_pb2.RESOLVED).ticket), TICKET)
        await unit.sees_it_ended(sla_of(TICKET))
    assert unit.tickets.request_ids == []


async def test_the_calls_carry_the_trace_of_the_event(unit: Unit) -> None:
    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        # The reconciler would do it before there is an event to take the trace from: it asks three times, at the start.
        await eventually(lambda: unit.tickets.listings >= 3)
        unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(0)})
        await unit.tell(opened(), TICKET)
        await eventually(lambda: unit.tickets.request_ids)
    assert trace_ids(unit.tickets.traceparents) == trace_ids([TRACE])


async def test_a_process_that_is_replaced_keeps_the_trace_of_the_opening(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        ticket.deadlines = {"breach": in_seconds(0)}
        await unit.tell(commented(), TICKET, trace=OTHER_TRACE)
        await eventually(lambda: unit.tickets.traceparents)
    assert trace_ids(unit.tickets.traceparents) == trace_ids([TRACE])


async def test_a_ticket_whose_whole_life_is_in_the_log_starts_nothing(unit: Unit) -> None:
    await unit.tell(opened(), TICKET)
    summary = ticket_pb2.TicketSummary(name=TICKET, state=ticket_pb2.CLOSED)
    await unit.tell(events_pb2.TicketClosed(ticket=summary), TICKET)
    other = "units/hq/tickets/t2"
    unit.tickets.tickets[other] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(name=other), other)
        await unit.begin_time_of(sla_of(other))
    assert await unit.runs_of(sla_of(TICKET)) == []


async def test_events_told_again_start_no_second_process(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    for _ in range(2):
        async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
            await unit.tell(opened(), TICKET)
            await unit.sees_all_told()
        await unit.runtime.database.write(_forget_cursor)
    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        await unit.sees_all_told()
        ticket.deadlines = {"breach": in_seconds(1)}
        await unit.tell(commented(), TICKET)
        await eventually(lambda: ticket.done)
        await unit.result_of(sla_of(TICKET))
    assert [done.what for done in ticket.done] == ["breach"]


async def test_headquarters_escalates_what_a_unit_asks_for(unit: Unit) -> None:
    engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", HEADQUARTERS])
    async with unit.waiting():
        await unit.tell(requested(), ENGAGEMENT, schema=FEDERATION_SCHEMA, unit="units/shanghai")
        await eventually(lambda: engagement.open_offer)
        engagement.answer(group_pb2.DECLINED)
        declined = events_pb2.EngagementDeclined(engagement=requested().engagement)
        await unit.tell(declined, ENGAGEMENT, schema=FEDERATION_SCHEMA, unit="units/munich")
        await eventually(lambda: len(engagement.offers) == 2)
        engagement.answer(group_pb2.ACCEPTED)
        accepted = events_pb2.EngagementAccepted(engagement=requested().engagement)
        await unit.tell(accepted, ENGAGEMENT, schema=FEDERATION_SCHEMA, unit=HEADQUARTERS)
        outcome = await unit.result_of(escalation_of(ENGAGEMENT))
    assert outcome == {"engagement": ENGAGEMENT, "offers": 2, "expired": 0}


async def test_an_offer_to_the_next_one_after_a_reassignment_is_waited_for_at_once(unit: Unit) -> None:
    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", HEADQUARTERS])
        engagement.timeout = timedelta(seconds=1)
        engagement.offer(datetime.now(UTC))
        reassigned = events_pb2.EngagementReassigned(engagement=requested().engagement)
        await unit.tell(reassigned, ENGAGEMENT, schema=FEDERATION_SCHEMA, service="federation")
        await eventually(lambda: engagement.expirations)


async def test_a_skipped_offer_is_waited_for_no_longer(unit: Unit) -> None:
    engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", HEADQUARTERS])
    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        await unit.tell(requested(), ENGAGEMENT, schema=FEDERATION_SCHEMA, unit="units/shanghai")
        await eventually(lambda: engagement.open_offer)
        engagement.answer(group_pb2.EXPIRED)
        skipped = events_pb2.EngagementOfferExpired(engagement=requested().engagement, skipped=True)
        await unit.tell(skipped, ENGAGEMENT, schema=FEDERATION_SCHEMA, service="federation")
        await eventually(lambda: len(engagement.offers) == 2)


async def test_what_is_overdue_when_the_worker_comes_up_is_done_without_a_process(unit: Unit) -> None:
    tickets = [FakeTicket({"warn": in_seconds(-9), "breach": in_seconds(-1)}) for _ in range(5)]
    unit.tickets.tickets |= {f"units/hq/tickets/t{number}": ticket for number, ticket in enumerate(tickets)}
    async with unit.waiting():
        await eventually(lambda: all(ticket.ended for ticket in tickets))
    assert [[done.what for done in ticket.done] for ticket in tickets] == [["warn", "breach"]] * 5
    assert await unit.runs_of(sla_of("units/hq/tickets/t0")) == []


async def test_what_is_overdue_is_done_in_the_trace_of_the_opening(unit: Unit) -> None:
    unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(-1)})
    engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", HEADQUARTERS])
    engagement.offer(datetime.now(UTC) - engagement.timeout)
    await unit.tell(opened(), TICKET)
    await unit.tell(commented(), TICKET, trace=OTHER_TRACE)
    # A provider's events on an engagement are in its own log, and the name of its unit comes first.
    await unit.tell(requested(), ENGAGEMENT, schema=FEDERATION_SCHEMA, unit="units/munich", trace=OTHER_TRACE)
    await unit.tell(requested(), ENGAGEMENT, schema=FEDERATION_SCHEMA, unit="units/shanghai")
    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        await eventually(lambda: unit.tickets.traceparents and engagement.expirations)
        assert trace_ids(unit.tickets.traceparents[:1] + unit.routing.traceparents[:2]) == trace_ids([TRACE])


async def test_an_offer_whose_time_was_up_when_the_worker_comes_up_is_made_to_the_next_one(unit: Unit) -> None:
    engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", HEADQUARTERS])
    engagement.offer(datetime.now(UTC) - engagement.timeout)
    async with unit.waiting():
        await eventually(lambda: len(engagement.offers) == 2)
    assert [done.what for done in engagement.expirations] == ["units/munich"]


async def test_one_that_is_refused_keeps_no_other_from_being_done(unit: Unit) -> None:
    tickets = [FakeTicket({"breach": in_seconds(-1)}) for _ in range(3)]
    unit.tickets.tickets |= {f"units/hq/tickets/t{number}": ticket for number, ticket in enumerate(tickets)}
    unit.tickets.failures = [RoleMissing()]
    async with unit.waiting():
        await eventually(lambda: all(ticket.ended for ticket in tickets))


async def test_a_restarted_worker_goes_on_at_once(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(FAR_SECONDS)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
    async with unit.waiting():
        await eventually(lambda: ticket.done)
    [done] = ticket.done
    assert done.lateness <= timedelta(seconds=5)


async def test_a_killed_worker_does_what_became_due_once_within_five_seconds_of_its_return(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"notice": in_seconds(0)})
    async with worker_process(unit) as first:
        await unit.tell(opened(), TICKET)
        await eventually(lambda: ticket.done, seconds=PATIENCE_SECONDS)
        breach_time = in_seconds(FAR_SECONDS)
        ticket.ended, ticket.deadlines = False, {"warn": breach_time - timedelta(seconds=1), "breach": breach_time}
        await unit.tell(commented(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        first.kill()
        await passed(breach_time)
    assert [done.what for done in ticket.done] == ["notice"]
    async with worker_process(unit):
        return_time = datetime.now(UTC)
        await eventually(lambda: len(ticket.done) == 3)
    assert [done.what for done in ticket.done] == ["notice", "warn", "breach"]
    assert all(done.time - return_time <= timedelta(seconds=5) for done in ticket.done)


async def test_a_worker_that_was_killed_while_it_asked_asks_the_same_again(unit: Unit) -> None:
    unit.tickets.gate.clear()
    async with worker_process(unit) as first:
        # What is due before it works is done without a process.
        await unit.sees_it_work()
        ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(2)})
        await unit.tell(opened(), TICKET)
        await eventually(lambda: unit.tickets.request_ids, seconds=PATIENCE_SECONDS)
        first.kill()
    unit.tickets.gate.set()
    async with worker_process(unit):
        assert await unit.result_of(sla_of(TICKET)) == {"ticket": TICKET, "evaluations": 1}
    assert (len(unit.tickets.request_ids), len(set(unit.tickets.request_ids))) == (2, 1)
    assert len(ticket.done) == 1


async def test_a_lost_store_is_rebuilt_with_the_original_deadlines(unit: Unit) -> None:
    names = [f"units/hq/tickets/t{number}" for number in range(5)]
    engagement = unit.routing.engagements[ENGAGEMENT] = FakeEngagement(["units/munich", HEADQUARTERS])
    # That it is another store is noticed, and not only at the next comparison.
    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        await eventually(lambda: engagement.open_offer)
        due_time = in_seconds(FAR_SECONDS)
        for name in names:
            unit.tickets.tickets[name] = FakeTicket({"breach": due_time})
            await unit.tell(opened(name=name), name)
            await unit.begin_time_of(sla_of(name))
        await unit.lose_store()
        await eventually(lambda: all(unit.tickets.tickets[name].done for name in names), seconds=PATIENCE_SECONDS)
        engagement.answer(group_pb2.ACCEPTED)
    done = [done for name in names for done in unit.tickets.tickets[name].done]
    assert [one.due_time for one in done] == [due_time] * len(names)


async def test_a_store_that_is_lost_while_nobody_works_is_rebuilt_at_the_start_with_the_traces(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
    await unit.lose_store()
    ticket.deadlines = {"breach": in_seconds(3)}
    async with unit.waiting():
        await eventually(lambda: ticket.done)
    assert len(ticket.done) == 1
    assert trace_ids(unit.tickets.traceparents) == trace_ids([TRACE])


async def test_a_unit_makes_its_namespace_where_it_is_missing(unit: Unit, make_runtime: MakeRuntime) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(1)})
    runtime = make_runtime(
        HEADQUARTERS,
        database_url=unit.runtime.settings.database_url,
        serve_address=unit.runtime.settings.serve_address,
        temporal_address=unit.temporal.address,
        temporal_namespace="units-new",
    )
    await unit.tell(opened(), TICKET)
    async with replace(unit, runtime=runtime).waiting(at_headquarters=False):
        await eventually(lambda: ticket.done, seconds=PATIENCE_SECONDS)


async def test_what_becomes_due_while_temporal_is_away_is_done_all_the_same(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(3600)})
    async with unit.waiting(reconcile_interval_seconds=NEVER_SECONDS):
        await unit.tell(opened(), TICKET)
        await unit.begin_time_of(sla_of(TICKET))
        await unit.temporal.stop()
        ticket.deadlines = {"breach": in_seconds(1)}
        await eventually(lambda: ticket.done)


async def test_it_waits_for_a_temporal_that_comes_later(unit: Unit) -> None:
    ticket = unit.tickets.tickets[TICKET] = FakeTicket({"breach": in_seconds(1)})
    await unit.temporal.stop()
    async with unit.waiting():
        await unit.tell(opened(), TICKET)
        await asyncio.sleep(0.5)
        await unit.temporal.start()
        await eventually(lambda: ticket.done, seconds=PATIENCE_SECONDS)


async def least(lateness: Callable[[int], Awaitable[timedelta]]) -> timedelta:
    """Return the least of up to three: a machine that is busy may stall for a second, but not each time."""
    found: list[timedelta] = []
    for number in (1, 2, 3):
        found.append(await lateness(number))
        if found[-1] <= PUNCTUAL:
            break
    assert min(found) >= timedelta()
    return min(found)


@asynccontextmanager
async def worker_process(unit: Unit) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the unit's waiting in a process of its own; at the end it is killed, if it still lives."""
    settings = unit.runtime.settings.model_dump(mode="json", exclude_none=True)
    environment = os.environ | {f"HANSE_{name.upper()}": str(value) for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, WAITING_PROCESS, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def trace_ids(traceparents: Iterable[str]) -> set[str]:
    return {traceparent.split("-")[1] for traceparent in traceparents}


def _forget_cursor(session: Session) -> None:
    session.execute(TICKET_SCHEMA.log.cursor.delete())
