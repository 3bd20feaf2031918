"""What a home unit does on its engagement while its line is cut, and headquarters has given it to somebody else.

Each change at headquarters meets each step that the home unit can take meanwhile. When the line is back, the home unit,
headquarters and the providers agree on who has the engagement, and what was written for one provider no other one has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from hanse.log.events import short_type
from hanse.log.follow import START, read_after
from hanse.log.sealing import texts_of
from hanse.names import HEADQUARTERS, downstream_name, ticket_of
from hanse.policy import load_yaml
from hanse_federation.headquarters import routing
from hanse_federation.membership.retirement import retire_unit
from hanse_federation.model import LOG, GroupEngagement
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.federation.v1 import membership_pb2 as members
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket import commands, engagements, peers
from tests.integration.hanse_federation.test_never_nobodys import (
    EVERYTHING,
    HOME,
    PROVIDER_STEPS,
    World,
    check,
    world_of,
)
from tests.support import OCCUR_TIME, POLICY_YAML, MakeRuntime

MUNICH, OSLO = "units/munich", "units/oslo"
MUCH_LATER = OCCUR_TIME + timedelta(days=1)
"""When every offer has run out."""
WORDS = "for the eyes of Munich"
PEERS = f"peers:\n  - units: [{HOME}, {MUNICH}, {OSLO}]\n"
SHARING = "sharing:\n  - {events: ['*'], fields: ['*'], audience: COUNTERPART}\n"
OSLO_PROFILE = "  - {unit: units/oslo, title: Oslo, calendar: always, languages: [en], skills: [display]}\ntargets:"


def policy(*preferred: str) -> Policy:
    """Return a policy under which these are asked first, in this order."""
    score = "".join(f'provider.unit == "{unit}" ? {len(preferred) - at} : ' for at, unit in enumerate(preferred))
    document = POLICY_YAML.replace("targets:", OSLO_PROFILE).replace("0 - load", f"'{score}0'")
    return Policy(name="policies/1", version=1, document=load_yaml(document + PEERS + SHARING))


HOME_STEPS: dict[str, Callable[[str], tuple[Any, Any]]] = {
    "confirm": lambda name: (engagements.confirm_engagement, rpc.ConfirmEngagementRequest(name=name)),
    "reject": lambda name: (engagements.reject_engagement, rpc.RejectEngagementRequest(name=name, reason=WORDS)),
    "recall": lambda name: (engagements.recall_engagement, rpc.RecallEngagementRequest(name=name, reason=WORDS)),
    "reassign": lambda name: (engagements.reassign_engagement, rpc.ReassignEngagementRequest(name=name, reason=WORDS)),
    "withdraw": lambda name: (engagements.withdraw_engagement, rpc.WithdrawEngagementRequest(name=name)),
}
POSSIBLE = {
    pb.OFFERED: ("nothing", "withdraw"),
    pb.ACCEPTED: ("nothing", "recall", "reassign", "withdraw"),
    pb.DELIVERED: ("nothing", "confirm", "reject", "recall", "reassign"),
}
"""What a home unit can do on an engagement that it knows in a state."""
HAD = (pb.ACCEPTED, pb.DELIVERED, pb.CONFIRMED)
"""The states in which an engagement is somebody's."""


@dataclass
class Story:
    """Engagements that are all in one state, while home is cut off."""

    world: World
    names: dict[str, str] = field(default_factory=dict)
    """By the step that home takes on it."""

    async def provider(self, unit: str, *steps: str) -> None:
        """Let a provider take steps on every engagement, and headquarters hear of them."""
        for name in self.names.values():
            for step in steps:
                await self.world.do(unit, *PROVIDER_STEPS[step](name))
        await self.hears(unit)

    async def hears(self, unit: str) -> None:
        """Carry everything between headquarters and a unit."""
        await self.world.carry_up(unit, EVERYTHING)
        await self.world.carry_down(unit, EVERYTHING)

    async def decide(self, command: Any, request_type: Any, **fields: Any) -> None:
        """Let headquarters decide something about every engagement."""
        for name in self.names.values():
            await self.world.decide(command, request_type(name=name, **fields))

    async def offer_directly(self, to: str) -> None:
        """Let home offer every engagement to a peer, and headquarters and the peer hear of it."""
        for name in self.names.values():
            await self.world.do(HOME, peers.offer_to_peer, rpc.OfferToPeerRequest(name=name, peers=[to]))
        await self.world.carry_up(HOME, EVERYTHING)
        await self.hears(to)

    async def offer(self, to: str) -> None:
        """Let headquarters make the next offer of every engagement, which goes to `to`."""
        for name in self.names.values():
            answer = await self.world.decide(routing.offer_engagement, group.OfferEngagementRequest(name=name))
            assert answer.offer.provider == to
        await self.hears(to)


