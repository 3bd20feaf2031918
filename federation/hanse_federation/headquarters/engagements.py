"""What headquarters knows of engagements, and which facts of the units count.

An engagement is offered to one provider at a time, and each offer is in one state:

    OPEN -> ACCEPTED     the provider took it in time
         -> DECLINED     the provider declined it
         -> EXPIRED      the OLA ran out first
         -> WITHDRAWN    the home unit called the engagement off first

A provider works behind a line that may be down, so what it tells may come late. It counts only on the offer that
stands: an acceptance on an open offer, work on an accepted one. Whatever else it tells is kept in its log and goes
nowhere, so the home unit never hears of two providers. Facts take effect in the order in which they reach headquarters,
under the lock of the engagement's row; that order is the group's.

A home unit's line may be down too, and headquarters takes an engagement from its provider meanwhile. What the home unit
then says to that provider, that it rejects the solution or wants another provider, is about an offer that stands no
more. It is *late* too, and the next provider never hears of it. Nothing has to be answered: that the engagement was
taken away lies before it in the stream to the home unit, whose desk follows (`EngagementReassigned`). But the home unit
has the last word on whether it needs anybody: a withdrawal counts whatever was offered to whom, and so does the
confirmation of a solution that it had, which it pays. Whoever has the engagement by then is told to let go of it.

While it could not reach headquarters, a home unit may have asked its peers itself. Such an offer is the home unit's: it
alone ends it and rules on its acceptance, and headquarters *adopts* what it hears, from the home unit or from the peer,
whichever line heals first. Where headquarters has made an offer as well, one rule decides: **the home unit's own offer
counts**, and headquarters takes its own back, accepted or not. The home unit has acted on its offer, perhaps up to the
payment; headquarters' own it had not heard of, or it would not have asked.

An offer to a shared desk is one offer to several units. It stays OPEN until one of them accepts, whose offer it is from
then on and who is told from the others, or until the last of them has declined.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf.message import Message
from sqlalchemy import ARRAY, Text, any_, bindparam, or_, select
from sqlalchemy.orm import Session

from hanse.engagement_states import OVER, WORKED_ON
from hanse.log.append import Entry
from hanse.names import home_of, stream_name, ticket_of
from hanse.times import instant
from hanse_federation.link.receiving import Arrival
from hanse_federation.model import LOG, STANDING, GroupEngagement, Offer
from hanse_federation.sharing import counterpart_of
from hanse_protos.federation.v1 import group_pb2 as group
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket


@dataclass(frozen=True, slots=True)
class ProviderStep:
    """What a provider's fact needs of its offer, and what it makes of the offer and of the engagement."""

    offer_was: int
    offer_becomes: int
    engagement_becomes: int | None


PROVIDER_STEPS: dict[type[Message], ProviderStep] = {
    told.EngagementAccepted: ProviderStep(group.OPEN, group.ACCEPTED, ticket.ACCEPTED),
    told.EngagementDeclined: ProviderStep(group.OPEN, group.DECLINED, ticket.DECLINED),
    told.EngagementWorkNoted: ProviderStep(group.ACCEPTED, group.ACCEPTED, None),
    told.EngagementDelivered: ProviderStep(group.ACCEPTED, group.ACCEPTED, ticket.DELIVERED),
}
HOME_STEPS: dict[type[Message], int] = {
    told.EngagementConfirmed: ticket.CONFIRMED,
    told.EngagementRejected: ticket.ACCEPTED,
    told.EngagementWithdrawn: ticket.WITHDRAWN,
    told.EngagementReassignmentRequested: ticket.REQUESTED,
}
PEER_STEPS = frozenset[type[Message]](
    {told.EngagementOffered, told.EngagementOfferExpired, told.EngagementOfferWithdrawn}
)
"""What a home unit tells of the offers that it made itself."""
BEGINNINGS = frozenset[type[Message]]({told.EngagementRequested, told.EngagementImported})
STEPS = BEGINNINGS | PROVIDER_STEPS.keys() | HOME_STEPS.keys() | PEER_STEPS
"""Every payload of a unit that changes an engagement."""

TO_PROVIDER_AT_WORK = frozenset[type[Message]]({told.TicketCommented, told.SlaWarned, told.SlaBreached})
"""What a home unit tells of a ticket that may be for the provider that works on it (`sharing.counterpart_of`)."""


class TakenBack(NamedTuple):
    """An offer that is not a unit's any more."""

    unit: str
    offer: int


class Ruling(NamedTuple):
    """Whether a fact counts, which units are on the other side, and which offers it takes back."""

    counts: bool
    counterparts: frozenset[str] = frozenset()
    taken_back: tuple[TakenBack, ...] = ()


LATE = Ruling(counts=False)

