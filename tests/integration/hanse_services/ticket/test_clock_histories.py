"""Whatever happens to a ticket, its clocks are the exact sums of their segments."""

from __future__ import annotations

import itertools
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanse.policy.standards import TOP_TIER
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import OPEN, TICKET_TRANSITIONS
from tests.integration.hanse_services.ticket.desk import Desk, FakeClock
from tests.integration.hanse_services.ticket.engaged import Engaged
from tests.integration.hanse_services.ticket.test_agreements import AGREED, agree
from tests.integration.hanse_services.ticket.test_bulk_repair import apply
from tests.integration.hanse_services.ticket.test_clocks import resolution, response, used
from tests.integration.hanse_services.ticket.test_repair import explain, repaired, versions
from tests.integration.hanse_services.ticket.test_teams import set_team

EXAMPLES = 15
VERBS = ("CommentTicket", "AssignTicket", "PauseTicket", "ResumeTicket", "ResolveTicket", "ReopenTicket")
RUNNING = (pb.NEW, pb.IN_PROGRESS)

history = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 20)), max_size=8)
"""Seconds that pass, and which of the steps comes next that the state then allows."""


def check_segments(clock: pb.Clock, now: datetime) -> None:
    parts = [segment.used_duration.ToTimedelta() for segment in clock.segments]
    assert used(clock) == sum(parts, timedelta(0))
    for segment, part in zip(clock.segments, parts, strict=True):
        start = segment.start_time.ToDatetime(now.tzinfo)
        end = segment.end_time.ToDatetime(now.tzinfo) if segment.HasField("end_time") else now
        # On this calendar every hour counts.
        assert part == (end - start if segment.running else timedelta(0)) >= timedelta(0)
    for before, after in itertools.pairwise(clock.segments):
        assert before.end_time.ToNanoseconds() <= after.start_time.ToNanoseconds()


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=history)
async def test_a_clock_is_the_sum_of_its_segments_and_of_the_time_in_which_it_ran(
    desk: Desk, history: list[tuple[int, int]]
) -> None:
    desk.clock = desk.executor.clock = FakeClock()
    ticket = await desk.open()
    ran, ran_until_response = timedelta(0), None
    for seconds, choice in history:
        if ticket.state in RUNNING:
            ran += timedelta(seconds=seconds)
        desk.clock.advance(seconds=seconds)
        possible = [verb for verb in VERBS if ticket.state in TICKET_TRANSITIONS[verb]]
        verb = possible[choice % len(possible)]
        ticket = await desk.do(verb, ticket.name, **({"public": True} if verb == "CommentTicket" else {}))
        if ran_until_response is None and verb in ("CommentTicket", "ResolveTicket"):
            ran_until_response = ran
        for clock in ticket.clocks:
            check_segments(clock, desk.clock.now)
        assert used(resolution(ticket)) == ran
        assert used(response(ticket)) == (ran if ran_until_response is None else ran_until_response)
    await desk.evaluate(ticket.name)
    # Its clocks are what its history makes of them, computed from scratch.
    assert not (await repaired(desk, ticket.name, preview=True)).changed


FURTHER_VERBS: dict[str, dict[str, Any]] = {
    "CommentTicket": {"public": True},
    "AssignTicket": {},
    "EscalateTicket": {},
    "PauseTicket": {"waiting_for": "vendor", "supplier": "acme-panels"},
    "SuspendTicket": {},
    "ResumeTicket": {},
    "ReclassifyTicket": {"priority": pb.P1},
    "ResolveTicket": {},
    "ReopenTicket": {},
}
RESETTING = re.sub(
    r"(resolution: \w+, warn_percents: \[50\])", r"\1, clocks: {resolution: {reset: current.assigned}}", AGREED
)
BEGUN = re.sub(
    r"(resolution: \w+, warn_percents: \[50\])",
    r"""\1, clocks: {response: {start: "!current.assigned"}, resolution: {start: 'current.state == "IN_PROGRESS"'}}""",
    AGREED,
)
"""It tells who was given a ticket from who has begun."""
watched_history = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 20), st.booleans()), max_size=8)
"""The same, and whether what is due by then has been done before the step: the worker may have been down."""


@pytest.mark.parametrize(
    ("text", "team"), [(AGREED, ()), (RESETTING, ()), (BEGUN, ["li"])], ids=["agreements", "resets", "teams"]
)
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=watched_history)
async def test_with_agreements_suspensions_and_reclassifications_rows_and_history_say_the_same(
    desk: Desk, text: str, team: list[str], history: list[tuple[int, int, bool]]
) -> None:
    name = await opened_under(desk, text, *team)
    for seconds, choice, is_watched in history:
        desk.clock.advance(seconds=seconds)
        if is_watched:
            await desk.evaluate(name)
        await take_a_step(desk, await desk.get(name), choice)
    await check_rows_and_history(desk, name, text)


