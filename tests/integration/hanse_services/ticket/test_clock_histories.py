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
from hanse_services.ticket.model import TICKET_TRANSITIONS
from tests.integration.hanse_services.ticket.desk import Desk, FakeClock
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
    desk.clock = desk.executor.clock = FakeClock()
    if team:
        await set_team(desk, "displays", *team)
    await agree(desk, text, next(versions))
    name = (await desk.open()).name
    for seconds, choice, is_watched in history:
        desk.clock.advance(seconds=seconds)
        if is_watched:
            await desk.evaluate(name)
        ticket = await desk.get(name)
        possible = [verb for verb in FURTHER_VERBS if ticket.state in TICKET_TRANSITIONS[verb]]
        if ticket.tier == TOP_TIER and "EscalateTicket" in possible:
            possible.remove("EscalateTicket")
        if ticket.priority == pb.P1 and "SuspendTicket" in possible:
            possible.remove("SuspendTicket")
        verb = possible[choice % len(possible)]
        await desk.do(verb, name, **FURTHER_VERBS[verb])
    await desk.evaluate(name)
    assert not (await repaired(desk, name, preview=True)).changed
    longer = next(versions)
    await agree(desk, text.replace("duration: 2h", "duration: 3h").replace("resolution: 10h", "resolution: 9h"), longer)
    await apply(desk, longer)
    assert (await explain(desk, name)).agrees