async def told_to(world: World, unit: str) -> set[str]:
    """Return the types of what headquarters has passed on to a unit, and the texts."""
    stream = downstream_name(unit)
    records = await world.hq.database.read(read_after, LOG, stream, START, EVERYTHING)
    return {short_type(record.type) for record in records}.union(
        *(texts_of(record.sealed).values() for record in records)
    )


async def begin(make_runtime: MakeRuntime, steps: tuple[str, ...], *preferred: str) -> Story:
    """Ask for an engagement for each of the steps that home will take."""
    story = Story(world_of(make_runtime, 0, policy(*preferred or (MUNICH, OSLO))))
    await story.world.start()
    for step in steps:
        asked = pb.Ticket(title="Dark", category="display", priority=pb.P2)
        opened = await story.world.do(HOME, commands.create_ticket, rpc.CreateTicketRequest(parent=HOME, ticket=asked))
        request = rpc.RequestEngagementRequest(parent=opened.name, reason="?")
        story.names[step] = (await story.world.do(HOME, engagements.request_engagement, request)).name
    await story.hears(HOME)
    return story


async def reassigned(story: Story) -> None:
    """Headquarters takes it from Munich, and has asked Oslo."""
    await story.decide(routing.reassign_engagement, group.ReassignEngagementRequest, reason="No news")


async def given_to_oslo(story: Story) -> None:
    await reassigned(story)
    await story.hears(OSLO)
    await story.provider(OSLO, "accept")


async def solved_by_oslo(story: Story) -> None:
    await given_to_oslo(story)
    await story.provider(OSLO, "deliver")


async def munich_leaves(story: Story) -> None:
    await story.world.decide(retire_unit, members.RetireUnitRequest(unit=MUNICH, reason="sold"))
    story.world.gone.add(MUNICH)


async def munich_leaves_and_oslo_accepts(story: Story) -> None:
    await munich_leaves(story)
    await story.hears(OSLO)
    await story.provider(OSLO, "accept")


async def munich_accepts(story: Story) -> None:
    await story.provider(MUNICH, "accept")


async def munich_delivers(story: Story) -> None:
    await story.provider(MUNICH, "deliver")


async def oslo_is_next(story: Story) -> None:
    story.world.now = MUCH_LATER
    await story.decide(routing.expire_offer, group.ExpireOfferRequest, offer=1)
    await story.offer(OSLO)


async def oslo_accepts(story: Story) -> None:
    await oslo_is_next(story)
    await story.provider(OSLO, "accept")


def accept_again(session: Session, name: str) -> None:
    """Let headquarters have an engagement as one that is worked on, as after a repeated acceptance."""
    session.execute(update(GroupEngagement).where(GroupEngagement.name == name).values(state=pb.ACCEPTED))


async def munich_accepts_again(story: Story) -> None:
    """Munich, restored from a backup, takes up again what it had delivered; headquarters gives it to Oslo."""
    for name in story.names.values():
        await story.world.hq.database.write(accept_again, name)
    await given_to_oslo(story)


Change = Callable[[Story], Awaitable[None]]
CHANGES: list[tuple[pb.EngagementState.ValueType, Change]] = [
    *((pb.OFFERED, change) for change in (munich_accepts, munich_leaves, oslo_is_next, oslo_accepts)),
    *((pb.ACCEPTED, change) for change in (munich_delivers, reassigned, given_to_oslo, solved_by_oslo, munich_leaves)),
    *((pb.ACCEPTED, change) for change in (munich_leaves_and_oslo_accepts,)),
    *((pb.DELIVERED, change) for change in (munich_leaves, munich_accepts_again)),
]


