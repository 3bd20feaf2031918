"""Next replies, periodic updates, and conditions on clocks, as the desk's commands meet them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hanse.further_clocks import further_clocks
from hanse.log.events import payload_of
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import instant
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import MONDAY, POLICY_YAML, Desk
from tests.integration.hanse_services.ticket.test_clocks import resolution
from tests.integration.hanse_services.ticket.test_repair import explain

RESETTING = POLICY_YAML.replace(
    "warn_percents: [50]}", "warn_percents: [50], clocks: {resolution: {reset: current.assigned}}}"
)
PARTNER = "partners/acme"
FURTHER = """
    next_reply: 2h
    periodic_update: 4h
    clocks: {resolution: {cancel: 'current.waiting_for == "implementation"', pause: 'false'}}
"""


@pytest.fixture
async def desk(desk: Desk) -> Desk:
    """A desk whose policy promises more than an answer and a solution."""
    text = POLICY_YAML.replace(
        "  - {id: every, response: 1h, resolution: 10h, warn_percents: [50]}",
        f"  - id: every\n    response: 1h\n    resolution: 10h\n    warn_percents: [50]{FURTHER.rstrip()}",
    )
    # A desk keeps what it has compiled of a version, so no other test has this one.
    further = Policy(name="policies/102", version=102, document=load_yaml(text))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, further)
    return desk


def states(ticket: pb.Ticket) -> dict[str, str]:
    return {
        f"{pb.Clock.Kind.Name(clock.kind)} {clock.number}": pb.Clock.State.Name(clock.state) for clock in ticket.clocks
    }


async def test_a_next_reply_is_promised_when_the_customer_writes_after_the_first_answer(desk: Desk) -> None:
    name = (await desk.open(partner=PARTNER)).name
    ticket = await desk.customer_says(name, "Hello?", PARTNER)
    assert states(ticket) == {"RESPONSE 1": "RUNNING", "RESOLUTION 1": "RUNNING"}
    await desk.do("CommentTicket", name, public=True)
    ticket = await desk.customer_says(name, "Model 7", PARTNER)
    assert states(ticket)["NEXT_REPLY 1"] == "RUNNING"
    desk.clock.advance(hours=1)
    ticket = await desk.do("CommentTicket", name, public=True)
    assert states(ticket)["NEXT_REPLY 1"] == "MET"
    ticket = await desk.customer_says(name, "Thank you", PARTNER)
    assert states(ticket)["NEXT_REPLY 2"] == "RUNNING"


async def test_events_stay_small_and_whoever_has_followed_them_knows_all_clocks(desk: Desk) -> None:
    name = (await desk.open(partner=PARTNER)).name
    for _ in range(4):
        desk.clock.advance(minutes=30)
        await desk.do("CommentTicket", name, public=True)
        await desk.customer_says(name, "Still dark", PARTNER)
    desk.clock.advance(hours=5)
    await desk.evaluate(name)
    await desk.do("ResolveTicket", name)
    known: dict[tuple[int, int], pb.ClockSummary] = {}
    for record in await desk.records():
        summary = payload_of(record.decoded()).ticket  # type: ignore[union-attr]
        told_now = {(clock.kind, clock.number): clock for clock in summary.clocks}
        known |= told_now
        assert further_clocks(clock for key, clock in known.items() if key not in told_now) == summary.further_clocks
    assert (len(known), len(told_now)) == (10, 6)


async def test_each_answer_begins_the_next_update_and_a_late_one_is_told_once(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("CommentTicket", name, public=True)
    desk.clock.advance(hours=5)
    answer = await desk.evaluate(name)
    assert "BREACH on PERIODIC_UPDATE at 100 %" in answer.actions
    await desk.evaluate(name)
    ticket = await desk.do("CommentTicket", name, public=True)
    assert states(ticket) | {"PERIODIC_UPDATE 1": "BREACHED", "PERIODIC_UPDATE 2": "RUNNING"} == states(ticket)
    assert (await desk.told_types()).count("SlaBreached") == 1
    breached = told.SlaBreached.FromString(
        next(r for r in await desk.records() if "SlaBreached" in r.type).decoded().payload
    )
    assert (breached.number, breached.towards, breached.ticket.breached) == (1, pb.Clock.CUSTOMER, True)
    assert breached.due_time.ToDatetime(MONDAY.tzinfo) == MONDAY + timedelta(hours=4)


async def test_a_solution_ends_every_clock_and_a_reopening_promises_the_next_update(desk: Desk) -> None:
    name = (await desk.open(partner=PARTNER)).name
    await desk.do("CommentTicket", name, public=True)
    await desk.customer_says(name, "Model 7", PARTNER)
    ticket = await desk.do("ResolveTicket", name)
    assert {*states(ticket).values()} == {"MET"}
    assert (await desk.evaluate(name)).ended
    ticket = await desk.do("ReopenTicket", name)
    assert states(ticket)["PERIODIC_UPDATE 2"] == states(ticket)["RESOLUTION 1"] == "RUNNING"


async def test_a_condition_counts_in_the_command_that_makes_it_true_and_is_told_with_its_place(desk: Desk) -> None:
    name = (await desk.open()).name
    ticket = await desk.do("PauseTicket", name, waiting_for="vendor")
    assert states(ticket) == {"RESPONSE 1": "PAUSED", "RESOLUTION 1": "RUNNING"}
    await desk.do("ResumeTicket", name)
    ticket = await desk.do("PauseTicket", name, waiting_for="implementation")
    assert states(ticket) == {"RESPONSE 1": "PAUSED", "RESOLUTION 1": "CANCELLED"}
    assert await desk.told_types() == [
        "TicketOpened", "TicketPaused", "TicketResumed", "TicketPaused", "ClockRuleApplied",
    ]  # fmt: skip
    applied = told.ClockRuleApplied.FromString((await desk.records())[-1].decoded().payload)
    assert (applied.effect, applied.rule) == (told.ClockRuleApplied.CANCELLED, "targets[0].clocks.resolution.cancel")


@pytest.mark.parametrize("is_noticed", [True, False])
async def test_a_clock_that_begins_anew_stays_late_whether_or_not_anybody_had_noticed(
    desk: Desk, *, is_noticed: bool
) -> None:
    resetting = Policy(name="policies/106", version=106, document=load_yaml(RESETTING))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, resetting)
    name = (await desk.open()).name
    await desk.do("CommentTicket", name, public=True)
    desk.clock.advance(hours=11)
    if is_noticed:
        await desk.evaluate(name)
    ticket = await desk.do("AssignTicket", name)
    clock = resolution(ticket)
    assert (clock.state, instant(clock.breach_time)) == (pb.Clock.BREACHED, MONDAY + timedelta(hours=10))
    assert instant(clock.start_time) == MONDAY + timedelta(hours=11)
    assert (await desk.told_types()).count("SlaBreached") == 1
    assert (await explain(desk, name)).agrees
