"""Charges with both of their legs: each unit posts its own side, and headquarters checks that they say the same.

A leg counts only from the unit whose side it is: the home unit posts what it owes, the provider what it earns.
"""

from collections.abc import Sequence
from typing import cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.times import instant
from hanse_federation.link.receiving import Arrival
from hanse_protos.settlement.v1.settlement_pb2 import PAYABLE, RECEIVABLE, Charge, ChargePosted

PAYLOADS = frozenset({ChargePosted})

UPSERT = text("""
    INSERT INTO federation.group_charge (name, home, provider, confirm_time, payable, receivable)
    SELECT * FROM unnest(
        CAST(:names AS text[]), CAST(:homes AS text[]), CAST(:providers AS text[]),
        CAST(:confirm_times AS timestamptz[]), CAST(:payables AS bytea[]), CAST(:receivables AS bytea[])
    )
    ON CONFLICT (name) DO UPDATE SET
        payable = coalesce(excluded.payable, group_charge.payable),
        receivable = coalesce(excluded.receivable, group_charge.receivable)
""")


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store the legs of the charges that were posted."""
    # One stream holds one unit's side of a charge, so no charge comes twice in a batch, unless both sides are one unit.
    for leg in (PAYABLE, RECEIVABLE):
        charges = {charge.name: charge for charge in _posted_by_their_side(facts) if charge.leg == leg}
        if charges:
            amounts = [charge.amount.SerializeToString(deterministic=True) for charge in charges.values()]
            nothing = [None] * len(amounts)
            session.execute(
                UPSERT,
                {
                    "names": list(charges),
                    "homes": [charge.home for charge in charges.values()],
                    "providers": [charge.provider for charge in charges.values()],
                    "confirm_times": [instant(charge.confirm_time) for charge in charges.values()],
                    "payables": amounts if leg == PAYABLE else nothing,
                    "receivables": amounts if leg == RECEIVABLE else nothing,
                },
            )


def _posted_by_their_side(facts: Sequence[Arrival]) -> list[Charge]:
    charges = []
    for fact in facts:
        charge = cast(ChargePosted, fact.payload).charge
        side = {PAYABLE: charge.home, RECEIVABLE: charge.provider}.get(charge.leg)
        if side == fact.event.unit:
            charges.append(charge)
    return charges


FORGET = {
    PAYABLE: text("UPDATE federation.group_charge SET payable = NULL WHERE name = ANY(:names)"),
    RECEIVABLE: text("UPDATE federation.group_charge SET receivable = NULL WHERE name = ANY(:names)"),
}


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the legs that facts have posted, and charges without any."""
    charges = _posted_by_their_side(facts)
    for leg, statement in FORGET.items():
        session.execute(statement, {"names": [charge.name for charge in charges if charge.leg == leg]})
    empty = "DELETE FROM federation.group_charge WHERE name = ANY(:names) AND payable IS NULL AND receivable IS NULL"
    session.execute(text(empty), {"names": [charge.name for charge in charges]})
