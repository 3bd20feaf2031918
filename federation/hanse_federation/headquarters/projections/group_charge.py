"""Charges with both of their legs: each unit posts its own side, and headquarters checks that they say the same.

The home unit posts what it owes and to whom, the provider what it earns. Legs belong together where both are about the
same charge between the same two units: so what a third one claims to earn stays by itself.
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
    ON CONFLICT (name, provider) DO UPDATE SET
        payable = coalesce(excluded.payable, group_charge.payable),
        receivable = coalesce(excluded.receivable, group_charge.receivable)
""")


def project(session: Session, facts: Sequence[Arrival]) -> None:
    """Store the legs of the charges that were posted."""
    # One stream holds one unit's side of a charge, so no charge comes twice in a batch, unless both sides are one unit.
    for leg in (PAYABLE, RECEIVABLE):
        charges = {(charge.name, charge.provider): charge for charge in _posted(facts) if charge.leg == leg}
        if charges:
            amounts = [charge.amount.SerializeToString(deterministic=True) for charge in charges.values()]
            nothing = [None] * len(amounts)
            session.execute(
                UPSERT,
                {
                    "names": [name for name, _ in charges],
                    "homes": [charge.home for charge in charges.values()],
                    "providers": [provider for _, provider in charges],
                    "confirm_times": [instant(charge.confirm_time) for charge in charges.values()],
                    "payables": amounts if leg == PAYABLE else nothing,
                    "receivables": amounts if leg == RECEIVABLE else nothing,
                },
            )


def _posted(facts: Sequence[Arrival]) -> list[Charge]:
    return [cast(ChargePosted, fact.payload).charge for fact in facts]


FORGET = {
    PAYABLE: text("UPDATE federation.group_charge SET payable = NULL WHERE name = :name AND provider = :provider"),
    RECEIVABLE: text(
        "UPDATE federation.group_charge SET receivable = NULL WHERE name = :name AND provider = :provider"
    ),
}
EMPTY = text("DELETE FROM federation.group_charge WHERE name = ANY(:names) AND payable IS NULL AND receivable IS NULL")


def forget(session: Session, facts: Sequence[Arrival]) -> None:
    """Forget the legs that facts have posted, and charges without any."""
    charges = _posted(facts)
    for charge in charges:
        session.execute(FORGET[charge.leg], {"name": charge.name, "provider": charge.provider})
    session.execute(EMPTY, {"names": [charge.name for charge in charges]})
