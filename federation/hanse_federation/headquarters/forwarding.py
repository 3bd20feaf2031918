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
| EngagementConfirmed, …Rejected, …ReassignmentRequested, on the offer that stands | its provider |
| EngagementConfirmed, on an offer that was taken from its provider | that provider |
| EngagementWithdrawn | the provider of the offer that stands |
| TicketCommented by the home unit, while the provider that it names as the holder works on the ticket | that provider |
| SlaWarned, SlaBreached of the provider's own agreement, while it works on the ticket | that provider |
| TicketErased | every unit that was asked to work on the ticket |

Everything else stays at headquarters. A fact that is passed on keeps its bytes, its event id and its writer; it gets a
place and a hash in the stream to its receiver. Its sealed fields go on as far as they were granted (`sharing`), and
what was granted to the other side only to the unit that their writer meant.

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
from hanse_federation.headquarters.engagements import (
    STEPS,
    TO_PROVIDER_AT_WORK,
    Engagements,
    Ruling,
    TakenBack,
    request_of,
)
from hanse_federation.headquarters.routing import take_from_departed
from hanse_federation.link.copying import pack_sealed
from hanse_federation.link.receiving import Arrival
from hanse_federation.membership.register import active_units
from hanse_federation.membership.seeding import seed_of
from hanse_federation.model import LOG, ROUTING_STREAM, SCHEMA, Offer
from hanse_federation.sharing import SHARED_SCOPES, counterpart_of, passed_on
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


Rule = Callable[[Scene, Arrival, Ruling], Iterable[str]]
"""Returns the units that a fact concerns, given the ruling on it where it is about an engagement."""


def _every_unit_if_of_the_group(scene: Scene, fact: Arrival, ruling: Ruling) -> Iterable[str]:
    payload: Any = fact.payload
    # What an independent unit has published for itself governed it alone; it has come to the group with its log.
    return scene.forwarding.units() if payload.policy.version > 0 else ()


def _the_group_if_in_scope(scene: Scene, fact: Arrival, ruling: Ruling) -> Iterable[str]:
    payload: Any = fact.payload
    return scene.forwarding.units() if payload.article.scope in SHARED_SCOPES else ()


def _the_other_side(scene: Scene, fact: Arrival, ruling: Ruling) -> Iterable[str]:
    return ruling.counterparts if ruling.counts else ()


def _the_provider_at_work(scene: Scene, fact: Arrival, ruling: Ruling) -> Iterable[str]:
    """Return the provider that its home meant, if it works on the ticket still."""
    payload: Any = fact.payload
    meant = counterpart_of(fact.event.unit, payload)
    return [meant] if meant and meant == scene.engagements.provider_at_work(payload.ticket.name) else []


def _whoever_was_asked(scene: Scene, fact: Arrival, ruling: Ruling) -> Iterable[str]:
    payload: Any = fact.payload
    return scene.engagements.asked(payload.ticket.name)


RULES: dict[type[Message], Rule] = {
    PolicyPublished: _every_unit_if_of_the_group,
    knowledge.ArticlePublished: _the_group_if_in_scope,
    knowledge.ArticleRetired: _the_group_if_in_scope,
    **dict.fromkeys(TO_PROVIDER_AT_WORK, _the_provider_at_work),
    told.TicketErased: _whoever_was_asked,
    **dict.fromkeys(STEPS, _the_other_side),
}
"""Whom each fact of a unit concerns. What is not here goes nowhere."""

BACK_TO_ITS_WRITER = frozenset({PolicyPublished})
"""What goes to its writer too: the policy reaches headquarters' own desk the way that it reaches every other."""


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
        ruling = engagements.take(fact) if kind in STEPS else Ruling(counts=True)
        if kind in STEPS:
            answers += _answers(Work(session, HEADQUARTERS, _cause_of(fact), now, policies), scene, fact, ruling)
        is_offer = isinstance(payload, told.EngagementOffered) and ruling.counts
        if is_offer and (request := request_of(session, payload.engagement.name)):
            scene.forwarding.add(request, ruling.counterparts, ruling.counterparts)
        units = set(RULES[kind](scene, fact, ruling))
        if kind not in BACK_TO_ITS_WRITER:
            units.discard(fact.event.unit)
        if units:
            # Another one may have the engagement by now than its home could know.
            meant = counterpart_of(fact.event.unit, payload)
            scene.forwarding.add(_entry_of(fact), units, {meant})
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


def _cause_of(fact: Arrival) -> Cause:
    return Cause(ROUTING_ACTOR, fact.event.request_id, fact.event.trace_context)


