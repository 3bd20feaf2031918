"""Amounts of money: google.type.Money on the wire, whole minor units in the ledger. Nothing is ever rounded."""

from google.type.money_pb2 import Money

from hanse.errors import AmountTooFine
from hanse_services.settlement.currencies import minor_unit_digits

NANOS_DIGITS = 9


def to_minor_units(money: Money) -> int:
    """Return an amount in its currency's smallest unit, 48050 for EUR 480.50.

    Raises AmountTooFine where the amount has a fraction of that.
    """
    nanos: int = money.units * 10**NANOS_DIGITS + money.nanos
    nanos_per_minor_unit: int = 10 ** (NANOS_DIGITS - minor_unit_digits(money.currency_code))
    minor, rest = divmod(nanos, nanos_per_minor_unit)
    if rest:
        raise AmountTooFine(currency=money.currency_code, units=str(money.units), nanos=str(money.nanos))
    return minor


def to_money(minor_units: int, currency: str) -> Money:
    """Return an amount of smallest units as Money; units and nanos have the same sign, as google.type has it."""
    per_unit = 10 ** minor_unit_digits(currency)
    units, rest = divmod(abs(minor_units), per_unit)
    nanos = rest * (10**NANOS_DIGITS // per_unit)
    sign = -1 if minor_units < 0 else 1
    return Money(currency_code=currency, units=sign * units, nanos=sign * nanos)
