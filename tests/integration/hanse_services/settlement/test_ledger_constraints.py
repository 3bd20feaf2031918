"""What the database itself refuses, whoever writes to it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from hanse.migrations import service_migrations
from tests.support import MakeDatabase

SETTLEMENT = service_migrations("hanse_services.settlement")
CHARGE = """
    INSERT INTO settlement.charge (name, leg, engagement, home, provider, currency, amount, rate, policy_version,
        confirm_time, post_time)
    VALUES ('charges/shanghai.a.e1', 'PAYABLE', 'e', 'units/shanghai', 'units/munich', 'EUR', 100, 'r', 1, now(), now())
"""
ACCOUNTS = "INSERT INTO settlement.account VALUES ('payable/units/munich', now()), ('expense/units/munich', now())"
JOURNAL = """
    INSERT INTO settlement.journal (charge, leg, post_time) VALUES ('charges/shanghai.a.e1', 'PAYABLE', now())
    RETURNING number
"""
ENTRY = "INSERT INTO settlement.entry VALUES (%s, %s, %s, %s, %s, %s)"
Connection = psycopg.Connection[tuple[int]]


@pytest.fixture
def connection(make_database: MakeDatabase) -> Iterator[Connection]:
    """A ledger with a charge and accounts, and nothing posted."""
    with psycopg.connect(make_database(SETTLEMENT)) as connection:
        connection.execute(CHARGE)
        connection.execute(ACCOUNTS)
        connection.commit()
        yield connection
        connection.rollback()


def post(connection: Connection, *entries: tuple[str, str, int, int]) -> int:
    """Post a journal: account, currency, debit and credit of each line."""
    row = connection.execute(JOURNAL).fetchone()
    assert row is not None
    for line, entry in enumerate(entries, start=1):
        connection.execute(ENTRY, (row[0], line, *entry))
    return row[0]


def post_balanced(connection: Connection) -> int:
    return post(connection, ("expense/units/munich", "EUR", 100, 0), ("payable/units/munich", "EUR", 0, 100))


def test_a_balanced_journal_is_taken(connection: Connection) -> None:
    post_balanced(connection)
    connection.commit()


@pytest.mark.parametrize("table", ["charge", "journal", "entry"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_what_is_posted_is_never_changed(connection: Connection, table: str, change: str) -> None:
    post_balanced(connection)
    connection.commit()
    column = {"charge": "amount", "journal": "post_time", "entry": "debit"}[table]
    with pytest.raises(errors.RestrictViolation, match="holds what was posted"):
        connection.execute(change.format(f"settlement.{table}", column, column))


def test_a_journal_whose_debits_and_credits_differ_is_refused_at_commit(connection: Connection) -> None:
    post(connection, ("expense/units/munich", "EUR", 100, 0), ("payable/units/munich", "EUR", 0, 99))
    with pytest.raises(errors.CheckViolation, match="does not balance"):
        connection.commit()


def test_a_journal_that_balances_only_across_currencies_is_refused(connection: Connection) -> None:
    post(connection, ("expense/units/munich", "EUR", 100, 0), ("payable/units/munich", "CNY", 0, 100))
    with pytest.raises(errors.CheckViolation, match="does not balance"):
        connection.commit()


def test_a_journal_without_entries_is_refused(connection: Connection) -> None:
    post(connection)
    with pytest.raises(errors.CheckViolation, match="has no entries"):
        connection.commit()


def test_a_lone_entry_added_to_a_posted_journal_is_refused(connection: Connection) -> None:
    journal = post_balanced(connection)
    connection.commit()
    connection.execute(ENTRY, (journal, 3, "payable/units/munich", "EUR", 1, 0))
    with pytest.raises(errors.CheckViolation, match="does not balance"):
        connection.commit()


@pytest.mark.parametrize(("debit", "credit"), [(1, 1), (0, 0), (-1, 0), (0, -1)])
def test_an_entry_is_a_debit_or_a_credit_of_more_than_nothing(connection: Connection, debit: int, credit: int) -> None:
    with pytest.raises(errors.CheckViolation, match="debit_or_credit"):
        post(connection, ("payable/units/munich", "EUR", debit, credit))


def test_a_leg_of_a_charge_is_posted_once(connection: Connection) -> None:
    post_balanced(connection)
    with pytest.raises(errors.UniqueViolation, match="journal_unique_charge_leg"):
        post_balanced(connection)


def test_an_amount_stands_in_an_account_that_is_open(connection: Connection) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        post(connection, ("payable/units/atlantis", "EUR", 0, 100))
