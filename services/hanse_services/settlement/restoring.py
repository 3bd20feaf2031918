"""Restoring the ledger from its events, after the unit came back from an old backup without them."""

from collections.abc import Callable
from typing import cast

from google.protobuf.message import Message

from hanse.log.events import Fact
from hanse.times import instant
from hanse.work import Work
from hanse_protos.settlement.v1.settlement_pb2 import ChargePosted
from hanse_services.settlement.commands import post
from hanse_services.settlement.model import Charge
from hanse_services.settlement.money import to_minor_units


def charge_posted(work: Work, fact: Fact) -> None:
    """Post this unit's leg of a charge again, with its entries, as it was: the event says all of it."""
    charge = cast(ChargePosted, fact.payload).charge
    if work.session.get(Charge, (charge.name, charge.leg)):
        return
    post(
        work,
        Charge(
            name=charge.name,
            leg=charge.leg,
            engagement=charge.engagement,
            home=charge.home,
            provider=charge.provider,
            currency=charge.amount.currency_code,
            amount=to_minor_units(charge.amount),
            rate=charge.rate,
            policy_version=charge.policy_version,
            confirm_time=instant(charge.confirm_time),
            post_time=instant(charge.post_time),
        ),
    )


RESTORES: dict[type[Message], Callable[[Work, Fact], None]] = {ChargePosted: charge_posted}
"""What is restored from which event."""
