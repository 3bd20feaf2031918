"""What governed a ticket has an answer for every minute of its life."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hanse.policy import load_override_yaml, load_yaml
from hanse.policy.store import PolicyStore
from hanse.times import instant, timestamp
from hanse_protos.log.v1.log_pb2 import Event, LogRecord
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import (
    HEADQUARTERS,
    MONDAY,
    MUNICH,
    POLICY_YAML,
    SHANGHAI,
    Desk,
    StartDesk,
    policy,
    refused,
)
from tests.integration.hanse_services.ticket.engaged import Engaged, engaged_at


async def governance(desk: Desk, ticket: str, at: datetime | None = None) -> rpc.Governance:
    request = rpc.GetGovernanceRequest(name=ticket, time=timestamp(at) if at else None)
    answer: rpc.Governance = await desk.tickets.GetGovernance(request)
    return answer


async def test_a_ticket_is_governed_by_what_it_was_opened_under_whatever_comes_into_force_later(desk: Desk) -> None:
    store = PolicyStore(SCHEMA)
    document = load_override_yaml("targets: [{target: every, resolution: 15h}]")
    for version in (1, 2):
        override = PolicyOverride(unit=desk.unit, version=version, document=document)
        await desk.runtime.database.write(store.tune, override)
        if version == 1:
            desk.clock.now = datetime.now(UTC)
            ticket = await desk.open()
    await desk.runtime.database.write(store.enact, policy(2))
    desk.clock.now = datetime.now(UTC)
    found = await governance(desk, ticket.name)
    assert (found.policy, found.override) == ("policies/1", f"{SHANGHAI}/policyOverrides/1")
    assert (found.policy_in_force, found.override_in_force) == ("policies/2", f"{SHANGHAI}/policyOverrides/2")
    assert (found.holder, found.calendar) == (SHANGHAI, "always")
    then = await governance(desk, ticket.name, ticket.open_time.ToDatetime(UTC))
    assert (then.policy_in_force, then.override_in_force) == ("policies/1", f"{SHANGHAI}/policyOverrides/1")


async def test_a_minute_before_the_ticket_was_opened_is_refused(desk: Desk) -> None:
    desk.clock.now = datetime.now(UTC)
    ticket = await desk.open()
    for wrong in (desk.clock.now - timedelta(minutes=1), datetime.now(UTC) + timedelta(days=1)):
        with refused() as refusal:
            await governance(desk, ticket.name, wrong)
        assert refusal.reason == "VALIDATION_FAILED"


async def test_while_a_provider_works_the_minute_is_the_providers_and_the_policy_stays(desk: Desk) -> None:
    start = desk.clock.now = datetime.now(UTC) - timedelta(hours=2)
    requested = await desk.engage("RequestEngagement", (await desk.open()).name)
    engaged = Engaged(requested.name)
    await desk.is_told(engaged.offered(at=start))
    await desk.is_told(engaged.accepted(at=desk.clock.advance(minutes=10)))
    await desk.is_told(engaged.delivered(at=desk.clock.advance(minutes=50)))
    desk.clock.now = start + timedelta(hours=2)
    found = [await governance(desk, engaged.ticket, start + timedelta(minutes=minute)) for minute in (5, 30, 90)]
    assert [(each.holder, each.calendar, each.engagement) for each in found] == [
        (SHANGHAI, "always", ""),
        (MUNICH, "office", engaged.name),
        (SHANGHAI, "always", ""),
    ]
    assert {each.policy for each in found} == {"policies/1"} == {found[1].engagement_policy}
    assert [each.former_holders for each in found] == [[], [SHANGHAI], [MUNICH, SHANGHAI]]


@pytest.mark.parametrize(
    ("known", "other", "version"),
    [("title: Two", "title: New", 2), ("id: display,", "id: telex,", 1), (f"unit: {SHANGHAI}", "unit: units/oslo", 1)],
)
async def test_an_engagement_goes_by_the_version_in_force_or_by_the_tickets_where_only_that_knows_it(
    desk: Desk, known: str, other: str, version: int
) -> None:
    ticket = await desk.open()
    newer = Policy(name="policies/2", version=2, document=load_yaml(POLICY_YAML.replace(known, other)))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, newer)
    assert (await desk.engage("RequestEngagement", ticket.name)).policy_version == version


async def test_what_the_conditions_saw_is_told_for_a_minute_that_is_past(desk: Desk) -> None:
    start = desk.clock.now = datetime.now(UTC) - timedelta(hours=2)
    ticket = (await desk.open()).name
    for minutes, verb, fields in (
        (10, "EscalateTicket", {}),
        (20, "PauseTicket", {"waiting_for": "customer"}),
        (30, "ResumeTicket", {}),
    ):
        desk.clock.now = start + timedelta(minutes=minutes)
        await desk.do(verb, ticket, **fields)
    desk.clock.now = start + timedelta(hours=2)
    found = [await governance(desk, ticket, start + timedelta(minutes=minute)) for minute in (5, 15, 25, 35)]
    assert [(each.facts.tier, each.current.state, each.current.waiting_for) for each in found] == [
        (1, "NEW", ""),
        (2, "IN_PROGRESS", ""),
        (2, "WAITING", "customer"),
        (2, "IN_PROGRESS", ""),
    ]


async def test_what_was_heard_of_late_does_not_bring_along_what_happened_after_it(desk: Desk) -> None:
    engaged = await engaged_at(desk, pb.OFFERED)
    desk.clock.now = MONDAY + timedelta(hours=2)
    await desk.do("EscalateTicket", engaged.ticket)
    await desk.do("ReclassifyTicket", engaged.ticket, priority=pb.P1)
    await desk.is_told(engaged.accepted(at=MONDAY + timedelta(hours=1)))
    desk.clock.now = MONDAY + timedelta(hours=4)
    await desk.is_told(engaged.delivered(at=MONDAY + timedelta(hours=3)))
    found = [await governance(desk, engaged.ticket, MONDAY + timedelta(hours=hours)) for hours in (1, 2, 3)]
    assert [(each.holder, each.facts.priority, each.facts.tier, each.facts.returns) for each in found] == [
        (MUNICH, "P2", 1, 0),
        (MUNICH, "P1", 2, 0),
        (SHANGHAI, "P1", 2, 1),
    ]


class Story:
    """What happens to a ticket of Shanghai's, minute by minute, and what governed it in each of them."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.start = desk.clock.now = datetime.now(UTC) - timedelta(hours=6)

    def at(self, minutes: int) -> datetime:
        return self.start + timedelta(minutes=minutes)

    async def do(self, minutes: int, verb: str, engagement: str) -> None:
        self.desk.clock.now = self.at(minutes)
        await self.desk.engage(verb, engagement)

    async def request(self, minutes: int, ticket: str) -> Engaged:
        self.desk.clock.now = self.at(minutes)
        requested = await self.desk.engage("RequestEngagement", ticket)
        return Engaged(requested.name, policy_version=requested.policy_version)

    async def is_told(self, *records: LogRecord) -> None:
        for record in records:
            occur_time = instant(Event.FromString(record.event).occur_time)
            self.desk.clock.now = max(self.desk.clock.now, occur_time)
            assert await self.desk.is_told(record)

    async def by_minute(self, ticket: str, *minutes: int) -> dict[int, tuple[str, str, str]]:
        """Return for some minutes who held the ticket, under which engagement, charged by which version."""
        self.desk.clock.now = datetime.now(UTC)
        found = {minute: await governance(self.desk, ticket, self.at(minute)) for minute in minutes}
        return {
            minute: (each.holder, each.engagement.rsplit("/", 1)[-1], each.engagement_policy)
            for minute, each in found.items()
        }


