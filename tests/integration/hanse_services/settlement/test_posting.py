"""What a confirmed engagement does to the ledgers of both units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from google.type.money_pb2 import Money
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hanse.errors import AmountTooFine, PolicyMissing
from hanse.policy import load_yaml
from hanse.runtime import Runtime
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.settlement.v1 import settlement_pb2 as pb
from hanse_protos.ticket.v1.ticket_pb2 import Priority
from hanse_services.settlement import queries
from hanse_services.settlement.commands import EFFECTS
from hanse_services.settlement.model import SCHEMA, Charge, Entry, Journal
from tests.support import POLICY_YAML, apply, small_policy, told

SHANGHAI, MUNICH, HEADQUARTERS = "units/shanghai", "units/munich", "units/hq"
OpenLedger = Callable[[str], Awaitable[Runtime]]
Act = Callable[..., Awaitable[Any]]


async def charge_of(runtime: Runtime, name: str = "charges/shanghai.a.e1") -> pb.Charge:
    return await runtime.database.read(queries.get_charge, pb.GetChargeRequest(name=name))


async def entries_of(runtime: Runtime) -> list[pb.LedgerEntry]:
    request = pb.ListLedgerEntriesRequest(parent=runtime.unit)
    return list((await runtime.database.read(queries.list_ledger_entries, runtime.unit, request)).entries)


async def statement_of(runtime: Runtime) -> pb.Statement:
    request = pb.GetStatementRequest(parent=runtime.unit)
    return await runtime.database.read(queries.get_statement, runtime.unit, request)


async def test_the_home_unit_owes(open_ledger: OpenLedger, confirm: Act) -> None:
    shanghai = await open_ledger(SHANGHAI)
    await confirm(shanghai)
    amount = Money(currency_code="CNY", units=900)
    debit, credit = await entries_of(shanghai)
    assert (debit.account, debit.debit) == ("expense/engagements/units/munich", amount)
    assert (credit.account, credit.credit) == ("payable/units/munich", amount)
    assert (await charge_of(shanghai)).leg == pb.PAYABLE


async def test_both_units_come_to_what_the_service_costs_where_the_rate_says_so(
    open_ledger: OpenLedger, acknowledge: Act, confirm: Act
) -> None:
    services = "services: [{id: displays, owner: units/munich, categories: [display], cost: 45.00 EUR}]"
    by_service = POLICY_YAML.replace("amount: 900 CNY", "amount: 900 CNY, service_cost: true") + services
    policy = Policy(name="policies/2", version=2, document=load_yaml(by_service))
    posted = []
    for unit in (SHANGHAI, MUNICH):
        ledger = await open_ledger(unit)
        await acknowledge(ledger, policy)
        await confirm(ledger, policy_version=2)
        posted.append((await charge_of(ledger)).amount)
    assert posted == [Money(currency_code="EUR", units=45)] * 2


async def test_the_provider_earns(open_ledger: OpenLedger, confirm: Act) -> None:
    munich = await open_ledger(MUNICH)
    await confirm(munich)
    amount = Money(currency_code="CNY", units=900)
    debit, credit = await entries_of(munich)
    assert (debit.account, debit.debit) == ("receivable/units/shanghai", amount)
    assert (credit.account, credit.credit) == ("revenue/engagements/units/shanghai", amount)
    assert (await charge_of(munich)).leg == pb.RECEIVABLE


async def test_both_legs_are_the_same_charge(open_ledger: OpenLedger, confirmation: Callable[..., Any]) -> None:
    fact = confirmation()
    charges = []
    for unit in (SHANGHAI, MUNICH):
        runtime = await open_ledger(unit)
        await apply(runtime, SCHEMA, fact, EFFECTS)
        charge = await charge_of(runtime)
        charge.ClearField("leg")
        charge.ClearField("post_time")
        charges.append(charge)
    assert charges[0] == charges[1]


async def test_a_posted_leg_is_told(open_ledger: OpenLedger, confirm: Act) -> None:
    munich = await open_ledger(MUNICH)
    await confirm(munich)
    [(event, payload)] = await told(munich, SCHEMA)
    assert event.resource == "charges/shanghai.a.e1"
    assert payload == pb.ChargePosted(charge=await charge_of(munich))


async def test_a_second_confirmation_of_the_same_engagement_posts_nothing(
    open_ledger: OpenLedger, confirm: Act
) -> None:
    shanghai = await open_ledger(SHANGHAI)
    await confirm(shanghai)
    await confirm(shanghai)
    assert len(await entries_of(shanghai)) == 2
    assert len(await told(shanghai, SCHEMA)) == 1


async def test_a_unit_that_served_itself_owes_nobody(open_ledger: OpenLedger, confirm: Act) -> None:
    headquarters = await open_ledger(HEADQUARTERS)
    await confirm(headquarters, home=HEADQUARTERS, provider=HEADQUARTERS)
    assert await entries_of(headquarters) == []


async def test_a_unit_that_has_no_part_in_it_posts_nothing(open_ledger: OpenLedger, confirm: Act) -> None:
    headquarters = await open_ledger(HEADQUARTERS)
    await confirm(headquarters)
    assert await entries_of(headquarters) == []


async def test_only_the_home_unit_can_make_itself_owe(open_ledger: OpenLedger, confirm: Act) -> None:
    shanghai = await open_ledger(SHANGHAI)
    await confirm(shanghai, writer=MUNICH)
    assert await entries_of(shanghai) == []


async def test_whoever_claims_an_engagement_does_not_keep_its_home_from_owing(
    open_ledger: OpenLedger, confirm: Act
) -> None:
    shanghai = await open_ledger(SHANGHAI)
    await confirm(shanghai, writer=MUNICH, claimed_home=MUNICH, provider=SHANGHAI)
    await confirm(shanghai)
    assert len(await entries_of(shanghai)) == 2


async def test_the_rate_is_the_first_that_applies(open_ledger: OpenLedger, confirm: Act) -> None:
    shanghai = await open_ledger(SHANGHAI)
    await confirm(shanghai, priority=Priority.P1)
    charge = await charge_of(shanghai)
    assert (charge.rate, charge.amount) == ("urgent", Money(currency_code="EUR", units=480, nanos=500_000_000))


async def test_the_rate_card_is_that_of_the_version_it_was_asked_for_under(
    open_ledger: OpenLedger, confirm: Act, acknowledge: Act
) -> None:
    shanghai = await open_ledger(SHANGHAI)
    dearer = small_policy(2)
    dearer.document.rates[1].amount.units = 9_000
    await acknowledge(shanghai, dearer)
    await confirm(shanghai, "old", policy_version=1)
    await confirm(shanghai, "new", policy_version=2)
    amounts = [(await charge_of(shanghai, f"charges/shanghai.{ticket}.e1")).amount.units for ticket in ("old", "new")]
    assert amounts == [900, 9_000]


@pytest.mark.parametrize(
    ("unknown", "rate"),
    [({"provider": "units/oslo"}, "urgent"), ({"category": "telex"}, "every"), ({"home": "units/oslo"}, "every")],
)
async def test_what_the_version_does_not_know_is_charged_all_the_same(
    open_ledger: OpenLedger, confirm: Act, unknown: dict[str, str], rate: str
) -> None:
    ledger = await open_ledger(unknown.get("provider", MUNICH))
    await confirm(ledger, priority=Priority.P1, **unknown)
    home = unknown.get("home", SHANGHAI).removeprefix("units/")
    assert (await charge_of(ledger, f"charges/{home}.a.e1")).rate == rate


async def test_a_policy_version_that_is_not_known_yet_is_tried_again(
    open_ledger: OpenLedger, confirmation: Callable[..., Any], acknowledge: Act
) -> None:
    munich = await open_ledger(MUNICH)
    fact = confirmation(policy_version=2)
    with pytest.raises(PolicyMissing):
        await apply(munich, SCHEMA, fact, EFFECTS)
    await acknowledge(munich, small_policy(2))
    assert await apply(munich, SCHEMA, fact, EFFECTS)
    assert (await charge_of(munich)).policy_version == 2


async def test_a_rate_that_is_finer_than_its_currency_is_not_rounded(
    open_ledger: OpenLedger, confirm: Act, acknowledge: Act
) -> None:
    munich = await open_ledger(MUNICH)
    too_fine = small_policy(2)
    too_fine.document.rates[1].amount.nanos = 1
    await acknowledge(munich, too_fine)
    with pytest.raises(AmountTooFine):
        await confirm(munich, policy_version=2)
    assert await entries_of(munich) == []


async def test_the_statement_sums_up_each_counterparty_and_currency(open_ledger: OpenLedger, confirm: Act) -> None:
    shanghai = await open_ledger(SHANGHAI)
    await confirm(shanghai, "a", priority=Priority.P1)
    await confirm(shanghai, "b", priority=Priority.P1)
    await confirm(shanghai, "c", home=MUNICH, provider=SHANGHAI, priority=Priority.P1)
    await confirm(shanghai, "d", provider=HEADQUARTERS)
    statement = await statement_of(shanghai)
    summary = [
        (line.counterparty, line.net.currency_code, line.receivable.units, line.payable.units, line.net, line.charges)
        for line in statement.lines
    ]
    assert summary == [
        (HEADQUARTERS, "CNY", 0, 900, Money(currency_code="CNY", units=-900), 1),
        (MUNICH, "EUR", 480, 961, Money(currency_code="EUR", units=-480, nanos=-500_000_000), 3),
    ]
    assert statement.balanced


async def test_an_empty_ledger_balances(open_ledger: OpenLedger) -> None:
    assert await statement_of(await open_ledger(SHANGHAI)) == pb.Statement(unit=SHANGHAI, balanced=True)


# What holds for any order, any number of repeats, and any that are still on their way


def count_postings(session: Session) -> tuple[int, int, int]:
    """Return how many charges, journals and entries there are."""
    charges, journals, entries = (
        session.scalar(select(func.count()).select_from(table)) or 0 for table in (Charge, Journal, Entry)
    )
    return charges, journals, entries


DELIVERIES = st.lists(
    st.tuples(st.sampled_from([SHANGHAI, MUNICH]), st.integers(0, 3), st.booleans()), min_size=1, max_size=16
)
ENGAGEMENTS = st.lists(st.tuples(st.booleans(), st.sampled_from([Priority.P1, Priority.P2])), min_size=4, max_size=4)


@given(ENGAGEMENTS, DELIVERIES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_sequence_of_deliveries_leaves_balanced_ledgers_that_match(
    ledgers: dict[str, Runtime],
    confirmation: Callable[..., Any],
    engagements: list[tuple[bool, Priority.ValueType]],
    deliveries: list[tuple[str, int, bool]],
) -> None:
    run = uuid4().hex
    tickets = [f"{run}-{number}" for number in range(len(engagements))]
    sides = [(SHANGHAI, MUNICH) if outward else (MUNICH, SHANGHAI) for outward, _ in engagements]

    def fact(number: int) -> Any:
        home, provider = sides[number]
        return confirmation(tickets[number], home=home, provider=provider, priority=engagements[number][1])

    first_facts = [fact(number) for number in range(len(engagements))]
    before = {unit: await runtime.database.read(count_postings) for unit, runtime in ledgers.items()}
    for unit, number, as_new_event in deliveries:
        await apply(ledgers[unit], SCHEMA, fact(number) if as_new_event else first_facts[number], EFFECTS)

    delivered = {unit: {number for to, number, _ in deliveries if to == unit} for unit in ledgers}
    for unit, runtime in ledgers.items():
        new = Counter(dict(enumerate(await runtime.database.read(count_postings))))
        new.subtract(dict(enumerate(before[unit])))
        legs = len(delivered[unit])
        assert [new[table] for table in range(3)] == [legs, legs, 2 * legs]
        assert (await statement_of(runtime)).balanced
    for number in delivered[SHANGHAI] & delivered[MUNICH]:
        name = f"charges/{sides[number][0].removeprefix('units/')}.{tickets[number]}.e1"
        legs_of_charge = [await charge_of(ledgers[unit], name) for unit in sides[number]]
        assert [charge.leg for charge in legs_of_charge] == [pb.PAYABLE, pb.RECEIVABLE]
        assert legs_of_charge[0].amount == legs_of_charge[1].amount


@pytest.fixture
async def ledgers(open_ledger: OpenLedger) -> dict[str, Runtime]:
    """The ledgers of two units. They fill up from example to example, as nothing is ever deleted from a ledger."""
    return {unit: await open_ledger(unit) for unit in (SHANGHAI, MUNICH)}
