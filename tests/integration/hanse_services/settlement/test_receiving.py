"""Posting as the reactions do it: blocking, over psycopg."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hanse.runtime import Runtime
from hanse.telling.receiving import Receiver, open_engine
from hanse_services.settlement.commands import EFFECTS
from hanse_services.settlement.model import SCHEMA, Charge

REACTION = "settlement.confirmed_elsewhere"
Confirmation = Callable[..., Any]


@pytest.fixture
async def munich(open_ledger: Callable[[str], Awaitable[Runtime]]) -> Runtime:
    return await open_ledger("units/munich")


@pytest.fixture
def engine(munich: Runtime) -> Iterator[Engine]:
    engine = open_engine(munich.settings.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def receiver(engine: Engine, munich: Runtime) -> Receiver:
    return Receiver(engine, SCHEMA, munich.unit, sleep=lambda _seconds: None)


def count(engine: Engine, table: Any) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


async def test_a_message_that_comes_twice_is_posted_once(
    receiver: Receiver, engine: Engine, confirmation: Confirmation
) -> None:
    message = confirmation().SerializeToString()
    receiver.receive(message, EFFECTS, REACTION)
    receiver.receive(message, EFFECTS, REACTION)
    assert count(engine, Charge) == 1
    assert count(engine, SCHEMA.dead_letter) == 0


async def test_a_charge_whose_policy_never_comes_waits_for_a_person(
    receiver: Receiver, engine: Engine, confirmation: Confirmation
) -> None:
    receiver.receive(confirmation(policy_version=9).SerializeToString(), EFFECTS, REACTION)
    assert count(engine, Charge) == 0
    assert count(engine, SCHEMA.dead_letter) == 1
