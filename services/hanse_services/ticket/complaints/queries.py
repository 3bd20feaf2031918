"""What may be asked about complaints."""

from itertools import groupby
from operator import attrgetter

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import ResourceNotFound
from hanse.names import home_of
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse.times import timestamp
from hanse_protos.ticket.v1 import complaint_pb2 as pb
from hanse_services.ticket import timeline
from hanse_services.ticket.complaints.clocks import next_due_time
from hanse_services.ticket.complaints.messages import complaint_to_proto
from hanse_services.ticket.complaints.model import Complaint, ComplaintClock
from hanse_services.ticket.queries import page_of

ANY = "-"
"""In the place of a ticket's id: all of them."""


def get_complaint(session: Session, request: pb.GetComplaintRequest) -> pb.Complaint:
    """Return a complaint with all of its steps. Raises ResourceNotFound."""
    complaint = session.get(Complaint, request.name)
    if complaint is None:
        raise ResourceNotFound(resource=request.name)
    message = complaint_to_proto(complaint)
    message.entries.extend(timeline.all_entries(session, complaint.name))
    return message


def list_complaints(session: Session, unit: str, request: pb.ListComplaintsRequest) -> pb.ListComplaintsResponse:
    """Return a page of complaints, the newest first. Raises ResourceNotFound for another unit's."""
    if home_of(request.parent) != unit:
        raise ResourceNotFound(resource=request.parent)
    query = select(Complaint)
    if not request.parent.endswith(f"/{ANY}"):
        query = query.where(Complaint.ticket == request.parent)
    if request.states:
        query = query.where(Complaint.state.in_(request.states))
    if request.partner:
        query = query.where(Complaint.partner == request.partner)
    rows, token = page_of(session, query, Complaint.open_time, Complaint.name, request)
    return pb.ListComplaintsResponse(complaints=map(complaint_to_proto, rows), next_page_token=token)


def list_open_complaints(session: Session, request: pb.ListOpenComplaintsRequest) -> pb.ListOpenComplaintsResponse:
    """Return a page of the complaints with a clock that runs, by name, and when each has something due.

    One that is overdue at the top has nothing due any more, and is left out.
    """
    size = page_size(request.page_size)
    [after] = decode_token(request.page_token, [str]) or [""]
    names = select(ComplaintClock.complaint).where(ComplaintClock.stop_time.is_(None), ComplaintClock.complaint > after)
    if request.names:
        names = names.where(ComplaintClock.complaint.in_(request.names))
    page = names.distinct().order_by(ComplaintClock.complaint).limit(size + 1).subquery()
    query = select(ComplaintClock).where(ComplaintClock.complaint.in_(select(page)), ComplaintClock.stop_time.is_(None))
    rows = session.scalars(query.order_by(ComplaintClock.complaint))
    found = {name: next_due_time(list(clocks)) for name, clocks in groupby(rows, key=attrgetter("complaint"))}
    shown = list(found)[:size]
    response = pb.ListOpenComplaintsResponse(next_page_token=encode_token(shown[-1]) if len(found) > size else "")
    for name in shown:
        if due_time := found[name]:
            response.complaints.add(complaint=name, next_due_time=timestamp(due_time))
    return response
