"""How many decimals a currency has: ISO 4217, table A.1.

It is a table here and not looked up in a library, since the ledger's amounts are stored in these units: a library that
changes its mind would change what is owed.
"""

USUAL_DIGITS = 2

_UNUSUAL_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DIGITS = {currency: digits for digits, currencies in _UNUSUAL_DIGITS.items() for currency in currencies.split()}


def minor_unit_digits(currency: str) -> int:
    """Return the number of decimals of a currency, by its ISO 4217 code."""
    return _DIGITS.get(currency, USUAL_DIGITS)
