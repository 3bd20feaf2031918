"""What a policy would have made of the group's tickets, compared with the policy that governed each of them.

It reads headquarters' copies of the units' logs, page by page, and judges in a thread of its own: links and answers of
the same process go on meanwhile. It writes nothing. The judge plays the desk's clocks, so it comes from there.

A condition that had no answer under the policy that governed a ticket did not hold, and does not here. One of the
document's is what it is asked for: the ticket counts as unknown, so that the document is corrected before it is
published.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.database import Database
from hanse.errors import PolicyMissing
from hanse.log.follow import START, Position, StoredRecord, read_after
from hanse.names import home_of
from hanse.policy import CategoryUnknown, ConditionFailed, HorizonExceeded, Standards, UnitUnknown, lint
from hanse.policy.conditions import invalid
from hanse.policy.histories import Histories, TicketHistory
from hanse.policy.store import PolicyStore
from hanse.policy.tuning import tuned
from hanse.policy.unanswered import refuse
from hanse.policy.what_if import Judge, Regime, Verdict
from hanse.times import instant_in, put_time
from hanse_federation.headquarters.overrides import laid_over, newest_overrides, overrides_of
from hanse_federation.membership.register import units_that_left
from hanse_federation.model import LOG, SCHEMA
from hanse_protos.federation.v1 import what_if_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep, PolicyDocument
from hanse_protos.policy.v1.tuning_pb2 import PolicyOverride

PAGE_RECORDS = 5_000
"""How many records are read at a time: a tenth of a second, and a few megabytes."""
JUDGED_TICKETS = 500
"""How many tickets are judged at a time: about a second."""
TICKET_STREAM = "/streams/ticket"

News = pb.ComparePolicyResponse


async def compare_policy(database: Database, request: pb.ComparePolicyRequest, judge: Judge) -> AsyncIterator[News]:
    """Yield progress while the logs are read, then what differs, then what it comes to, unit by unit.

    Raises PolicyInvalid for a document that does not hold together, PolicyMissing where no policy was ever in force,
    ValidationFailed for a time that there is not.
    """
    since = instant_in("since", request.since) if request.HasField("since") else None
    document = await asyncio.to_thread(_checked, request.document)
    before = await database.read(_load_standards)
    heads = await database.read(_ticket_streams, request.unit)
    progress = pb.WhatIfProgress(total_records=sum(heads.values()))
    for stream in heads:
        histories = Histories()
        async for page in _pages(database, stream):
            await asyncio.to_thread(histories.take_all, page)
            progress.records += len(page)
            yield News(progress=progress)
        governing = await database.read(_governing, home_of(stream), before)
        comparison = Comparison(governing, governing.newest_over(document), judge, utc_now())
        tickets = _opened_since(histories, since)
        for first in range(0, len(tickets), JUDGED_TICKETS):
            different = await asyncio.to_thread(comparison.judge_all, tickets[first : first + JUDGED_TICKETS])
            for difference in different:
                yield News(difference=difference)
        yield News(summary=comparison.summary)


def _checked(document: PolicyDocument) -> Standards:
    if problems := lint(document):
        raise invalid(problems[0].path, problems[0].message, problems=str(len(problems)))
    return Standards(0, document, unanswered=refuse)


def _load_standards(session: Session) -> dict[int, Standards]:
    """Return every policy that was ever published, by version; under 0 the one that is in force, for tickets of before
    the first: not one whose time has yet to come.

    Raises PolicyMissing where none is in force.
    """
    policies = PolicyStore(SCHEMA, noted=False)
    in_force = policies.current_version(session)
    if not in_force:
        raise PolicyMissing
    versions = session.scalars(select(SCHEMA.policy.c.version))
    loaded = {version: policies.version(session, version) for version in versions}
    return loaded | {0: loaded[in_force]}


def _ticket_streams(session: Session, unit: str) -> dict[str, int]:
    """Return the streams of the units' tickets, and about how many records each has."""
    columns = LOG.head.c
    query = select(columns.stream, columns.sequence).where(columns.stream.endswith(TICKET_STREAM))
    if unit:
        query = query.where(columns.stream == f"{unit}{TICKET_STREAM}")
    return {row.stream: row.sequence for row in session.execute(query.order_by(columns.stream))}


async def _pages(database: Database, stream: str) -> AsyncIterator[Sequence[StoredRecord]]:
    after = START
    while page := await database.read(read_after, LOG, stream, after, PAGE_RECORDS):
        yield page
        after = Position(page[-1].epoch, page[-1].sequence)


def _opened_since(histories: Histories, since: datetime | None) -> list[TicketHistory]:
    tickets = histories.by_ticket.values()
    return [ticket for ticket in tickets if since is None or ticket.open_time >= since]


