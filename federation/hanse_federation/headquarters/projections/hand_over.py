"""Hand-overs: who gave which ticket to whom, in the order in which the ticket's home wrote it down."""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse_federation.link.receiving import Arrival
from hanse_protos.ticket.v1.events_pb2 import TicketHandedOver

PAYLOADS = frozenset({TicketHandedOver})

INSERT = text("""
    INSERT INTO federation.hand_over (ticket, epoch, sequence, home, from_unit, to_unit)
    SELECT * FROM unnest(
        CAST(:tickets AS text[]), CAST(:epochs AS integer[]), CAST(:sequences AS bigint[]),
        CAST(:homes AS text[]), CAST(:from_units AS text[]), CAST(:to_units AS text[])
    )
""")


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store each hand-over."""
    hand_overs = [cast(TicketHandedOver, fact.payload) for fact in facts]
    session.execute(
        INSERT,
        {
            "tickets": [hand_over.ticket.name for hand_over in hand_overs],
            "epochs": [fact.epoch for fact in facts],
            "sequences": [fact.sequence for fact in facts],
            "homes": [fact.event.unit for fact in facts],
            "from_units": [hand_over.from_unit for hand_over in hand_overs],
            "to_units": [hand_over.to_unit for hand_over in hand_overs],
        },
    )


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget every hand-over of the tickets that facts are about; what remains is projected again."""
    names = [cast(TicketHandedOver, fact.payload).ticket.name for fact in facts]
    session.execute(text("DELETE FROM federation.hand_over WHERE ticket = ANY(:names)"), {"names": names})