ArePeers = Callable[[Arrival, str, str], bool]
"""Says whether the policy that a fact was written under lets a home unit ask a provider itself."""


# Arrays, not IN: a catch-up asks for hundreds of tickets, and for another number of them each time. In one order
# everywhere, so that two transactions never wait for each other. Built once, since that takes longer than running it.
_CONCERNED = (
    select(GroupEngagement)
    .where(
        or_(
            GroupEngagement.name == any_(bindparam("names", type_=ARRAY(Text))),
            (GroupEngagement.ticket == any_(bindparam("tickets", type_=ARRAY(Text))))
            & GroupEngagement.state.in_(WORKED_ON),
        )
    )
    .order_by(GroupEngagement.name)
    .with_for_update()
)


class Engagements:
    """The engagements that some facts are about, with their rows locked until the transaction ends."""

    def __init__(self, session: Session, facts: Iterable[Arrival], are_peers: ArePeers) -> None:
        of_unit: list[tuple[str, Any]] = [(fact.event.unit, fact.payload) for fact in facts]
        names = {payload.engagement.name for _, payload in of_unit if type(payload) in STEPS}
        tickets = {
            payload.ticket.name
            for unit, payload in of_unit
            if type(payload) in TO_PROVIDER_AT_WORK and counterpart_of(unit, payload)
        }
        self._session = session
        self._are_peers = are_peers
        self._rows: dict[str, GroupEngagement] = {}
        self._by_ticket: dict[str, list[GroupEngagement]] = {}
        self._offers: dict[tuple[str, int], Offer] = {}
        if names or tickets:
            self._load(names, tickets)

    def _load(self, names: Iterable[str], tickets: Iterable[str]) -> None:
        for row in self._session.scalars(_CONCERNED, {"names": list(names), "tickets": list(tickets)}):
            self._add(row)
        if self._rows:
            for offer in self._session.scalars(select(Offer).where(Offer.engagement.in_(self._rows))):
                self._offers[offer.engagement, offer.number] = offer

    def _add(self, row: GroupEngagement) -> None:
        self._rows[row.name] = row
        self._by_ticket.setdefault(row.ticket, []).append(row)

    def provider_at_work(self, ticket_name: str) -> str:
        """Return the provider that works on a ticket under an accepted offer, or an empty string."""
        for row in self._by_ticket.get(ticket_name, ()):
            offer = self._offers.get((row.name, row.offer))
            if row.state in WORKED_ON and offer and offer.state == group.ACCEPTED:
                return offer.provider
        return ""

    def standing(self, name: str) -> tuple[GroupEngagement, Offer]:
        """Return an engagement that one of the facts was about, and counted for, with its last offer."""
        row = self._rows[name]
        return row, self._offers[name, row.offer]

    def asked(self, ticket_name: str) -> set[str]:
        """Return the units that were ever asked to work on a ticket."""
        inside = Offer.engagement.startswith(f"{ticket_name}/engagements/", autoescape=True)
        return set(self._session.scalars(select(Offer.provider).where(inside)))

    def take(self, fact: Arrival) -> Ruling:
        """Let a fact take effect, and say whether it counts."""
        payload: Any = fact.payload
        summary: ticket.EngagementSummary = payload.engagement
        kind, writer, home = type(payload), fact.event.unit, home_of(summary.name)
        if summary.peer and not self._are_peers(fact, home, summary.provider):
            return LATE
        if kind in PROVIDER_STEPS:
            overruled = self._adopt(summary, fact) if summary.peer else ()
            ruling = self._take_from_provider(PROVIDER_STEPS[kind], summary, fact)
            return ruling._replace(taken_back=ruling.taken_back + overruled)
        if writer != home:
            return LATE
        if kind in PEER_STEPS:
            return self._take_peer_step(payload, fact) if summary.peer else LATE
        if kind in BEGINNINGS:
            self._begin(summary, fact)
            return Ruling(counts=True)
        return self._take_from_home(HOME_STEPS[kind], summary, fact) if kind in HOME_STEPS else LATE

    def _begin(self, summary: ticket.EngagementSummary, fact: Arrival) -> None:
        if known := self._rows.get(summary.name):
            self._begin_again(known, summary, fact)
            return
        state, provider = _at_its_beginning(fact)
        row = GroupEngagement(
            name=summary.name,
            ticket=ticket_of(summary.name),
            home=home_of(summary.name),
            state=state,
            provider=provider,
            offer=0,
            request_time=instant(summary.request_time),
            update_time=fact.occur_time,
            summary=summary.SerializeToString(),
        )
        self._session.add(row)
        self._add(row)

    def _begin_again(self, row: GroupEngagement, summary: ticket.EngagementSummary, fact: Arrival) -> None:
        """Take what the home unit says of an engagement that is known: a peer of it may have told first.

        One that was called off because its home had lost it (`recovery`) begins anew: names are reused.
        """
        if fact.event.unit != row.home:
            return
        row.request_time, row.summary = instant(summary.request_time), summary.SerializeToString()
        if row.state == ticket.WITHDRAWN:
            state, row.provider = _at_its_beginning(fact)
            self._move(row, state, summary, fact)

    def _take_from_provider(self, step: ProviderStep, summary: ticket.EngagementSummary, fact: Arrival) -> Ruling:
        row, offer = self._rows.get(summary.name), self._offers.get((summary.name, summary.offer))
        if row is None or offer is None or row.state in OVER:
            return LATE
        provider, home = summary.provider, frozenset({row.home})
        if _is_repeated_acceptance(step, row, offer, provider):
            self._move(row, step.engagement_becomes, summary, fact)
            return Ruling(counts=True, counterparts=home)
        if (offer.number, offer.state) != (row.offer, step.offer_was) or not _is_asked(offer, provider):
            return LATE
        losers: set[str] = set()
        if step.offer_becomes == group.DECLINED:
            offer.declined = [*offer.declined, provider]
            if offer.asked():
                return Ruling(counts=True, counterparts=home)
        elif step.offer_was == group.OPEN:
            losers = offer.asked() - {provider}
            offer.provider = row.provider = provider
        offer.state = step.offer_becomes
        self._move(row, step.engagement_becomes, summary, fact)
        return Ruling(counts=True, counterparts=home, taken_back=_taken_back(offer, losers))

    def _take_peer_step(self, payload: Any, fact: Arrival) -> Ruling:
        """Let what a home unit tells of its own offer take effect: on that offer it has the last word."""
        summary: ticket.EngagementSummary = payload.engagement
        overruled = self._adopt(summary, fact) if isinstance(payload, told.EngagementOffered) else ()
        row, offer = self._rows.get(summary.name), self._offers.get((summary.name, summary.offer))
        if row is None or offer is None:
            return LATE
        if isinstance(payload, told.EngagementOffered):
            offer.expire_time = instant(payload.expire_time)
        elif isinstance(payload, told.EngagementOfferExpired) and offer.state in STANDING:
            offer.state = group.EXPIRED
            if row.offer == offer.number and row.state not in OVER:
                self._move(row, ticket.EXPIRED, summary, fact)
        return Ruling(counts=True, counterparts=frozenset({summary.provider}), taken_back=overruled)

    def _adopt(self, summary: ticket.EngagementSummary, fact: Arrival) -> tuple[TakenBack, ...]:
        """Keep an offer that a home unit has made to a peer, unless it is known or past; return what it overrules."""
        self._begin(summary, fact)
        row = self._rows[summary.name]
        later = any(
            offer.peer and number >= summary.offer for (name, number), offer in self._offers.items() if name == row.name
        )
        if later or row.state in OVER:
            return ()
        before = self._offers.get((row.name, row.offer))
        overruled: tuple[TakenBack, ...] = ()
        if before and not before.peer and before.state in STANDING:
            overruled = _taken_back(before, _bound_by(before))
            before.state = group.WITHDRAWN
        offer = Offer(
            engagement=row.name,
            number=summary.offer,
            provider=summary.provider,
            desk="",
            units=[summary.provider],
            declined=[],
            peer=True,
            round=1,
            final=False,
            state=group.OPEN,
            offer_time=fact.occur_time,
            # What the provider tells does not say until when; headquarters never ends this offer.
            expire_time=fact.occur_time,
        )
        self._session.add(offer)
        self._offers[row.name, offer.number] = offer
        row.provider, row.offer = offer.provider, offer.number
        self._move(row, ticket.OFFERED, summary, fact)
        return overruled

    def _take_from_home(self, state: int, summary: ticket.EngagementSummary, fact: Arrival) -> Ruling:
        row = self._rows.get(summary.name)
        if row is None or row.state in OVER:
            return LATE
        offer = self._offers.get((row.name, row.offer))
        bound = _bound_by(offer) if offer else frozenset()
        taken_back: tuple[TakenBack, ...] = ()
        if state == ticket.WITHDRAWN:
            if offer and offer.state == group.OPEN:
                offer.state = group.WITHDRAWN
        elif not _is_about(row, offer, summary):
            earlier = self._reassigned_from(summary) if state == ticket.CONFIRMED else None
            if earlier is None:
                return LATE
            bound, taken_back = frozenset({earlier.provider}), _give_back(row, offer, earlier)
        elif offer and offer.state == group.OPEN and offer.peer:
            # The home unit has heard of the acceptance directly, before headquarters has.
            offer.state = group.ACCEPTED
        self._move(row, state, summary, fact)
        if offer and state == ticket.REQUESTED:
            release(row, offer)
        return Ruling(counts=True, counterparts=bound, taken_back=taken_back)

    def _reassigned_from(self, summary: ticket.EngagementSummary) -> Offer | None:
        """Return the offer that a home unit's step names, where it was taken from the very provider that it names."""
        offer = self._offers.get((summary.name, summary.offer))
        return offer if offer and offer.reassigned and offer.provider == summary.provider else None

    def _move(self, row: GroupEngagement, state: int | None, summary: ticket.EngagementSummary, fact: Arrival) -> None:
        row.state = row.state if state is None else state
        row.update_time = fact.occur_time
        if fact.event.unit == row.home:
            # What an engagement is about, and since when, its home says; in a provider's copy of it may be anything.
            row.summary = summary.SerializeToString()