async def opened_under(desk: Desk, text: str, *team: str) -> str:
    """Open a ticket under a policy, on Monday morning, where there may be a team for it."""
    desk.clock = desk.executor.clock = FakeClock()
    if team:
        await set_team(desk, "displays", *team)
    await agree(desk, text, next(versions))
    return (await desk.open()).name


async def take_a_step(desk: Desk, ticket: pb.Ticket, choice: int, *, is_provided: bool = False) -> None:
    """Take one of the steps of a ticket that can be taken now; while a provider works on it, it can't be solved."""
    possible = [verb for verb in FURTHER_VERBS if ticket.state in TICKET_TRANSITIONS[verb]]
    if ticket.tier == TOP_TIER and "EscalateTicket" in possible:
        possible.remove("EscalateTicket")
    if ticket.priority == pb.P1 and "SuspendTicket" in possible:
        possible.remove("SuspendTicket")
    if is_provided and "ResolveTicket" in possible:
        possible.remove("ResolveTicket")
    verb = possible[choice % len(possible)]
    await desk.do(verb, ticket.name, **FURTHER_VERBS[verb])


async def check_rows_and_history(desk: Desk, name: str, text: str) -> None:
    """Check that the rows are what history makes of them, also under another version."""
    await desk.evaluate(name)
    assert not (await repaired(desk, name, preview=True)).changed
    longer = next(versions)
    await agree(desk, text.replace("duration: 2h", "duration: 3h").replace("resolution: 10h", "resolution: 9h"), longer)
    await apply(desk, longer)
    assert (await explain(desk, name)).agrees


NOBODY_IS_ASKED = re.sub(r"  - .*REQUEST_ENGAGEMENT.*\n", "", AGREED)
WORKED_ON_ELSEWHERE = (pb.ACCEPTED, pb.DELIVERED)
engaged_history = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(0, 20), st.booleans(), st.booleans(), st.integers(-30_000, 30_000)),
    max_size=10,
)
"""The same, whether it is a step of the engagement, and by how many seconds the provider's clock is wrong then."""


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=engaged_history)
async def test_whatever_a_provider_s_clock_says_rows_and_history_say_the_same(
    desk: Desk, history: list[tuple[int, int, bool, bool, int]]
) -> None:
    name = await opened_under(desk, NOBODY_IS_ASKED)
    engaged, state = None, pb.ENGAGEMENT_STATE_UNSPECIFIED
    for seconds, choice, is_watched, is_engagement_s, wrong_by_seconds in history:
        at = desk.clock.advance(seconds=seconds) + timedelta(seconds=wrong_by_seconds)
        if is_watched:
            await desk.evaluate(name)
        ticket = await desk.get(name)
        if is_engagement_s and ticket.state in TICKET_TRANSITIONS["RequestEngagement"]:
            engaged = await take_the_engagement_s_step(desk, name, engaged, at, choice)
        else:
            await take_a_step(desk, ticket, choice, is_provided=state in WORKED_ON_ELSEWHERE)
        state = (await desk.engagement(engaged.name)).state if engaged else state
    ticket = await desk.get(name)
    # What is solved in the instant in which it comes back has no segment for that instant.
    assert ticket.state not in OPEN or resolution(ticket).segments[-1].unit == ticket.holder
    await check_rows_and_history(desk, name, NOBODY_IS_ASKED)


async def take_the_engagement_s_step(
    desk: Desk, ticket: str, engaged: Engaged | None, at: datetime, choice: int
) -> Engaged:
    """Ask for an engagement, have it accepted, delivered, and confirmed or rejected; `at` is the provider's time."""
    state = (await desk.engagement(engaged.name)).state if engaged else pb.WITHDRAWN
    if engaged is None or state in (pb.WITHDRAWN, pb.CONFIRMED):
        engaged = Engaged((await desk.engage("RequestEngagement", ticket)).name)
        await desk.is_told(engaged.offered())
    elif state == pb.OFFERED:
        await desk.is_told(engaged.accepted(at=at))
    elif state == pb.ACCEPTED:
        await desk.is_told(engaged.delivered(at=at))
    else:
        await desk.engage("RejectEngagement" if choice % 3 else "ConfirmEngagement", engaged.name)
    return engaged
