"""History from a legacy system: tickets with what happened to them, at their historic times.

A ticket's history is a sequence of how it stood from an instant on. What changed from one line to the next becomes the
event that a desk would have told: a change of holder is an engagement and a hand-over, a change of tier an
escalation, a `WAITING` a pause. Imported tickets have no clocks, and their engagements earn no charge: nobody promised
anything here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from google.protobuf.message import Message
from sqlalchemy import select

from hanse.errors import HanseError, ResourceNotFound, ValidationFailed
from hanse.names import TicketName
from hanse.times import instant, put_time
from hanse.work import Work
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.commands import new_ticket
from hanse_services.ticket.holding import end_wait
from hanse_services.ticket.messages import engagement_summary_of, summary_of
from hanse_services.ticket.model import Engagement, Ticket


def import_tickets(work: Work, request: rpc.ImportTicketsRequest) -> rpc.ImportTicketsResponse:
    """Import tickets that are not there yet; one that can't be imported is named, and the others are."""
    if request.parent != work.unit:
        raise ResourceNotFound(resource=request.parent)
    names = {historic.external_id: _name_of(work, historic) for historic in request.tickets}
    known = set(work.session.scalars(select(Ticket.name).where(Ticket.name.in_(names.values()))))
    response = rpc.ImportTicketsResponse()
    for historic in request.tickets:
        name = names[historic.external_id]
        if name in known:
            response.skipped += 1
            continue
        known.add(name)
        try:
            check_history(work.unit, historic)
        except HanseError as error:
            response.failures.add(external_id=historic.external_id, message=f"{error} {error.hint}")
            continue
        _History(work, historic, name).write()
        response.imported += 1
    return response


def _name_of(work: Work, historic: rpc.HistoricTicket) -> str:
    return str(TicketName(work.unit, historic.external_id.lower()))


def check_history(home: str, historic: rpc.HistoricTicket) -> None:
    """Raise ValidationFailed where a history can't have happened."""
    first = historic.changes[0]
    if first.holder != home:
        raise ValidationFailed(
            f"{historic.external_id} begins at {first.holder}, not at {home}",
            hint="Import a ticket into the unit that held it first.",
        )
    try:
        times = [instant(change.occur_time) for change in historic.changes]
    except (ValueError, OverflowError) as error:
        raise ValidationFailed(f"{historic.external_id} has a time that no calendar knows: {error}") from error
    if times != sorted(times):
        raise ValidationFailed(
            f"{historic.external_id} is not in order of time", hint="Sort its changes by occur_time."
        )