def _at_its_beginning(fact: Arrival) -> tuple[int, str]:
    """Return the state and the provider that an engagement begins with: nobody has it, unless it was imported."""
    payload: Any = fact.payload
    if isinstance(payload, told.EngagementImported):
        return payload.engagement.state, payload.engagement.provider
    return ticket.REQUESTED, ""


def release(row: GroupEngagement, offer: Offer) -> None:
    """Take an engagement from the provider that has it: another one is looked for, and this one is not asked again."""
    offer.state, offer.reassigned = group.WITHDRAWN, True
    row.state, row.provider = ticket.REQUESTED, ""


def _taken_back(offer: Offer, units: Iterable[str]) -> tuple[TakenBack, ...]:
    return tuple(TakenBack(unit, offer.number) for unit in sorted(units))


def _is_asked(offer: Offer, provider: str) -> bool:
    """Return whether a unit may tell something on an offer: it is asked, or it is the one that has accepted."""
    return provider in offer.asked() if offer.state == group.OPEN else provider == offer.provider


def _bound_by(offer: Offer) -> frozenset[str]:
    """Return the units that an offer binds: whom it was made to, or the one that has accepted."""
    if offer.state not in STANDING:
        return frozenset()
    return frozenset(offer.units if offer.state == group.OPEN else [offer.provider])