async def test_at_home_every_minute_keeps_its_engagement_through_rejection_reassignment_recall_and_a_new_policy(
    desk: Desk,
) -> None:
    story, store = Story(desk), PolicyStore(SCHEMA)
    first = await story.request(0, (await desk.open()).name)
    await story.is_told(first.offered(at=story.at(0)), first.accepted(at=story.at(10)))
    await story.is_told(first.delivered(at=story.at(60)))
    await story.do(70, "RejectEngagement", first.name)
    await story.is_told(first.delivered(at=story.at(100)))
    await story.do(110, "RejectEngagement", first.name)
    await desk.runtime.database.write(store.enact, policy(2))
    await story.do(130, "ReassignEngagement", first.name)
    first.provider, first.offer = HEADQUARTERS, 2
    await story.is_told(first.offered(at=story.at(140)), first.accepted(at=story.at(150)))
    await story.do(170, "RecallEngagement", first.name)
    second = await story.request(180, first.ticket)
    await story.is_told(second.offered(at=story.at(180)), second.accepted(at=story.at(190)))

    home, munich, hq = (SHANGHAI, "", ""), (MUNICH, "e1", "policies/1"), (HEADQUARTERS, "e1", "policies/1")
    expected = {
        5: home, 10: munich, 59: munich, 60: home, 65: home, 70: munich, 99: munich, 100: home, 115: munich,
        130: home, 145: home, 150: hq, 169: hq, 170: home, 185: home, 195: (MUNICH, "e2", "policies/2"),
    }  # fmt: skip
    assert await story.by_minute(first.ticket, *expected) == expected


