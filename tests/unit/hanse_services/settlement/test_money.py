"""Money on the wire and whole minor units in the ledger are the same amounts."""

from __future__ import annotations

import pytest
from google.type.money_pb2 import Money
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import AmountTooFine
from hanse_services.settlement.money import to_minor_units, to_money

MAX_AMOUNT = 2**63 - 1


@pytest.mark.parametrize(
    ("currency", "units", "nanos", "minor_units"),
    [
        ("EUR", 480, 500_000_000, 48_050),
        ("CNY", 0, 10_000_000, 1),
        ("JPY", 900, 0, 900),
        ("KWD", 1, 1_000_000, 1_001),
        ("CLF", 0, 100_000, 1),
        ("EUR", -1, -500_000_000, -150),
    ],
)
def test_amounts_are_whole_minor_units(currency: str, units: int, nanos: int, minor_units: int) -> None:
    money = Money(currency_code=currency, units=units, nanos=nanos)
    assert to_minor_units(money) == minor_units
    assert to_money(minor_units, currency) == money


@given(st.integers(-MAX_AMOUNT, MAX_AMOUNT), st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_every_amount_comes_back_from_the_wire_as_it_was(minor_units: int, currency: str) -> None:
    assert to_minor_units(to_money(minor_units, currency)) == minor_units


@pytest.mark.parametrize(("currency", "nanos"), [("EUR", 5_000_000), ("JPY", 500_000_000), ("EUR", 1)])
def test_an_amount_that_is_finer_than_its_currency_is_refused_and_not_rounded(currency: str, nanos: int) -> None:
    with pytest.raises(AmountTooFine):
        to_minor_units(Money(currency_code=currency, units=1, nanos=nanos))
