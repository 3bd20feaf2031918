"""Attainment says what a count by hand says."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from hanse.identity import Role
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import timestamp
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import attainment_pb2 as rpc
from hanse_protos.ticket.v1 import attainment_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.repair_pb2 import RepairTicketsRequest
from hanse_protos.ticket.v1.repair_pb2_grpc import RepairServiceStub
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import MONDAY, POLICY_YAML, Desk, new_request_id, refused

TICKETS = 25
Key = tuple[Any, ...]


async def attainment(
    desk: Desk, *group_by: rpc.AttainmentDimension.ValueType, **period: datetime
) -> rpc.AttainmentReport:
    """Ask a desk how it kept its promises."""
    request = rpc.GetAttainmentRequest(
        parent=desk.unit,
        group_by=group_by,
        period=rpc.AttainmentPeriod(**{name: timestamp(at) for name, at in period.items()}),
    )
    return await stubs.AttainmentServiceStub(desk.caller.channel(Role.LEAD)).GetAttainment(request)


async def live(desk: Desk, *services: str, count: int = TICKETS) -> list[pb.Ticket]:
    """Let some tickets live: solved sooner or later, some never, some climbed before; of any of some services."""
    chance = random.Random(4)  # noqa: S311 - a seed, not a secret.
    tickets = []
    for number in range(count):
        service = services[number % len(services)] if services else ""
        name = (await desk.open(priority=chance.choice([pb.P1, pb.P2]), service=service)).name
        if chance.random() < 0.4:
            await desk.do("EscalateTicket", name)
        desk.clock.advance(minutes=chance.randrange(90))
        await desk.do("CommentTicket", name, public=True)
        desk.clock.advance(hours=chance.randrange(15))
        if chance.random() < 0.8:
            await desk.do("ResolveTicket", name)
        await desk.evaluate(name)
        # What a command answers is as of the desk's own time.
        tickets.append(await desk.do("CommentTicket", name))
    return tickets


def quantile(shares: list[float], share: float) -> float:
    """Return a quantile, with the line between two neighbours: the definition, by hand."""
    ordered, place = sorted(shares), share * (len(shares) - 1)
    below = ordered[int(place)]
    above = ordered[min(int(place) + 1, len(ordered) - 1)]
    return below + (above - below) * (place - int(place))


def counted(tickets: list[pb.Ticket], key: Callable[[pb.Ticket, pb.Clock], Key]) -> dict[Key, tuple[Any, ...]]:
    """Count decided clocks by what they are and what they used up, with plain loops."""
    found: dict[Key, list[tuple[bool, float | None]]] = defaultdict(list)
    for ticket in tickets:
        for clock in ticket.clocks:
            if clock.state in (pb.Clock.MET, pb.Clock.BREACHED):
                share = clock.used_duration.ToTimedelta() / clock.target_duration.ToTimedelta()
                stopped = clock.HasField("stop_time")
                found[key(ticket, clock)].append((clock.state == pb.Clock.MET, share if stopped else None))
    result = {}
    for place, outcomes in found.items():
        met = sum(is_met for is_met, _ in outcomes)
        shares = [share for _, share in outcomes if share is not None]
        quantiles = [pytest.approx(100 * quantile(shares, part)) for part in (0.5, 0.9)] if shares else [0.0, 0.0]
        result[place] = (met, len(outcomes) - met, pytest.approx(100 * met / len(outcomes)), *quantiles)
    return result


def reported(report: rpc.AttainmentReport, *columns: str) -> dict[Key, tuple[Any, ...]]:
    values = ("met", "breached", "attained_percent", "median_used_percent", "p90_used_percent")
    return {
        tuple(getattr(row, column) for column in columns): tuple(getattr(row, value) for value in values)
        for row in report.rows
    }


async def test_attainment_agrees_with_a_count_by_hand(desk: Desk) -> None:
    tickets = await live(desk)
    found = await attainment(desk, rpc.BY_PRIORITY, rpc.BY_KIND)
    assert reported(found, "priority", "kind") == counted(tickets, lambda ticket, clock: (ticket.priority, clock.kind))
    whole = counted(tickets, lambda _ticket, _clock: ())[()]
    assert (found.total.met, found.total.breached) == whole[:2]
    assert found.total.met > 0 < found.total.breached


STRICTER_YAML = POLICY_YAML.replace(
    "services:\n  - {id: displays,", "services:\n  - {id: displays, targets: [strict],"
).replace("targets:\n", "targets:\n  - {id: strict, response: 1h, resolution: 4h}\n", 1)
STRICTER = Policy(name="policies/2", version=2, document=load_yaml(STRICTER_YAML))
"""A second version, which promises more for one of the two services."""


async def test_by_service_and_over_several_policy_versions_it_agrees_with_a_count_by_hand(desk: Desk) -> None:
    before = await live(desk, "displays", "on-site", count=12)
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, STRICTER)
    after = await live(desk, "displays", "on-site", count=12)
    # What is put under another version counts as that one's from then on.
    moved = [ticket.name for ticket in before[:4]]
    request = RepairTicketsRequest(parent=desk.unit, names=moved, policy_version=2, request_id=new_request_id())
    await RepairServiceStub(desk.caller.channel(Role.LEAD)).RepairTickets(request)
    tickets = [*[await desk.do("CommentTicket", name) for name in moved], *before[4:], *after]

    dimensions = rpc.BY_SERVICE, rpc.BY_POLICY_VERSION, rpc.BY_TARGET, rpc.BY_KIND
    found = reported(await attainment(desk, *dimensions), "service", "policy_version", "target", "kind")
    by_hand = counted(tickets, lambda ticket, clock: (ticket.service, ticket.policy_version, clock.target, clock.kind))
    assert found == by_hand
    assert {place[:3] for place in found} == {
        ("displays", 1, "every"), ("on-site", 1, "every"), ("displays", 2, "strict"), ("on-site", 2, "every"),
    }  # fmt: skip


async def test_every_dimension_is_shown_and_counts_the_same_in_all(desk: Desk) -> None:
    await live(desk)
    dimensions = [value for value in rpc.AttainmentDimension.values() if value]
    found = await attainment(desk, *dimensions)
    assert {(row.unit, row.category, row.target, row.policy_version) for row in found.rows} == {
        (desk.unit, "display", "every", 1)
    }
    assert sum(row.met + row.breached for row in found.rows) == found.total.met + found.total.breached


async def test_a_clock_counts_at_the_tier_at_which_it_stopped(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("CommentTicket", name, public=True)
    await desk.do("EscalateTicket", name)
    await desk.do("ResolveTicket", name)
    found = await attainment(desk, rpc.BY_KIND, rpc.BY_TIER)
    assert [(row.kind, row.tier) for row in found.rows] == [(pb.Clock.RESOLUTION, 2), (pb.Clock.RESPONSE, 1)]


async def test_a_clock_counts_in_the_period_in_which_it_was_decided(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=11)
    await desk.evaluate(name)
    at_breach = MONDAY + timedelta(hours=10)
    later = await attainment(desk, start_time=at_breach + timedelta(seconds=1))
    until = await attainment(desk, start_time=at_breach, end_time=at_breach + timedelta(seconds=1))
    assert ([*later.rows], [(row.kind, row.breached) for row in until.rows]) == ([], [(pb.Clock.RESOLUTION, 1)])


async def test_a_clock_that_has_run_out_and_runs_on_has_no_share_yet(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=2)
    await desk.evaluate(name)
    [row] = (await attainment(desk)).rows
    assert (row.breached, row.HasField("median_used_percent")) == (1, False)


async def test_a_reopened_promise_is_undecided_again(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.do("ResolveTicket", name)
    await desk.do("ReopenTicket", name)
    assert [row.kind for row in (await attainment(desk)).rows] == [pb.Clock.RESPONSE]


async def test_another_unit_s_attainment_is_not_found(desk: Desk) -> None:
    with refused() as refusal:
        request = rpc.GetAttainmentRequest(parent="units/munich")
        await stubs.AttainmentServiceStub(desk.caller.channel(Role.LEAD)).GetAttainment(request)
    assert refusal.reason == "RESOURCE_NOT_FOUND"
