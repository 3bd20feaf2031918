"""Partners are admitted with a key that is shown once and stored as a hash."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest
from sqlalchemy import Table, select

from hanse_gateway.model import SCHEMA, Partner
from hanse_gateway.partner.authentication import KEY_MEMORY_SECONDS, ApiKeys
from hanse_protos.gateway.v1 import gateway_pb2 as pb
from tests.integration.hanse_gateway.partner.support import UNIT, Unit, refused, request_id

VOID_WITHIN_SECONDS = 5.0


async def everything_in(unit: Unit, table: Table) -> bytes:
    async with unit.runtime.database.engine.connect() as connection:
        return repr((await connection.execute(table.select())).all()).encode()


async def test_a_key_is_stored_as_its_hash(unit: Unit) -> None:
    partner = await unit.admit()
    async with unit.runtime.database.engine.connect() as connection:
        stored = await connection.scalar(select(Partner.key_digest))
    assert stored == sha256(partner.api_key.encode()).digest()


async def test_a_key_is_nowhere_in_the_database(unit: Unit) -> None:
    partner = await unit.admit()
    rotated = await unit.rotate(partner)
    for table in SCHEMA.metadata.sorted_tables:
        content = await everything_in(unit, table)
        for key in (partner.api_key, rotated.api_key):
            secret = key.split("_", 2)[-1]  # It may hold underscores itself.
            assert secret.encode() not in content


async def test_a_repeated_admission_admits_once_and_shows_no_key(unit: Unit) -> None:
    request = pb.CreatePartnerRequest(partner_id="acme", partner=pb.Partner(title="Acme"), request_id=request_id())
    first = await unit.admin.CreatePartner(request)
    again = await unit.admin.CreatePartner(request)
    assert first.api_key
    assert not again.api_key
    assert again.name == first.name
    assert (await unit.system(first.api_key).open()).name


async def test_a_partner_is_admitted_once(unit: Unit) -> None:
    await unit.admit()
    assert (await refused(unit.admit)).reason == "RESOURCE_ALREADY_EXISTS"


async def test_a_key_is_made_for_those_who_are_admitted_only(unit: Unit) -> None:
    error = await refused(lambda: unit.rotate(pb.Partner(name="partners/nobody")))
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_a_new_key_works(unit: Unit) -> None:
    rotated = await unit.rotate(await unit.admit())
    assert (await unit.system(rotated.api_key).open()).name


@pytest.mark.parametrize("key", [None, "", "hk_acme", f"hk_acme_{'x' * 43}", f"hk_nobody_{'x' * 43}", "Bearer x"])
async def test_a_wrong_or_missing_key_is_refused(unit: Unit, key: str | None) -> None:
    await unit.admit()
    assert (await refused(unit.system(key).open)).reason == "API_KEY_INVALID"


async def test_an_old_key_is_void_within_seconds(unit: Unit) -> None:
    partner = await unit.admit()
    system = unit.system(partner.api_key)
    await system.open()
    await unit.rotate(partner)
    await asyncio.sleep(KEY_MEMORY_SECONDS)
    assert (await refused(system.open)).reason == "API_KEY_INVALID"


async def test_a_stream_ends_when_its_key_is_void(unit: Unit) -> None:
    partner = await unit.admit()
    call = unit.system(partner.api_key).tickets.WatchEvents(pb.WatchEventsRequest())
    reading = asyncio.create_task(refused(call.read))
    await asyncio.sleep(0.5)
    await unit.rotate(partner)
    async with asyncio.timeout(VOID_WITHIN_SECONDS):
        assert (await reading).reason == "API_KEY_INVALID"


async def test_a_key_that_was_good_is_not_looked_up_again_at_once(unit: Unit) -> None:
    now = 0.0
    keys = ApiKeys(unit.runtime.database, UNIT, monotonic=lambda: now)
    partner = await unit.admit()
    caller = await keys.caller_of(partner.api_key)
    await unit.rotate(partner)
    assert await keys.caller_of(partner.api_key) is caller
