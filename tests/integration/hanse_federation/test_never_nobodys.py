"""Whatever units do with an engagement, and in whatever order it arrives: a ticket has one holder, and one provider.

Three desks and headquarters' routing, each on a database of its own, do what they like by a seed: offer, expire,
accept, decline, deliver, confirm, reject, recall, reassign, withdraw, and leave. What one tells reaches the others
late, and each line at its own pace. Once everything has arrived, nothing contradicts itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import HanseError
from hanse.log.append import Entry, append
from hanse.log.events import payload_of
from hanse.log.follow import START, Position, StoredRecord, last_position, read_after
from hanse.migrations import service_migrations
from hanse.names import HEADQUARTERS, downstream_name, stream_name
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse.telling.inbox import Inbox
from hanse.work import Cause, Work
from hanse_federation.headquarters import routing
from hanse_federation.headquarters.forwarding import forward_decisions, forward_facts
from hanse_federation.headquarters.projections import project
from hanse_federation.link.receiving import Arrival
from hanse_federation.membership.register import admit_unit
from hanse_federation.membership.retirement import retire_unit
from hanse_federation.model import LOG, MIGRATIONS, ROUTING_STREAM, GroupEngagement
from hanse_federation.model import SCHEMA as FEDERATION
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.federation.v1 import membership_pb2 as members
from hanse_protos.log.v1.log_pb2 import LogRecord, SealedFields
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket import commands, engagements
from hanse_services.ticket.effects import EFFECTS
from hanse_services.ticket.model import SCHEMA, Engagement, Ticket
from tests.support import OCCUR_TIME, POLICY_YAML, MakeRuntime

HOME, OTHERS = "units/shanghai", ("units/munich", "units/oslo", HEADQUARTERS)
OSLO = "  - {unit: units/oslo, title: Oslo, calendar: always, languages: [en], skills: [display]}\ntargets:"
DOCUMENT = load_yaml(POLICY_YAML.replace("targets:", OSLO) + "return_limit: {returns: 6, skip_former_holders: true}")
POLICY = Policy(name="policies/1", version=1, document=DOCUMENT)
STEPS = 60
EVERYTHING = 10_000
AT_HOME = frozenset({pb.REQUESTED, pb.OFFERED, pb.DECLINED, pb.EXPIRED, pb.DELIVERED, pb.CONFIRMED, pb.WITHDRAWN})
"""The states of an engagement, as its home has it, in which the home unit holds the ticket."""


@dataclass
class World:
    """Headquarters, the desks, and what is on its way between them."""

    chance: Random
    hq: Runtime
    desks: dict[str, Runtime]
    policy: Policy = field(default_factory=lambda: POLICY)
    ticket: str = ""
    now: Any = OCCUR_TIME
    gone: set[str] = field(default_factory=set)
    received: dict[str, Position] = field(default_factory=dict)

    async def start(self) -> None:
        for runtime, schema in [(self.hq, FEDERATION), *((desk, SCHEMA) for desk in self.desks.values())]:
            await runtime.database.write(PolicyStore(schema).enact, self.policy)
        for unit in (HOME, *OTHERS[:-1]):
            await self.decide(admit_unit, members.AdmitUnitRequest(unit=unit))
        asked = pb.Ticket(title="Dark", category="display", priority=pb.P2)
        self.ticket = (
            await self.do(HOME, commands.create_ticket, rpc.CreateTicketRequest(parent=HOME, ticket=asked))
        ).name

    async def do(self, unit: str, command: Callable[[Work, Any], Any], request: Any) -> Any:
        """Let a desk take a step; what it refuses changes nothing."""
        return await self.desks[unit].database.write(partial(self._perform, unit, command, request))

    def _perform(self, unit: str, command: Callable[[Work, Any], Any], request: Any, session: Session) -> Any:
        work = Work(session, unit, Cause(f"{unit}/agents/li", str(uuid4())), self.now, PolicyStore(SCHEMA))
        answer = command(work, request)
        session.flush()
        append(session, SCHEMA.log, stream_name(unit, "ticket"), work.entries)
        return answer

    async def decide(self, command: Callable[[Work, Any], Any], request: Any) -> Any:
        """Let headquarters decide something, and pass it on."""
        return await self.hq.database.write(partial(self._decide, command, request))

    def _decide(self, command: Callable[[Work, Any], Any], request: Any, session: Session) -> Any:
        work = Work(
            session, HEADQUARTERS, Cause("units/hq/agents/ada", str(uuid4())), self.now, PolicyStore(FEDERATION)
        )
        answer = command(work, request)
        session.flush()
        if work.entries:
            append(session, LOG, ROUTING_STREAM, work.entries)
            forward_decisions(session, work.entries)
        return answer

    async def carry_up(self, unit: str, count: int = 1) -> int:
        """Let the next facts of a unit reach headquarters; return how many there were."""
        stream = stream_name(unit, "ticket")
        received = self.received.get(stream, START)
        records = await self.desks[unit].database.read(read_after, SCHEMA.log, stream, received, count)
        for record in records:
            await self.hq.database.write(self._absorb, record)
            self.received[stream] = last_position([record])
        return len(records)

    def _absorb(self, session: Session, record: StoredRecord) -> None:
        event = record.decoded()
        sealed = SealedFields.FromString(record.sealed).fields if record.sealed else ()
        entry = Entry(UUID(event.event_id), record.resource, record.type, self.now, record.event, record.sealed)
        append(session, LOG, record.stream, [entry])
        payload = payload_of(event)
        assert payload is not None
        fact = Arrival(record.epoch, record.sequence, event, payload, record.event, sealed, record.stream)
        project(session, [fact])
        forward_facts(session, PolicyStore(FEDERATION), [fact], self.now)

    async def carry_down(self, unit: str, count: int = 1) -> int:
        """Let the next facts of headquarters reach a unit; return how many there were."""
        stream = downstream_name(unit)
        received = self.received.get(stream, START)
        records = await self.hq.database.read(read_after, LOG, stream, received, count)
        for record in records:
            await self.desks[unit].database.write(self._react, unit, record)
            self.received[stream] = last_position([record])
        return len(records)

    def _react(self, session: Session, unit: str, record: StoredRecord) -> None:
        sealed = SealedFields.FromString(record.sealed).fields if record.sealed else ()
        message = LogRecord(stream=record.stream, epoch=1, sequence=1, event=record.event, sealed=sealed)

        def effect(work: Work, fact: Any) -> None:
            if type(fact.payload) in EFFECTS:
                EFFECTS[type(fact.payload)](work, fact)

        Inbox(SCHEMA, unit, clock=lambda: self.now).apply(session, message, effect)

    async def settle(self) -> None:
        """Let everything arrive."""
        moved = 1
        while moved:
            moved = 0
            for unit in self.desks:
                if unit not in self.gone:
                    moved += await self.carry_up(unit, EVERYTHING) + await self.carry_down(unit, EVERYTHING)

    async def engagement(self, unit: str) -> Engagement | None:
        query = select(Engagement).where(Engagement.ticket == self.ticket).order_by(Engagement.name.desc()).limit(1)
        return await self.desks[unit].database.read(lambda session: session.scalar(query))


HOME_STEPS: dict[str, Callable[[str], tuple[Any, Any]]] = {
    "confirm": lambda name: (engagements.confirm_engagement, rpc.ConfirmEngagementRequest(name=name)),
    "reject": lambda name: (engagements.reject_engagement, rpc.RejectEngagementRequest(name=name)),
    "recall": lambda name: (engagements.recall_engagement, rpc.RecallEngagementRequest(name=name)),
    "reassign": lambda name: (engagements.reassign_engagement, rpc.ReassignEngagementRequest(name=name)),
    "withdraw": lambda name: (engagements.withdraw_engagement, rpc.WithdrawEngagementRequest(name=name)),
}
PROVIDER_STEPS: dict[str, Callable[[str], tuple[Any, Any]]] = {
    "accept": lambda name: (engagements.accept_engagement, rpc.AcceptEngagementRequest(name=name)),
    "decline": lambda name: (engagements.decline_engagement, rpc.DeclineEngagementRequest(name=name)),
    "deliver": lambda name: (engagements.deliver_engagement, rpc.DeliverEngagementRequest(name=name)),
}


async def step(world: World) -> None:
    """Do one thing, by chance. What the rules refuse is a part of it."""
    chance = world.chance
    world.now += timedelta(minutes=chance.choice((0, 1, 8)))
    home = await world.engagement(HOME)
    kind = chance.choices(["up", "down", "home", "provider", "route", "leave"], [6, 6, 3, 5, 4, 0.15])[0]
    unit = chance.choice([unit for unit in world.desks if unit not in world.gone])
    if kind == "up":
        await world.carry_up(unit, chance.randrange(1, 4))
    elif kind == "down":
        await world.carry_down(unit, chance.randrange(1, 4))
    elif kind == "home":
        if home is None or home.state in (pb.CONFIRMED, pb.WITHDRAWN):
            asked = rpc.RequestEngagementRequest(parent=world.ticket, reason="?")
            await world.do(HOME, engagements.request_engagement, asked)
        else:
            await world.do(HOME, *HOME_STEPS[chance.choice(list(HOME_STEPS))](home.name))
    elif kind == "provider":
        provider = chance.choice([other for other in OTHERS if other not in world.gone])
        known = await world.engagement(provider)
        if known:
            await world.do(provider, *PROVIDER_STEPS[chance.choice(list(PROVIDER_STEPS))](known.name))
    elif kind == "leave" and len(world.gone) == 0:
        leaver = chance.choice(OTHERS[:-1])
        await world.decide(retire_unit, members.RetireUnitRequest(unit=leaver, reason="sold"))
        world.gone.add(leaver)
    elif home:
        offer = chance.randrange(1, 8)
        decisions: list[Callable[[], Awaitable[object]]] = [
            lambda: world.decide(routing.offer_engagement, group.OfferEngagementRequest(name=home.name)),
            lambda: world.decide(routing.offer_engagement, group.OfferEngagementRequest(name=home.name)),
            lambda: world.decide(routing.expire_offer, group.ExpireOfferRequest(name=home.name, offer=offer)),
            lambda: world.decide(
                routing.reassign_engagement, group.ReassignEngagementRequest(name=home.name, reason="stuck")
            ),
        ]
        await chance.choice(decisions)()


async def check(world: World) -> None:
    """Check that the ticket has one holder, that nobody else works on it, and that what is asked for is looked for."""
    await world.settle()
    ticket = await world.desks[HOME].database.read(lambda session: session.get_one(Ticket, world.ticket))
    home = await world.engagement(HOME)
    active = []
    for unit in OTHERS:
        known = await world.engagement(unit) if unit not in world.gone else None
        if known and known.state == pb.ACCEPTED and known.provider == unit:
            active.append(unit)
    assert len(active) <= 1
    if home is None:
        assert (ticket.holder, active) == (HOME, [])
        return
    routed = await world.hq.database.read(lambda session: session.get(GroupEngagement, home.name))
    assert routed is not None
    assert (routed.state, routed.provider if active else "") == (home.state, active[0] if active else "")
    if home.state == pb.ACCEPTED:
        assert [ticket.holder] == active == [home.provider]
    else:
        assert home.state in AT_HOME
        assert (ticket.holder, active) == (HOME, [])


def world_of(make_runtime: MakeRuntime, seed: int, policy: Policy = POLICY) -> World:
    """Return headquarters and three other desks, with databases of their own."""
    schemas = [(FEDERATION, MIGRATIONS), service_migrations("hanse_services.ticket")]
    hq = make_runtime(HEADQUARTERS, *schemas)
    desks = {unit: make_runtime(unit, *schemas) for unit in (HOME, *OTHERS[:-1])}
    return World(Random(seed), hq, {**desks, HEADQUARTERS: hq}, policy)  # noqa: S311 - The seed names the test.


@pytest.mark.parametrize("seed", range(4))
async def test_a_ticket_always_has_a_holder_and_one_provider_at_most(make_runtime: MakeRuntime, seed: int) -> None:
    world = world_of(make_runtime, seed)
    await world.start()
    for number in range(STEPS):
        try:
            await step(world)
        except HanseError:
            continue
        if number % 20 == 19:
            await check(world)
    await check(world)
    # And it ends: whoever is asked last can't decline.
    home = await world.engagement(HOME)
    for _ in range(8):
        if home is None or home.state not in (pb.REQUESTED, pb.OFFERED, pb.DECLINED, pb.EXPIRED):
            break
        answer = await world.decide(routing.offer_engagement, group.OfferEngagementRequest(name=home.name))
        world.now += timedelta(hours=1)
        if answer.offer.final:
            await world.settle()
            await world.do(answer.offer.provider, *PROVIDER_STEPS["accept"](home.name))
        else:
            request = group.ExpireOfferRequest(name=home.name, offer=answer.offer.number)
            await world.decide(routing.expire_offer, request)
        await world.settle()
        home = await world.engagement(HOME)
    assert home is None or home.state not in (pb.REQUESTED, pb.OFFERED, pb.DECLINED, pb.EXPIRED)
    await check(world)