async def test_a_provider_knows_every_minute_in_which_it_worked_also_by_another_units_clock(munich: Desk) -> None:
    story = Story(munich)
    engaged = Engaged(f"{SHANGHAI}/tickets/1/engagements/e1")
    await story.is_told(engaged.requested(), engaged.offered(at=story.at(0)))
    await story.do(10, "AcceptEngagement", engaged.name)
    await story.do(60, "DeliverEngagement", engaged.name)
    # By Shanghai's clock, which is slow, it is rejected before it was delivered.
    await story.is_told(engaged.rejected(at=story.at(59)))
    await story.do(90, "DeliverEngagement", engaged.name)
    await story.is_told(engaged.rejected(at=story.at(100)), engaged.reassignment_requested(at=story.at(120)))
    engaged.offer = 2
    await story.is_told(engaged.offered(at=story.at(140)))
    await story.do(150, "AcceptEngagement", engaged.name)
    await story.is_told(engaged.recalled(at=story.at(170)))

    others, own = ("", "", ""), (MUNICH, "e1", "policies/1")
    expected = {
        5: others, 10: own, 59: own, 65: own, 89: own, 95: others, 105: own, 125: others, 145: others, 155: own,
        175: others,
    }  # fmt: skip
    assert await story.by_minute(engaged.ticket, *expected) == expected


@pytest.mark.parametrize(("worked_on", "holder"), [(True, MUNICH), (False, "")])
async def test_an_acceptance_that_did_not_count_governs_no_minute(munich: Desk, worked_on: bool, holder: str) -> None:
    story = Story(munich)
    engaged = Engaged(f"{SHANGHAI}/tickets/1/engagements/e1")
    await story.is_told(engaged.requested(), engaged.offered(at=story.at(0)))
    await story.do(10, "AcceptEngagement", engaged.name)
    await story.is_told(engaged.offer_withdrawn(at=story.at(30), worked_on=worked_on))
    found = await story.by_minute(engaged.ticket, 20, 40)
    assert (found[20][0], found[40][0]) == (holder, "")


async def test_a_final_owner_that_works_on_its_own_request_governs_that_minute_by_it(start_desk: StartDesk) -> None:
    story = Story(await start_desk(HEADQUARTERS))
    engaged = await story.request(0, (await story.desk.open()).name)
    engaged.provider = HEADQUARTERS
    await story.is_told(engaged.offered(at=story.at(0), final=True))
    await story.do(10, "AcceptEngagement", engaged.name)
    found = await story.by_minute(engaged.ticket, 5, 15)
    assert found == {5: (HEADQUARTERS, "", ""), 15: (HEADQUARTERS, "e1", "policies/1")}
