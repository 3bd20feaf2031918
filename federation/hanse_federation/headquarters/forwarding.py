"""Which facts concern which unit: what headquarters passes on, and to whom.

| Fact | goes to |
|---|---|
| PolicyPublished | every member of the group, headquarters among them |
| ArticlePublished, ArticleRetired with the scope GROUP or PUBLIC | every other member |
| UnitCertificatesRevoked | every member: peers have to know it while headquarters is out of reach |
| UnitAdmitted | nobody; but the unit gets what the members have been told before (`membership.seeding`) |
| EngagementRequested | the provider, right before the first offer to it |
| EngagementOffered, EngagementOfferExpired | the home unit, and who was asked |
| EngagementOfferWithdrawn (an acceptance came too late, or another unit of a shared desk was first) | that unit |
| EngagementReassigned (the provider has left the group, or was stuck) | the home unit |
| TicketEscalationSeen, ComplaintSeen, ComplaintDecided (by headquarters) | the home unit |
| EngagementAccepted, …Declined, …WorkNoted, …Delivered, on the offer that stands | the home unit |
| the same three from a home unit, on an offer that it made itself to a peer | that peer, after the request |
| EngagementConfirmed, …Rejected, …Withdrawn, …ReassignmentRequested | the provider of the offer that stands |
| TicketCommented, while a provider works on the ticket | that provider |
| SlaWarned, SlaBreached of the provider's own agreement, while it works on the ticket | that provider |
| TicketErased | every unit that was asked to work on the ticket |

Everything else stays at headquarters. A fact that is passed on keeps its bytes, its event id and its writer; it gets a
place and a hash in the stream to its receiver. Its sealed fields go on as far as they were granted (`sharing`).

Facts are appended to the streams at the end of the transaction that caused them, routing's own first and then each
unit's in the order of their names: every transaction takes these locks in the same order.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import PolicyMissing
from hanse.log.append import Entry, append
from hanse.log.events import payload_of
from hanse.names import HEADQUARTERS, downstream_name, home_of
from hanse.policy.store import PolicyStore
from hanse.work import Cause, Work
from hanse_federation.headquarters.engagements import STEPS, Engagements, Ruling, TakenBack, is_of_provider, request_of
from hanse_federation.link.copying import pack_sealed
from hanse_federation.link.receiving import Arrival
from hanse_federation.membership.register import active_units
from hanse_federation.membership.seeding import seed_of
from hanse_federation.model import LOG, ROUTING_STREAM, SCHEMA, Offer
from hanse_federation.sharing import SHARED_SCOPES, passed_on
from hanse_protos.federation.v1 import membership_pb2 as membership
from hanse_protos.knowledge.v1 import knowledge_pb2 as knowledge
from hanse_protos.log.v1.log_pb2 import Event, SealedField, SealedFields
from hanse_protos.policy.v1.policy_pb2 import PolicyPublished
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.ticket_pb2 import WITHDRAWN

ROUTING_ACTOR = f"{HEADQUARTERS}/services/{SCHEMA.name}"


class Forwarding:
    """What the facts of one transaction send to the units."""

    def __init__(self, session: Session, policies: PolicyStore) -> None:
        self._session = session
        self._policies = policies
        self._entries: dict[str, list[Entry]] = {}

    def units(self) -> set[str]:
        """Return the members of the group. Who is admitted later is told then."""
        return active_units(self._session)

    def add(self, entry: Entry, units: Iterable[str], counterparts: Collection[str] = ()) -> None:
        """Send an entry to some units; `counterparts` are those that are the other side of an engagement."""
        sealed = SealedFields.FromString(entry.sealed).fields if entry.sealed else ()
        standards = self._policies.current_or_none(self._session)
        for unit in units:
            granted = passed_on(standards, entry.type, sealed, to_counterpart=unit in counterparts)
            self._entries.setdefault(unit, []).append(_resealed(entry, granted))

    def send(self) -> None:
        """Append what was added to the streams of the units."""
        for unit in sorted(self._entries):
            append(self._session, LOG, downstream_name(unit), self._entries[unit])


def _resealed(entry: Entry, sealed: Sequence[SealedField]) -> Entry:
    return Entry(entry.event_id, entry.resource, entry.type, entry.occur_time, entry.event, pack_sealed(sealed))


# What the units tell.


class Scene:
    """What decides whom a unit's fact concerns."""

    def __init__(self, forwarding: Forwarding, engagements: Engagements) -> None:
        self.forwarding = forwarding
        self.engagements = engagements


