"""The intake: what several links bring shares a transaction, and each link hears of its own alone."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.errors import LogFork, UnitRevoked
from hanse_federation.headquarters.absorbing import opening_from_unit
from hanse_federation.headquarters.intake import MAX_GROUP_RECORDS, Intake
from hanse_federation.link.receiving import OpenedBatch, at_once
from hanse_federation.membership.register import revoke_unit
from hanse_protos.federation.v1.membership_pb2 import Member, RevokeUnitRequest
from tests.integration.hanse_federation.group import Group, batch_of

LISBON, MUNICH, SHANGHAI = UNITS = ("units/lisbon", "units/munich", "units/shanghai")


def delivery(unit: str, records: int = 1, previous: bytes = b"") -> list[OpenedBatch]:
    """Return what a link of a unit brings."""
    return [at_once(opening_from_unit(unit, batch_of(unit, records, previous=previous)))]


def transactions(session: Session) -> dict[str, set[int]]:
    """Return the transactions that stored the records of each unit."""
    rows = session.execute(text("SELECT split_part(stream, '/', 2), xmin::text::bigint FROM federation.log_record"))
    found: dict[str, set[int]] = {}
    for unit, number in rows:
        found.setdefault(f"units/{unit}", set()).add(number)
    return found


async def stored(group: Group, *deliveries: Sequence[OpenedBatch]) -> list[BaseException | None]:
    """Let links bring something in the same moment; return what each of them is told."""
    intake = Intake(group.hq.database)
    return await asyncio.gather(*(intake.store(batches) for batches in deliveries), return_exceptions=True)


async def test_what_comes_while_another_is_stored_shares_a_transaction(group: Group) -> None:
    assert await stored(group, *(delivery(unit) for unit in UNITS)) == [None, None, None]
    found = await group.hq.database.read(transactions)
    assert found[MUNICH] == found[SHANGHAI] != found[LISBON]


async def test_what_one_link_brings_wrong_is_told_to_it_alone(group: Group) -> None:
    told = await stored(group, delivery(LISBON), delivery(MUNICH, previous=b"other"), delivery(SHANGHAI))
    assert [type(error) for error in told] == [type(None), LogFork, type(None)]
    assert (await group.hq.database.read(transactions)).keys() == {LISBON, SHANGHAI}


async def test_what_is_more_than_a_transaction_takes_waits_for_the_next(group: Group) -> None:
    halves = delivery(MUNICH, MAX_GROUP_RECORDS // 2 + 1), delivery(SHANGHAI, MAX_GROUP_RECORDS // 2)
    assert await stored(group, delivery(LISBON), *halves) == [None, None, None]
    found = await group.hq.database.read(transactions)
    assert found[MUNICH].isdisjoint(found[SHANGHAI])


async def test_where_the_link_that_stores_for_others_ends_the_next_one_does(group: Group) -> None:
    intake = Intake(group.hq.database)
    first, second, third = [asyncio.create_task(intake.store(delivery(unit))) for unit in UNITS]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(second, third)
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await group.hq.database.read(transactions)).keys() == {MUNICH, SHANGHAI}


async def test_what_a_revoked_unit_sends_before_its_link_has_closed_is_not_stored(group: Group) -> None:
    await group.admit(MUNICH)
    await group.execute(revoke_unit, RevokeUnitRequest(unit=MUNICH, reason="sold"), Member)
    told = await stored(group, delivery(LISBON), delivery(MUNICH), delivery(SHANGHAI))
    assert [type(error) for error in told] == [type(None), UnitRevoked, type(None)]
    found = await group.hq.database.read(transactions)
    assert found.keys() & set(UNITS) == {LISBON, SHANGHAI}
