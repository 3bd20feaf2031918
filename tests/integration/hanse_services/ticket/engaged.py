"""Engagements between Shanghai and Munich, as either desk sees them: what the others tell is made up here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.message import Message

from hanse.names import home_of, ticket_of
from hanse.times import timestamp
from hanse_protos.log.v1.log_pb2 import LogRecord
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.integration.hanse_services.ticket.desk import HEADQUARTERS, MONDAY, MUNICH, SHANGHAI, Desk
from tests.support import record_of

HOME_VERBS = (
    "ConfirmEngagement", "RejectEngagement", "WithdrawEngagement", "RecallEngagement", "ReassignEngagement",
)  # fmt: skip
PROVIDER_VERBS = ("AcceptEngagement", "DeclineEngagement", "NoteEngagementWork", "DeliverEngagement")
OFFER_LASTS = timedelta(minutes=15)

PATHS: dict[pb.EngagementState.ValueType, list[str]] = {
    pb.REQUESTED: [],
    pb.OFFERED: ["offered"],
    pb.DECLINED: ["offered", "declined"],
    pb.EXPIRED: ["offered", "expired"],
    pb.ACCEPTED: ["offered", "accepted"],
    pb.DELIVERED: ["offered", "accepted", "delivered"],
    pb.CONFIRMED: ["offered", "accepted", "delivered", "confirmed"],
    pb.WITHDRAWN: ["offered", "withdrawn"],
}
"""What happens until an engagement is in a state."""


@dataclass
class Engaged:
    """An engagement, and the facts on it."""

    name: str
    provider: str = MUNICH
    offer: int = 1
    peer: bool = False
    policy_version: int = 1

    @property
    def ticket(self) -> str:
        return ticket_of(self.name)

    @property
    def home(self) -> str:
        return home_of(self.name)

    def summary(self, state: pb.EngagementState.ValueType, **fields: object) -> pb.EngagementSummary:
        values: dict[str, object] = {"provider": self.provider, "offer": self.offer, "peer": self.peer} | fields
        return pb.EngagementSummary(
            name=self.name,
            state=state,
            home=self.home,
            ticket=pb.TicketSummary(name=self.ticket, state=pb.IN_PROGRESS, priority=pb.P2, category="display"),
            request_time=timestamp(MONDAY),
            policy_version=self.policy_version,
            **values,  # type: ignore[arg-type]
        )

    def requested(self) -> LogRecord:
        payload = told.EngagementRequested(engagement=self.summary(pb.REQUESTED, provider="", offer=0, peer=False))
        return self._record(payload, self.home, MONDAY, title="Screen is dark", description="Since noon", reason="90 %")

    def offered(self, *, at: datetime = MONDAY, final: bool = False, by: str = HEADQUARTERS) -> LogRecord:
        payload = told.EngagementOffered(
            engagement=self.summary(pb.OFFERED), expire_time=timestamp(at + OFFER_LASTS), final=final
        )
        return self._record(payload, by, at)

    def offered_to_desk(self, *units: str, at: datetime = MONDAY) -> LogRecord:
        """Headquarters offers it to several units at once."""
        summary = self.summary(pb.OFFERED, provider="", desk="displays")
        payload = told.EngagementOffered(engagement=summary, expire_time=timestamp(at + OFFER_LASTS), units=units)
        return self._record(payload, HEADQUARTERS, at)

    def expired(self, *, by: str = HEADQUARTERS) -> LogRecord:
        return self._record(told.EngagementOfferExpired(engagement=self.summary(pb.EXPIRED)), by, MONDAY)

    def offer_withdrawn(self, *, by: str = HEADQUARTERS, worked_on: bool = False, at: datetime = MONDAY) -> LogRecord:
        payload = told.EngagementOfferWithdrawn(engagement=self.summary(pb.WITHDRAWN), worked_on=worked_on)
        return self._record(payload, by, at)

    def reassigned(self, *, at: datetime = MONDAY) -> LogRecord:
        """Headquarters takes it from a provider that has left the group."""
        summary = self.summary(pb.REQUESTED, provider="")
        return self._record(told.EngagementReassigned(engagement=summary, from_unit=self.provider), HEADQUARTERS, at)

    def accepted(self, *, at: datetime = MONDAY, by: str = "") -> LogRecord:
        payload = told.EngagementAccepted(
            engagement=self.summary(pb.ACCEPTED), assignee=f"{self.provider}/agents/weber"
        )
        return self._record(payload, by or self.provider, at)

    def declined(self, *, by: str = "") -> LogRecord:
        payload = told.EngagementDeclined(engagement=self.summary(pb.DECLINED))
        return self._record(payload, by or self.provider, MONDAY, text="No spare parts")

    def work_noted(self, text: str, *, at: datetime = MONDAY, by: str = "") -> LogRecord:
        payload = told.EngagementWorkNoted(engagement=self.summary(pb.ACCEPTED))
        return self._record(payload, by or self.provider, at, text=text)

    def delivered(self, *, at: datetime = MONDAY, by: str = "") -> LogRecord:
        payload = told.EngagementDelivered(engagement=self.summary(pb.DELIVERED))
        return self._record(payload, by or self.provider, at, text="Changed the board")

    def confirmed(self, *, by: str = "") -> LogRecord:
        return self._record(told.EngagementConfirmed(engagement=self.summary(pb.CONFIRMED)), by or self.home, MONDAY)

    def rejected(self, *, by: str = "", at: datetime = MONDAY) -> LogRecord:
        payload = told.EngagementRejected(engagement=self.summary(pb.ACCEPTED))
        return self._record(payload, by or self.home, at, text="Still dark")

    def withdrawn(self, *, by: str = "") -> LogRecord:
        return self._record(told.EngagementWithdrawn(engagement=self.summary(pb.WITHDRAWN)), by or self.home, MONDAY)

    def recalled(self, *, at: datetime = MONDAY) -> LogRecord:
        payload = told.EngagementWithdrawn(engagement=self.summary(pb.WITHDRAWN), recalled=True)
        return self._record(payload, self.home, at, text="The customer sends it in")

    def reassignment_requested(self, *, by: str = "", at: datetime = MONDAY) -> LogRecord:
        payload = told.EngagementReassignmentRequested(engagement=self.summary(pb.REQUESTED))
        return self._record(payload, by or self.home, at, text="No news for a week")

    def _record(self, payload: Message, unit: str, at: datetime, **sealed: str) -> LogRecord:
        service = "routing" if unit == HEADQUARTERS else "ticket"
        return record_of(payload, self.name, unit=unit, service=service, occur_time=at, sealed=sealed)


HOME_DOES = {"confirmed": "ConfirmEngagement", "rejected": "RejectEngagement", "withdrawn": "WithdrawEngagement"}
PROVIDER_DOES = {"accepted": "AcceptEngagement", "declined": "DeclineEngagement", "delivered": "DeliverEngagement"}


async def engaged_at(
    desk: Desk, state: pb.EngagementState.ValueType, *, final: bool = False, provider: str = MUNICH
) -> Engaged:
    """Bring an engagement of Shanghai's into a state, as the desk sees it: its own steps it takes itself."""
    if desk.unit == SHANGHAI:
        requested = await desk.engage("RequestEngagement", (await desk.open()).name)
        engaged, own = Engaged(requested.name, provider), HOME_DOES
    else:
        engaged, own = Engaged(f"{SHANGHAI}/tickets/1/engagements/e1", provider), PROVIDER_DOES
        await desk.is_told(engaged.requested())
    for step in PATHS[state]:
        if step in own:
            await desk.engage(own[step], engaged.name)
        elif step == "offered":
            await desk.is_told(engaged.offered(final=final))
        else:
            await desk.is_told(getattr(engaged, step)())
    assert (await desk.engagement(engaged.name)).state == state
    return engaged