def _governing(session: Session, unit: str, policies: dict[int, Standards]) -> Governing:
    newest = {PolicyOverride.FromString(override).unit: override for override in newest_overrides(session)}
    others = tuple(override for other, override in newest.items() if other != unit)
    return Governing(unit, policies, overrides_of(session, unit), others, units_that_left(session))


@dataclass
class Governing:
    """What governed one unit's tickets: versions of the policy, each with a version of the unit's override over it.

    Of the other units, only what they say of themselves now is known, and who of them has left the group by now: that
    counts for every version, and for the document too.
    """

    unit: str
    policies: dict[int, Standards]
    overrides: dict[int, PolicyOverride]
    others: tuple[bytes, ...]
    """What the other units have tuned last."""
    gone: frozenset[str]
    _laid: dict[tuple[int, int], Regime] = field(default_factory=dict)

    def regime(self, version: int, override: int) -> Regime:
        """Return what governed a ticket; what headquarters was never told of is left out."""
        policy = self.policies.get(version, self.policies[0])
        key = policy.version, override
        if key not in self._laid:
            self._laid[key] = self._over(policy, override)
        return self._laid[key]

    def newest_over(self, policy: Standards) -> Regime:
        """Return a policy with what the unit has tuned last laid over it."""
        return self._over(policy, max(self.overrides, default=0))

    def _over(self, policy: Standards, version: int) -> Regime:
        clocks = policy
        if override := self.overrides.get(version):
            document = tuned(policy.document, override.document, self.unit)
            clocks = Standards(policy.version, document, version, policy.unanswered)
        return Regime(clocks, laid_over(clocks, self.others, self.unit), self.gone)


@dataclass
class Comparison:
    """What two policies make of one unit's tickets."""

    before: Governing
    after: Regime
    judge: Judge
    now: datetime
    summary: pb.WhatIfSummary = field(default_factory=pb.WhatIfSummary)

    def __post_init__(self) -> None:
        self.summary.unit = self.before.unit

    def judge_all(self, tickets: Iterable[TicketHistory]) -> list[pb.WhatIfDifference]:
        """Judge tickets under both policies, count, and return those that are treated otherwise."""
        return [difference for ticket in tickets if (difference := self._judge(ticket))]

    def _judge(self, ticket: TicketHistory) -> pb.WhatIfDifference | None:
        self.summary.tickets += 1
        self.summary.imported += ticket.imported
        governed = self.before.regime(ticket.policy_version, ticket.policy_override)
        try:
            before = self.judge(governed, ticket, self.now)
            after = self.judge(self.after, ticket, self.now)
        except (CategoryUnknown, UnitUnknown, HorizonExceeded, ConditionFailed):
            # One ticket that a policy has no answer for is counted, and the others are judged all the same.
            self.summary.unknown += 1
            return None
        _count(self.summary.before, before)
        _count(self.summary.after, after)
        if before == after:
            return None
        self.summary.different += 1
        self.summary.rerouted += _is_rerouted(before, after)
        return pb.WhatIfDifference(
            ticket=ticket.opened.name,
            policy_version=ticket.policy_version,
            before=_verdict_to_proto(before),
            after=_verdict_to_proto(after),
        )


def _is_rerouted(before: Verdict, after: Verdict) -> bool:
    """Tell whether somebody is asked under both, and not the same."""
    is_asked = before.asked and after.asked
    return bool(is_asked) and (before.asked, before.desk) != (after.asked, after.desk)


def _count(counted: pb.WhatIfCount, verdict: Verdict) -> None:
    counted.response_breaches += verdict.response_breached
    counted.resolution_breaches += verdict.resolution_breached
    counted.climbs += verdict.climbs
    counted.engagements += bool(verdict.asked)
    counted.late_replies += verdict.late_replies
    counted.late_updates += verdict.late_updates
    counted.late_agreements += verdict.late_agreements
    counted.tickets_told_above += bool(verdict.levels)


def _verdict_to_proto(verdict: Verdict) -> pb.WhatIfVerdict:
    message = pb.WhatIfVerdict(
        target=verdict.target,
        response_breached=verdict.response_breached,
        resolution_breached=verdict.resolution_breached,
        tier=verdict.tier,
        provider=verdict.provider,
        desk=verdict.desk,
        asked_units=verdict.asked,
        final=verdict.final,
        late_replies=verdict.late_replies,
        late_updates=verdict.late_updates,
        late_agreements=verdict.late_agreements,
        levels=[HierarchyStep.Level.Value(level) for level in verdict.levels],
    )
    put_time(message.response_due_time, verdict.response_due)
    put_time(message.resolution_due_time, verdict.resolution_due)
    return message
