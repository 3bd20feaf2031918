"""What a charge is called, and which accounts its legs touch."""

from __future__ import annotations

import protovalidate
import pytest

from hanse_protos.settlement.v1.settlement_pb2 import GetChargeRequest, Leg
from hanse_services.settlement.commands import accounts_of, charge_name
from hanse_services.settlement.model import Charge

ENGAGEMENT = "units/shanghai/tickets/3k9m2x-4t7qzd/engagements/e2"


def test_a_charge_is_named_after_its_engagement() -> None:
    assert charge_name(ENGAGEMENT) == "charges/shanghai.3k9m2x-4t7qzd.e2"


def test_the_name_is_one_that_the_contract_takes() -> None:
    protovalidate.validate(GetChargeRequest(name=charge_name(ENGAGEMENT)))


@pytest.mark.parametrize(
    ("leg", "accounts"),
    [
        (Leg.PAYABLE, ("expense/engagements/units/munich", "payable/units/munich")),
        (Leg.RECEIVABLE, ("receivable/units/shanghai", "revenue/engagements/units/shanghai")),
    ],
)
def test_each_leg_debits_and_credits_its_own_accounts(leg: Leg.ValueType, accounts: tuple[str, str]) -> None:
    assert accounts_of(Charge(leg=leg, home="units/shanghai", provider="units/munich")) == accounts
