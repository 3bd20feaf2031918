"""Poison among many messages: it is put aside, everything else is applied, and nobody waits for long."""

from __future__ import annotations

import os

import pytest

from hanse.telling.receiving import MAX_TRIES
from hanse_protos.ticket.v1 import events_pb2 as events
from tests.integration.hanse.told import POISON
from tests.integration.hanse.told_unit import ToldUnit

MESSAGES = int(os.environ.get("HANSE_POISON_MESSAGES", "1000"))
"""Of every thousand, one is poison; `make poison` tells 10,000, as is promised."""
POISONED = MESSAGES // 1_000
BATCH = 1_000
PATIENCE_SECONDS = 60.0 + MESSAGES / 20
LONGEST_PAUSE_SECONDS = 5.0 if MESSAGES >= 10_000 else 20.0
"""Five is what is promised, of a machine that is not busy with other tests."""


@pytest.mark.timeout(PATIENCE_SECONDS + 60)
async def test_poison_is_put_aside_and_everything_else_is_applied_in_order(told_unit: ToldUnit) -> None:
    sound, poison = [], []
    for first in range(0, MESSAGES, BATCH):
        facts = [(f"units/shanghai/tickets/t{first + number}", events.TicketCommented()) for number in range(BATCH)]
        middle = BATCH // 2
        facts[middle] = (f"{POISON}{first}", events.TicketCommented())
        told = await told_unit.tell("ticket", *facts)
        poison.append(told.pop(middle))
        sound += told
    await told_unit.react()
    async with told_unit.relaying():
        await told_unit.has_effects(sound, PATIENCE_SECONDS)
    assert told_unit.dead_letters() == dict.fromkeys(poison, MAX_TRIES)
    assert len(poison) == POISONED
    pause_seconds = told_unit.longest_pause_seconds()
    print(f"{len(sound)} applied, {len(poison)} dead letters, the longest pause {pause_seconds:.1f} s")
    assert pause_seconds <= LONGEST_PAUSE_SECONDS
