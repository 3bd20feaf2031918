"""A ledger for each unit, and what is told to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest

from hanse.migrations import service_migrations
from hanse.runtime import Runtime
from hanse_protos.log.v1.log_pb2 import LogRecord
from hanse_protos.policy.v1.policy_pb2 import Policy, PolicyAcknowledged
from hanse_protos.ticket.v1.events_pb2 import EngagementConfirmed
from hanse_protos.ticket.v1.ticket_pb2 import EngagementState, EngagementSummary, Priority, TicketSummary
from hanse_services.settlement.commands import EFFECTS
from hanse_services.settlement.model import SCHEMA
from tests.support import OCCUR_TIME, MakeRuntime, apply, record_of, small_policy

SETTLEMENT = service_migrations("hanse_services.settlement")
SHANGHAI, MUNICH, HEADQUARTERS = "units/shanghai", "units/munich", "units/hq"

Acknowledge = Callable[[Runtime, Policy], Awaitable[None]]
Confirm = Callable[..., Awaitable[bool]]
Confirmation = Callable[..., LogRecord]
OpenLedger = Callable[[str], Awaitable[Runtime]]


@pytest.fixture
def acknowledge() -> Acknowledge:
    """Return a function that puts a policy version in force in a unit's ledger."""

    async def tell(runtime: Runtime, policy: Policy) -> None:
        record = record_of(PolicyAcknowledged(policy=policy), policy.name, unit=runtime.unit, service="policy")
        await apply(runtime, SCHEMA, record, EFFECTS)

    return tell


@pytest.fixture
def open_ledger(make_runtime: MakeRuntime, acknowledge: Acknowledge) -> OpenLedger:
    """Return a function that makes a unit's ledger, empty, with version 1 of the policy in force."""

    async def start(unit: str) -> Runtime:
        runtime = make_runtime(unit, SETTLEMENT)
        await acknowledge(runtime, small_policy())
        return runtime

    return start


@pytest.fixture
def confirmation() -> Confirmation:
    """Return a function that makes the fact that an engagement was confirmed; every call makes another event."""

    def make(
        ticket: str = "a",
        *,
        home: str = SHANGHAI,
        provider: str = MUNICH,
        priority: Priority.ValueType = Priority.P2,
        category: str = "display",
        policy_version: int = 1,
        writer: str = "",
        claimed_home: str = "",
        occur_time: datetime = OCCUR_TIME,
    ) -> LogRecord:
        summary = TicketSummary(
            name=f"{home}/tickets/{ticket}", priority=priority, category=category, language="zh", tier=2
        )
        engagement = EngagementSummary(
            name=f"{summary.name}/engagements/e1",
            state=EngagementState.CONFIRMED,
            home=claimed_home or home,
            provider=provider,
            offer=1,
            ticket=summary,
            policy_version=policy_version,
        )
        payload = EngagementConfirmed(engagement=engagement)
        return record_of(payload, engagement.name, unit=writer or home, occur_time=occur_time)

    return make


@pytest.fixture
def confirm(confirmation: Confirmation) -> Confirm:
    """Return a function that tells a ledger that an engagement was confirmed."""

    async def tell(runtime: Runtime, ticket: str = "a", **facts: object) -> bool:
        return await apply(runtime, SCHEMA, confirmation(ticket, **facts), EFFECTS)

    return tell