@pytest.mark.parametrize(
    ("state", "change"), CHANGES, ids=[f"{pb.EngagementState.Name(state)}-{each.__name__}" for state, each in CHANGES]
)
async def test_whatever_a_home_unit_did_while_its_line_was_cut_all_agree_afterwards(
    make_runtime: MakeRuntime, state: pb.EngagementState.ValueType, change: Change
) -> None:
    story = await begin(make_runtime, POSSIBLE[state])
    await story.offer(MUNICH)
    if state != pb.OFFERED:
        await story.provider(MUNICH, *["accept", "deliver"][: 1 if state == pb.ACCEPTED else 2])
    await story.hears(HOME)
    await change(story)
    for step, name in story.names.items():
        comment = rpc.CommentTicketRequest(name=ticket_of(name), text=WORDS)
        await story.world.do(HOME, commands.comment_ticket, comment)
        if step in HOME_STEPS:
            await story.world.do(HOME, *HOME_STEPS[step](name))
    await story.world.settle()
    for step, name in story.names.items():
        await agree(story.world, step, name)
    others = await told_to(story.world, OSLO) | await told_to(story.world, HEADQUARTERS)
    assert others.isdisjoint({WORDS, "TicketCommented", "EngagementRejected", "EngagementReassignmentRequested"})


async def test_a_text_reaches_the_provider_that_it_was_written_for(make_runtime: MakeRuntime) -> None:
    story = await begin(make_runtime, ("reject",))
    await story.offer(MUNICH)
    await story.provider(MUNICH, "accept")
    await story.hears(HOME)
    comment = rpc.CommentTicketRequest(name=ticket_of(story.names["reject"]), text=WORDS)
    await story.world.do(HOME, commands.comment_ticket, comment)
    await story.hears(HOME)
    assert {WORDS, "TicketCommented"} <= await told_to(story.world, MUNICH)


OFFERED_DIRECTLY = {pb.OFFERED: pb.EXPIRED, pb.ACCEPTED: pb.REQUESTED, pb.DELIVERED: pb.DELIVERED}
"""What becomes of an engagement that its home has given to a peer, when that peer leaves the group."""


@pytest.mark.parametrize(("state", "after"), OFFERED_DIRECTLY.items())
async def test_a_home_unit_takes_back_itself_what_it_gave_to_a_peer_that_leaves_the_group(
    make_runtime: MakeRuntime, state: pb.EngagementState.ValueType, after: pb.EngagementState.ValueType
) -> None:
    story = await begin(make_runtime, ("nothing", "reject") if state == pb.DELIVERED else ("nothing",))
    await story.offer_directly(MUNICH)
    await story.provider(MUNICH, *{pb.OFFERED: (), pb.ACCEPTED: ("accept",)}.get(state, ("accept", "deliver")))
    await story.hears(HOME)
    await munich_leaves(story)
    for step, name in story.names.items():
        if step == "reject":
            await story.world.do(HOME, *HOME_STEPS[step](name))
    await story.world.settle()
    for step, name in story.names.items():
        await agree(story.world, step, name)
        home = await story.world.engagement(HOME)
        assert home is not None
        assert home.state == (pb.REQUESTED if step == "reject" else after)
    if state != pb.DELIVERED:
        await story.offer(OSLO)


async def test_an_offer_of_headquarters_does_not_overtake_the_home_unit_s_own_later_one(
    make_runtime: MakeRuntime,
) -> None:
    story = await begin(make_runtime, ("nothing",), HEADQUARTERS)
    await story.offer_directly(MUNICH)
    story.world.now = MUCH_LATER
    name = story.names["nothing"]
    # Its time is up, and headquarters has heard so when the line breaks; home does not know that it has.
    await story.world.do(HOME, peers.offer_to_peer, rpc.OfferToPeerRequest(name=name))
    await story.world.carry_up(HOME, EVERYTHING)
    await story.world.decide(routing.offer_engagement, group.OfferEngagementRequest(name=name))
    await story.offer_directly(OSLO)
    answer = await story.world.decide(routing.offer_engagement, group.OfferEngagementRequest(name=name))
    assert (answer.offer.provider, answer.offer.peer) == (OSLO, True)
    await story.world.settle()
    await story.provider(OSLO, "accept")
    await story.world.settle()
    await agree(story.world, "nothing", name)
    home = await story.world.engagement(HOME)
    assert home is not None
    assert (home.state, home.provider) == (pb.ACCEPTED, OSLO)


async def agree(world: World, step: str, name: str) -> None:
    """Check that all agree on an engagement that home took a step of."""
    world.ticket = ticket_of(name)
    await check(world)
    row = await world.hq.database.read(lambda session: session.get_one(GroupEngagement, name))
    home = await world.engagement(HOME)
    assert home is not None
    if step in ("recall", "withdraw"):
        assert home.state == pb.WITHDRAWN
    if home.state in HAD:
        assert (home.provider, home.offer) == (row.provider, row.offer)