Rule = Callable[[Scene, Any, Ruling], Iterable[str]]
"""Returns the units that a payload concerns, given the ruling on it where it is about an engagement."""


def _every_unit_if_of_the_group(scene: Scene, payload: PolicyPublished, ruling: Ruling) -> Iterable[str]:
    # What an independent unit has published for itself governed it alone; it has come to the group with its log.
    return scene.forwarding.units() if payload.policy.version > 0 else ()


def _the_group_if_in_scope(
    scene: Scene, payload: knowledge.ArticlePublished | knowledge.ArticleRetired, ruling: Ruling
) -> Iterable[str]:
    return scene.forwarding.units() if payload.article.scope in SHARED_SCOPES else ()


def _the_other_side(scene: Scene, payload: Message, ruling: Ruling) -> Iterable[str]:
    return ruling.counterparts if ruling.counts else ()


def _the_provider_at_work(scene: Scene, payload: told.TicketCommented, ruling: Ruling) -> Iterable[str]:
    return [scene.engagements.provider_at_work(payload.ticket.name)]


def _the_provider_who_promised(
    scene: Scene, payload: told.SlaWarned | told.SlaBreached, ruling: Ruling
) -> Iterable[str]:
    return [scene.engagements.provider_at_work(payload.ticket.name)] if is_of_provider(payload) else []


def _whoever_was_asked(scene: Scene, payload: told.TicketErased, ruling: Ruling) -> Iterable[str]:
    return scene.engagements.asked(payload.ticket.name)


RULES: dict[type[Message], Rule] = {
    PolicyPublished: _every_unit_if_of_the_group,
    knowledge.ArticlePublished: _the_group_if_in_scope,
    knowledge.ArticleRetired: _the_group_if_in_scope,
    told.TicketCommented: _the_provider_at_work,
    told.SlaWarned: _the_provider_who_promised,
    told.SlaBreached: _the_provider_who_promised,
    told.TicketErased: _whoever_was_asked,
    **dict.fromkeys(STEPS, _the_other_side),
}
"""Whom each fact of a unit concerns. What is not here goes nowhere."""

BACK_TO_ITS_WRITER = frozenset({PolicyPublished})
"""What goes to its writer too: the policy reaches headquarters' own desk the way that it reaches every other."""

COUNTERPART_FACTS = STEPS | {told.TicketCommented}
"""The facts that go from one side of an engagement to the other."""


def forward_facts(session: Session, policies: PolicyStore, facts: Sequence[Arrival], now: datetime) -> None:
    """Let the facts of units take effect on engagements, and pass them on to whom they concern."""
    concerned = [fact for fact in facts if type(fact.payload) in RULES]
    if not concerned:
        return
    engagements = Engagements(session, concerned, partial(_are_peers, session, policies))
    scene = Scene(Forwarding(session, policies), engagements)
    answers: list[Entry] = []
    for fact in concerned:
        payload: Any = fact.payload
        kind = type(payload)
        if kind is told.TicketCommented and not engagements.provider_at_work(payload.ticket.name):
            # Most comments are nobody else's business, and in a catch-up there are hundreds of them.
            continue
        ruling = engagements.take(fact) if kind in STEPS else Ruling(counts=True)
        taken_back = ruling.taken_back
        # Whether an acceptance of its own offer came too late, a home unit says itself.
        if isinstance(payload, told.EngagementAccepted) and not ruling.counts and not payload.engagement.peer:
            taken_back += (TakenBack(fact.event.unit, payload.engagement.offer),)
        if taken_back:
            answers += _withdraw_offers(session, policies, fact, taken_back, now)
        is_offer = isinstance(payload, told.EngagementOffered) and ruling.counts
        if is_offer and (request := request_of(session, payload.engagement.name)):
            scene.forwarding.add(request, ruling.counterparts, ruling.counterparts)
        units = set(RULES[type(payload)](scene, payload, ruling)) - {""}
        if type(payload) not in BACK_TO_ITS_WRITER:
            units.discard(fact.event.unit)
        if units:
            # What concerns one side of an engagement alone goes to the other side.
            scene.forwarding.add(_entry_of(fact), units, units if type(payload) in COUNTERPART_FACTS else ())
    if answers:
        append(session, LOG, ROUTING_STREAM, answers)
        _add_decisions(session, scene.forwarding, answers)
    scene.forwarding.send()


