"""A link ends when it is told to, whatever its database does meanwhile."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest

from tests.integration.hanse_federation.group import Unit


async def test_an_agent_whose_database_is_away_ends_when_it_is_told_to(
    munich: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await munich.open_tickets(1)
    await munich.caught_up()

    async def refuse(*_arguments: object, **_named: object) -> NoReturn:
        raise ConnectionRefusedError

    monkeypatch.setattr(munich.runtime.database, "write", refuse)
    [agent] = munich.tasks
    # While it waits for frames, and before it notices by itself that the database is away.
    agent.cancel()
    await asyncio.wait([agent], timeout=20)
    assert agent.cancelled()
