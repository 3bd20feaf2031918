"""The clocks of a ticket that has just been opened. Tickets that are opened together begin alike, and are made once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from hanse.policy.facts import facts_of
from hanse.policy.standards import Standards
from hanse.session import as_plain, plain
from hanse_protos.policy.v1.policy_pb2 import TicketFacts
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.rows import clocks_to_proto, summaries_of
from hanse_services.ticket.clocks.rules import Ruling
from hanse_services.ticket.model import Base, Ticket

REMEMBERED_STARTS = 256
"""Targets by instants: a policy's targets at the instants of the last groups of commands; an entry is about 5 kB."""


@dataclass(frozen=True, slots=True)
class NewClocks:
    """The clocks of a ticket that has just been opened: as plain rows, and as answers and events show them."""

    target: str
    """The id of the target that applies; empty where none does."""
    rows: Sequence[Base]
    messages: Sequence[pb.Clock]
    summaries: Sequence[pb.ClockSummary]

    def rows_of(self, ticket: str) -> Iterator[Base]:
        """Yield the rows for a ticket."""
        for row in self.rows:
            yield plain(type(row), {**vars(row), "ticket": ticket})


def new_clocks(standards: Standards, ticket: Ticket, home: str, *, is_assigned: bool) -> NewClocks:
    """Start the clocks of the first target that holds for a new ticket; there are none where no target does.

    `is_assigned` says whether an agent gets it at once: conditions may ask for it.
    """
    facts = facts_of(standards, ticket, home)
    target = standards.target_for(facts)
    if target is None:
        return NewClocks("", (), (), ())
    # Conditions may ask for more than the target did; then the clocks are alike only where the facts are.
    is_conditional = standards.is_conditional(target.id)
    asked = facts.SerializeToString() if is_conditional else b""
    return _started(standards, target.id, home, ticket.open_time, asked, is_assigned=is_conditional and is_assigned)


@lru_cache(maxsize=REMEMBERED_STARTS)
def _started(
    standards: Standards, target: str, home: str, open_time: datetime, facts: bytes, *, is_assigned: bool
) -> NewClocks:
    """Start the clocks of an example. The commands of a group have one instant, so many tickets begin alike."""
    example = Ticket(
        name=f"{home}/tickets/example",
        state=pb.NEW,
        tier=1,
        holder=home,
        open_time=open_time,
        target=target,
        assignee=f"{home}/agents/example" if is_assigned else "",
    )
    Ruling(standards, example, open_time, TicketFacts.FromString(facts)).settle()
    rows = [as_plain(row) for row in (*example.segments, *example.clocks)]
    messages, summaries = clocks_to_proto(standards, example, open_time), summaries_of(example)
    return NewClocks(target, rows, list(messages), list(summaries))