def _are_peers(session: Session, policies: PolicyStore, fact: Arrival, home: str, provider: str) -> bool:
    """Return whether two units were peers under the policy that a fact was written under, wherever it is known."""
    try:
        return provider in policies.version(session, fact.event.policy_version).peers_of(home)
    except PolicyMissing:
        return False


def _entry_of(fact: Arrival) -> Entry:
    event, sealed = fact.event, pack_sealed(fact.sealed)
    return Entry(UUID(event.event_id), event.resource, event.type, fact.occur_time, fact.content, sealed)


def _withdraw_offers(
    session: Session, policies: PolicyStore, fact: Arrival, taken_back: Iterable[TakenBack], now: datetime
) -> list[Entry]:
    """Tell units that an offer is not theirs any more: an acceptance came too late, or another unit was first."""
    event = fact.event
    work = Work(session, HEADQUARTERS, Cause(ROUTING_ACTOR, event.request_id, event.trace_context), now, policies)
    payload: Any = fact.payload
    for unit, offer in taken_back:
        withdrawn = told.EngagementOfferWithdrawn()
        withdrawn.engagement.CopyFrom(payload.engagement)
        withdrawn.engagement.state, withdrawn.engagement.provider = WITHDRAWN, unit
        withdrawn.engagement.offer = offer
        work.tell(event.resource, withdrawn)
    return work.entries


# What headquarters decides.


def forward_decisions(session: Session, entries: Sequence[Entry]) -> None:
    """Pass headquarters' decisions on, in the transaction that appended them to its own stream."""
    forwarding = Forwarding(session, PolicyStore(SCHEMA))
    _add_decisions(session, forwarding, entries)
    forwarding.send()


ROUTING_DECISIONS = frozenset(
    {
        told.EngagementOffered,
        told.EngagementOfferExpired,
        told.EngagementOfferWithdrawn,
        told.EngagementReassigned,
    }
)


def _add_decisions(session: Session, forwarding: Forwarding, entries: Iterable[Entry]) -> None:
    for entry in entries:
        payload: Any = payload_of(Event.FromString(entry.event))
        if isinstance(payload, membership.UnitAdmitted):
            for known in seed_of(session, payload.unit):
                forwarding.add(known, [payload.unit])
        if isinstance(payload, told.TicketEscalationSeen):
            forwarding.add(entry, [home_of(payload.escalation.name)])
        if isinstance(payload, told.ComplaintSeen | told.ComplaintDecided):
            home = home_of(payload.complaint.name)
            forwarding.add(entry, [home], [home])
        if isinstance(payload, membership.UnitCertificatesRevoked):
            forwarding.add(entry, forwarding.units())
        if type(payload) not in ROUTING_DECISIONS:
            # What was done about a dead letter here concerns no other unit.
            continue
        engagement = payload.engagement
        home = home_of(engagement.name)
        if isinstance(payload, told.EngagementOfferWithdrawn):
            forwarding.add(entry, [engagement.provider], [engagement.provider])
            continue
        if isinstance(payload, told.EngagementReassigned):
            # Its provider has left the group, or hears that its offer was taken back.
            forwarding.add(entry, [home], [home])
            continue
        offer = session.get_one(Offer, (engagement.name, engagement.offer))
        request = request_of(session, engagement.name) if isinstance(payload, told.EngagementOffered) else None
        if request and (asked := _asked_first(session, engagement, offer)):
            forwarding.add(request, asked, asked)
        forwarding.add(entry, {home, *offer.units})


def _asked_first(session: Session, engagement: Any, offer: Offer) -> set[str]:
    """Return the units that have not been asked before; the home unit, as final owner, knows its own request."""
    earlier = select(Offer.units).where(Offer.engagement == engagement.name, Offer.number < offer.number)
    return {*offer.units}.difference([home_of(engagement.name)], *session.scalars(earlier))
