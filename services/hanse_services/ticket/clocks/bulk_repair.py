"""Repairing the tickets with open clocks, many at once: what is due under a new policy, an override, another calendar.

It does what a `repair` of each ticket would do, and tells the same, by statements over many rows: one that reads the
tickets, one for their clocks, one for their segments, one that changes each table. Where a ticket's history has to be
replayed it is repaired by itself; of those a page has few, so that no page takes long.

A page is one command, and so one transaction: the desk works on between pages. Tickets that are under the policy
already are passed over. So whoever was interrupted begins again, and it goes on where it ended.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hanse.errors import HanseError, PolicyMissing, ResourceNotFound
from hanse.identity import Role
from hanse.log.append import Entry
from hanse.policy.standards import Standards
from hanse.policy.store import InForce, PolicyStore
from hanse.rpc.paging import decode_token, encode_token
from hanse.work import Work
from hanse_protos.ticket.v1 import repair_pb2 as pb
from hanse_services.ticket.clocks.bulk_rows import read_tickets, reclassified, storing
from hanse_services.ticket.clocks.choosing import check_choice
from hanse_services.ticket.clocks.recomputing import Recomputation, Recomputed
from hanse_services.ticket.clocks.repair import (
    breaches_of,
    failure_of,
    found_ticket,
    history_of,
    repair_under,
    replay_beside,
    tell_repair,
)
from hanse_services.ticket.loading import own_ticket, own_time
from hanse_services.ticket.model import Clock, Ticket

TICKETS_AT_ONCE = 500
"""How many tickets a page has where the caller does not say: a page of them takes a tenth of a second or two."""
REPLAYED_AT_ONCE = 20
"""How many histories are replayed in a page at most: each takes as long as some forty tickets that are not."""


@dataclass
class Page:
    """The tickets of a page: as they are, and as the policy has them."""

    standards: Standards
    names: Sequence[str]
    next_page_token: str
    recomputed: list[tuple[Ticket, Recomputed]] = field(default_factory=list)
    to_replay: list[str] = field(default_factory=list)

    def cut_before(self, name: str) -> None:
        """End the page before a ticket: it begins the next one."""
        self.names = [each for each in self.names if each < name]
        self.next_page_token = encode_token(self.names[-1])


def repair_open_clocks(work: Work, request: pb.RepairOpenClocksRequest) -> pb.RepairOpenClocksResponse:
    """Put a page of the tickets with open clocks under a version of the policy.

    One that can't be computed is named, and stays as it is. Raises ResourceNotFound for another unit's desk,
    PolicyMissing, PageTokenInvalid; PolicyNotYetInForce, and PolicyVersionReserved for a lead and a version that is not
    in force.
    """
    work.session.flush()
    here = (work.session, work.policies, work.unit, work.now)
    page = read_page(*here, request, roles=work.cause.roles, told=work.not_yet_in_the_log, lock=True)
    response = _response(work.session, page, request)
    with storing(work.session, [after for _, after in page.recomputed]):
        for before, after in page.recomputed:
            with own_time(work):
                work.now = after.ticket.update_time
                tell_repair(work, after.ticket, before.policy_version, breaches_of(before))
    work.session.expire_all()
    for name in page.to_replay:
        try:
            with own_time(work):
                ticket = own_ticket(work, name)
                history = history_of(work.session, name, told=work.not_yet_in_the_log)
                was = breaches_of(ticket)
                repair_under(work, page.standards, ticket, history)
        except HanseError as error:
            response.failures.append(failure_of(name, error))
        else:
            _count(response, was.keys(), breaches_of(ticket).keys())
            response.replayed_count += 1
    return response


def preview_open_clocks(
    session: Session,
    unit: str,
    policies: PolicyStore,
    now: datetime,
    request: pb.RepairOpenClocksRequest,
    *,
    roles: Collection[Role],
) -> pb.RepairOpenClocksResponse:
    """Say what `repair_open_clocks` would do with a page, and change nothing. Raises the same."""
    page = read_page(session, policies, unit, now, request, roles=roles, lock=False)
    response = _response(session, page, request)
    for name in page.to_replay:
        try:
            ticket = found_ticket(session, name)
            replayed = replay_beside(page.standards, ticket, history_of(session, name), now)
        except HanseError as error:
            response.failures.append(failure_of(name, error))
        else:
            _count(response, breaches_of(ticket).keys(), breaches_of(replayed.ticket).keys())
            response.replayed_count += 1
    return response


def _response(session: Session, page: Page, request: pb.RepairOpenClocksRequest) -> pb.RepairOpenClocksResponse:
    response = pb.RepairOpenClocksResponse(
        policy_version=page.standards.version,
        ticket_count=len(page.names),
        recomputed_count=len(page.recomputed),
        next_page_token=page.next_page_token,
    )
    if not request.page_token:
        query = select(func.count(Clock.ticket.distinct())).where(Clock.stop_time.is_(None))
        response.total_count = session.scalars(query).one()
    for before, after in page.recomputed:
        _count(response, breaches_of(before).keys(), breaches_of(after.ticket).keys())
    return response


def _count(response: pb.RepairOpenClocksResponse, before: Iterable[Any], after: Iterable[Any]) -> None:
    was, is_now = set(before), set(after)
    response.breach_count += len(is_now - was)
    response.withdrawn_count += len(was - is_now)


# Reading.


def read_page(
    session: Session,
    policies: PolicyStore,
    unit: str,
    now: datetime,
    request: pb.RepairOpenClocksRequest,
    *,
    roles: Collection[Role],
    told: Sequence[Entry] = (),
    lock: bool,
) -> Page:
    """Read and compute a page for somebody with these roles.

    `told` is what is not in the log yet; `lock` lets nobody else change its tickets until the transaction ends.
    """
    if request.parent != unit:
        raise ResourceNotFound(resource=request.parent)
    in_force = policies.current_in_force(session)
    standards = policies.version(session, request.policy_version or in_force.version, in_force.override)
    check_choice(session, policies, standards.version, roles)
    size = request.page_size or TICKETS_AT_ONCE
    names = session.scalars(_names(request, size + 1)).all()
    token = encode_token(names[size - 1]) if len(names) > size else ""
    page = Page(standards, names[:size], token)
    _compute(session, policies, page, now, told=told, lock=lock)
    return page


def _names(request: pb.RepairOpenClocksRequest, limit: int) -> Select[str]:
    [after] = decode_token(request.page_token, [str]) or [""]
    open_clocks = select(Clock.ticket).where(Clock.stop_time.is_(None), Clock.ticket > after)
    return open_clocks.distinct().order_by(Clock.ticket).limit(limit)


def _compute(
    session: Session, policies: PolicyStore, page: Page, now: datetime, *, told: Sequence[Entry], lock: bool
) -> None:
    """Compute the tickets of a page, as many as it has room for."""
    recomputations: dict[InForce, Recomputation | None] = {}
    tickets = read_tickets(session, page.names, page.standards, lock=lock)
    need_their_history = reclassified(session, tickets, told)
    for ticket in tickets:
        governing = InForce(ticket.policy_version, ticket.policy_override)
        if governing not in recomputations:
            recomputations[governing] = _recomputation(session, policies, governing, page.standards)
        recomputation = None if ticket.name in need_their_history else recomputations[governing]
        if after := _recomputed(recomputation, ticket, now):
            page.recomputed.append((ticket, after))
        elif len(page.to_replay) < REPLAYED_AT_ONCE:
            page.to_replay.append(ticket.name)
        else:
            page.cut_before(ticket.name)
            return


def _recomputation(
    session: Session, policies: PolicyStore, governing: InForce, standards: Standards
) -> Recomputation | None:
    try:
        return Recomputation(policies.version(session, *governing), standards)
    except PolicyMissing:
        # A restored unit may lack what its old tickets were opened under.
        return None


def _recomputed(recomputation: Recomputation | None, ticket: Ticket, now: datetime) -> Recomputed | None:
    """Return a ticket as the policy has it; None where it has to be replayed, which also says what is wrong with it."""
    if recomputation is None:
        return None
    try:
        return recomputation.recomputed(ticket, max(now, ticket.update_time))
    except HanseError:
        return None