def _answers(work: Work, scene: Scene, fact: Arrival, ruling: Ruling) -> list[Entry]:
    """Return what headquarters says to a step of an engagement, for the most part nothing."""
    payload: Any = fact.payload
    taken_back = ruling.taken_back
    # Whether an acceptance of its own offer came too late, a home unit says itself.
    if isinstance(payload, told.EngagementAccepted) and not ruling.counts and not payload.engagement.peer:
        taken_back += (TakenBack(fact.event.unit, payload.engagement.offer),)
    _withdraw_offers(work, fact, taken_back)
    if isinstance(payload, told.EngagementRejected) and not ruling.counterparts <= scene.forwarding.units():
        # Who has left the group since it delivered can't mend its solution.
        row, offer = scene.engagements.standing(payload.engagement.name)
        take_from_departed(work, row, offer, offer.provider)
    return work.entries


def _withdraw_offers(work: Work, fact: Arrival, taken_back: Iterable[TakenBack]) -> None:
    """Tell units that an offer is not theirs any more: an acceptance came too late, or another unit was first."""
    payload: Any = fact.payload
    for unit, offer in taken_back:
        withdrawn = told.EngagementOfferWithdrawn()
        withdrawn.engagement.CopyFrom(payload.engagement)
        withdrawn.engagement.state, withdrawn.engagement.provider = WITHDRAWN, unit
        withdrawn.engagement.offer = offer
        work.tell(fact.event.resource, withdrawn)


# What headquarters decides.


def forward_decisions(session: Session, entries: Sequence[Entry]) -> None:
    """Pass headquarters' decisions on, in the transaction that appended them to its own stream."""
    forwarding = Forwarding(session, PolicyStore(SCHEMA))
    _add_decisions(session, forwarding, entries)
    forwarding.send()


def _add_decisions(session: Session, forwarding: Forwarding, entries: Iterable[Entry]) -> None:
    for entry in entries:
        payload: Any = payload_of(Event.FromString(entry.event))
        if pass_on := DECISIONS.get(type(payload)):
            pass_on(session, forwarding, entry, payload)


def _seed(session: Session, forwarding: Forwarding, _entry: Entry, payload: Any) -> None:
    """Tell a unit that was admitted what the members have been told before."""
    for known in seed_of(session, payload.unit):
        forwarding.add(known, [payload.unit])


def _to_every_unit(_session: Session, forwarding: Forwarding, entry: Entry, _payload: Any) -> None:
    forwarding.add(entry, forwarding.units())


def _to_the_home_of_the_escalation(_session: Session, forwarding: Forwarding, entry: Entry, payload: Any) -> None:
    forwarding.add(entry, [home_of(payload.escalation.name)])


def _to_the_home_of_the_complaint(_session: Session, forwarding: Forwarding, entry: Entry, payload: Any) -> None:
    home = home_of(payload.complaint.name)
    forwarding.add(entry, [home], [home])


def _to_the_home_of_the_engagement(_session: Session, forwarding: Forwarding, entry: Entry, payload: Any) -> None:
    """Its provider has left the group, or hears that its offer was taken back."""
    home = home_of(payload.engagement.name)
    forwarding.add(entry, [home], [home])


def _to_the_provider(_session: Session, forwarding: Forwarding, entry: Entry, payload: Any) -> None:
    provider = payload.engagement.provider
    forwarding.add(entry, [provider], [provider])


def _to_the_home_and_the_asked(session: Session, forwarding: Forwarding, entry: Entry, payload: Any) -> None:
    offer = session.get_one(Offer, (payload.engagement.name, payload.engagement.offer))
    forwarding.add(entry, {home_of(payload.engagement.name), *offer.units})


def _with_the_request(session: Session, forwarding: Forwarding, entry: Entry, payload: Any) -> None:
    """Pass an offer on, right behind the request for those who don't know it."""
    engagement = payload.engagement
    offer = session.get_one(Offer, (engagement.name, engagement.offer))
    request = request_of(session, engagement.name)
    if request and (asked := _asked_first(session, engagement, offer)):
        forwarding.add(request, asked, asked)
    _to_the_home_and_the_asked(session, forwarding, entry, payload)


def _asked_first(session: Session, engagement: Any, offer: Offer) -> set[str]:
    """Return the units that have not been asked before; the home unit, as final owner, knows its own request."""
    earlier = select(Offer.units).where(Offer.engagement == engagement.name, Offer.number < offer.number)
    return {*offer.units}.difference([home_of(engagement.name)], *session.scalars(earlier))


DECISIONS: dict[type[Message], Callable[[Session, Forwarding, Entry, Any], None]] = {
    membership.UnitAdmitted: _seed,
    membership.UnitCertificatesRevoked: _to_every_unit,
    told.TicketEscalationSeen: _to_the_home_of_the_escalation,
    told.ComplaintSeen: _to_the_home_of_the_complaint,
    told.ComplaintDecided: _to_the_home_of_the_complaint,
    told.EngagementOffered: _with_the_request,
    told.EngagementOfferExpired: _to_the_home_and_the_asked,
    told.EngagementOfferWithdrawn: _to_the_provider,
    told.EngagementReassigned: _to_the_home_of_the_engagement,
}
"""How each of headquarters' own facts is passed on. What is not here concerns no other unit: what was done about a dead
letter, say."""