@dataclass
class _History:
    """Writes one ticket with its history."""

    work: Work
    historic: rpc.HistoricTicket
    name: str
    engagement: Engagement | None = None
    told_at: datetime = field(default=datetime.min)

    def write(self) -> None:
        first, *later = self.historic.changes
        self.told_at = instant(first.occur_time)
        ticket = self._opened(first)
        for change in later:
            self.told_at = instant(change.occur_time)
            self._apply(ticket, change)
        self._end_engagement(None)
        ticket.update_time = self.told_at
        self.work.session.add(ticket)

    def _opened(self, first: rpc.HistoricChange) -> Ticket:
        historic = self.historic
        asked = pb.Ticket(
            title=historic.title, category=historic.category, product=historic.product, priority=historic.priority
        )
        ticket = new_ticket(self.work, self.name, asked, partner="")
        ticket.imported, ticket.open_time = True, self.told_at
        ticket.tier = first.tier
        self._tell(ticket, told.TicketOpened(ticket=summary_of(ticket), imported=True), title=historic.title)
        self._apply(ticket, first)
        return ticket

    def _apply(self, ticket: Ticket, change: rpc.HistoricChange) -> None:
        """Tell what changed from the line before to this one."""
        self._change_state(ticket, change)
        if change.holder != ticket.holder:
            self._hand_over(ticket, change.holder)
        if change.tier != ticket.tier:
            before, ticket.tier = ticket.tier, change.tier
            self._tell(ticket, told.TicketEscalated(ticket=summary_of(ticket), from_tier=before))
        agent = f"{change.holder}/agents/{change.agent}" if change.agent else ""
        if agent and agent != ticket.assignee:
            ticket.assignee = agent
            self._tell(ticket, told.TicketAssigned(ticket=summary_of(ticket), assignee=agent))

    def _change_state(self, ticket: Ticket, change: rpc.HistoricChange) -> None:
        before, after = ticket.state, change.state
        if before == after:
            return
        if before == pb.WAITING:
            end_wait(ticket, self.told_at)
        ticket.state = after
        if after == pb.WAITING:
            ticket.waiting_for, ticket.waiting_since = change.waiting_for or "other", self.told_at
        if after in (pb.RESOLVED, pb.CLOSED):
            ticket.resolve_time = ticket.resolve_time or self.told_at
        elif before in (pb.RESOLVED, pb.CLOSED):
            ticket.resolve_time = None
        ticket.close_time = self.told_at if after == pb.CLOSED else None
        for event in _events_of(ticket, before, after):
            self._tell(ticket, event)

    def _hand_over(self, ticket: Ticket, holder: str) -> None:
        before = ticket.hand_to(holder)
        self._end_engagement(self.told_at)
        if holder != self.work.unit:
            self._begin_engagement(ticket, holder)
        name = self.engagement.name if self.engagement else f"{ticket.name}/engagements/e{ticket.engagement_count}"
        handed_over = told.TicketHandedOver(
            ticket=summary_of(ticket), from_unit=before, to_unit=holder, engagement=name
        )
        self._tell(ticket, handed_over)

    def _begin_engagement(self, ticket: Ticket, provider: str) -> None:
        ticket.engagement_count += 1
        self.engagement = Engagement(
            name=f"{ticket.name}/engagements/e{ticket.engagement_count}",
            version=1,
            ticket=ticket.name,
            state=pb.ACCEPTED,
            provider=provider,
            desk="",
            peer=False,
            offer=0,
            offer_final=False,
            ticket_summary=summary_of(ticket).SerializeToString(),
            title=ticket.title,
            description="",
            reason="",
            solution="",
            assignee="",
            request_time=self.told_at,
            accept_time=self.told_at,
            policy_version=ticket.policy_version,
        )

    def _end_engagement(self, end_time: datetime | None) -> None:
        """Keep and tell the engagement that a provider has ended, or still works on where there is no end."""
        engagement, self.engagement = self.engagement, None
        if engagement is None or engagement.accept_time is None:
            return
        if end_time:
            engagement.state = pb.CONFIRMED
            engagement.deliver_time = engagement.confirm_time = end_time
        self.work.session.add(engagement)
        imported = told.EngagementImported(engagement=engagement_summary_of(engagement))
        put_time(imported.accept_time, engagement.accept_time)
        put_time(imported.end_time, end_time)
        self.work.tell(engagement.name, imported, occur_time=end_time or engagement.accept_time)

    def _tell(self, ticket: Ticket, event: Message, **sealed: str) -> None:
        self.work.tell(ticket.name, event, occur_time=self.told_at, **sealed)


def _events_of(ticket: Ticket, before: int, after: int) -> Iterable[Message]:
    """Return what a desk would have told about a change of state."""
    summary = summary_of(ticket)
    if before == pb.WAITING:
        yield told.TicketResumed(ticket=summary)
    elif before in (pb.RESOLVED, pb.CLOSED) and after not in (pb.RESOLVED, pb.CLOSED):
        yield told.TicketReopened(ticket=summary)
    if after == pb.WAITING:
        yield told.TicketPaused(ticket=summary, waiting_for=ticket.waiting_for)
    elif after == pb.CLOSED:
        yield told.TicketClosed(ticket=summary)
    elif after == pb.RESOLVED:
        yield told.TicketResolved(ticket=summary)