def _give_back(row: GroupEngagement, standing: Offer | None, earlier: Offer) -> tuple[TakenBack, ...]:
    """Let an earlier offer count, since its solution is confirmed; return whose the engagement is no more."""
    taken_back = _taken_back(standing, _bound_by(standing)) if standing else ()
    if standing and standing.state in STANDING:
        standing.state = group.WITHDRAWN
    earlier.state = group.ACCEPTED
    row.provider, row.offer = earlier.provider, earlier.number
    return taken_back


def _is_about(row: GroupEngagement, offer: Offer | None, summary: ticket.EngagementSummary) -> bool:
    """Whether what a home unit says to its provider is about the offer that stands. An imported one has none."""
    if offer is None:
        return (summary.offer, summary.provider) == (row.offer, row.provider)
    return summary.offer == offer.number and summary.provider in _bound_by(offer)


def _is_repeated_acceptance(step: ProviderStep, row: GroupEngagement, offer: Offer, provider: str) -> bool:
    """Whether a provider takes what it has taken already: it has lost its acceptance with a part of its log."""
    accepted = (row.offer, group.ACCEPTED, provider)
    return step.engagement_becomes == ticket.ACCEPTED and (offer.number, offer.state, offer.provider) == accepted


def summary_of(row: GroupEngagement) -> ticket.EngagementSummary:
    """Return an engagement as headquarters knows it: its home's last summary, with the state of the routing."""
    summary = ticket.EngagementSummary.FromString(row.summary)
    summary.state = row.state  # type: ignore[assignment]
    summary.provider, summary.offer = row.provider, row.offer
    # What the last unit said of its offer says nothing of headquarters' next one.
    summary.peer, summary.desk = False, ""
    return summary


def offers_of(session: Session, names: Sequence[str]) -> dict[str, list[Offer]]:
    """Return the offers of some engagements, in order."""
    offers: dict[str, list[Offer]] = {name: [] for name in names}
    for offer in session.scalars(select(Offer).where(Offer.engagement.in_(names)).order_by(Offer.number)):
        offers[offer.engagement].append(offer)
    return offers


def request_of(session: Session, engagement: str) -> Entry | None:
    """Return the home unit's request as it was received; None where a peer of the home unit has told of it first."""
    columns = LOG.record.c
    query = select(
        columns.event_id, columns.resource, columns.type, columns.occur_time, columns.event, columns.sealed
    ).where(
        columns.stream == stream_name(home_of(engagement), "ticket"),
        columns.resource == engagement,
        columns.type == told.EngagementRequested.DESCRIPTOR.full_name,
    )
    row = session.execute(query.order_by(columns.epoch.desc(), columns.sequence.desc()).limit(1)).one_or_none()
    return Entry(*row) if row else None
