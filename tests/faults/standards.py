"""The policy that the group works under, and how it gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import grpc

from hanse.cli.desk import Desk
from hanse.database import Database
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse_protos.policy.v1 import policy_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA as TICKET
from tests.faults.group import FaultGroup

LOOK_INTERVAL_SECONDS = 0.2
PATIENCE_SECONDS = 120.0

_DOCUMENT = """
title: Standards under fire
reviews_required: 0
categories:
  - {{id: display, titles: {{en: Displays}}, skill: display-repair}}
calendars:
  - {{id: always, time_zone: Etc/UTC, shifts: [{{days: MON-SUN, start: "00:00", end: "24:00"}}]}}
units:
{units}
targets:
  # Hours, so that no deadline passes while the group is checked; only P1 has any, which keeps Temporal's part small.
  - {{id: p1, when: ticket.priority == "P1", response: 4h, resolution: 8h, warn_percents: [80]}}
# Every unit asks another one; headquarters is asked last.
routing:
  eligible: provider.unit != ticket.home
  score: '(provider.unit == "units/hq" ? 0 : 1000) - load'
  offer_timeout: 2h
  rounds: 3
  final_owner: units/hq
sharing:
  - {{events: [EngagementRequested], fields: [title, description, reason], audience: COUNTERPART}}
  - {{events: [EngagementDelivered], fields: [title, text], audience: COUNTERPART}}
rates:
  - {{id: every, amount: 120.00 EUR}}
"""
_UNIT = (
    "  - {{unit: {unit}, title: {unit}, calendar: always, languages: [en], skills: [display-repair], capacity: 500}}"
)


def document(units: Sequence[str]) -> policy_pb2.PolicyDocument:
    """Return a policy for some units."""
    return load_yaml(_DOCUMENT.format(units="\n".join(_UNIT.format(unit=unit) for unit in units)))


async def publish(group: FaultGroup) -> None:
    """Let headquarters publish the policy, and wait until every desk works under it."""
    async with Desk(group.settings("units/hq"), "standards") as desk:
        request = policy_pb2.PublishPolicyRequest(document=document(group.units), request_id=str(uuid4()))
        await desk.policies.PublishPolicy(request)
    async with asyncio.timeout(PATIENCE_SECONDS):
        for unit in group.units:
            await _until_in_force(group, unit)


async def put_in_force(group: FaultGroup, unit: str) -> None:
    """Put the policy in force at the desk of one unit, as its reaction does, where headquarters publishes nothing."""
    policy = policy_pb2.Policy(name="policies/1", version=1, document=document(group.units))
    database = Database(group.database_url(unit))
    try:
        await database.write(PolicyStore(TICKET).enact, policy)
    finally:
        await database.close()


async def _until_in_force(group: FaultGroup, unit: str) -> None:
    asked = pb.Ticket(title="Is it in force?", category="display", priority=pb.P4, language="en")
    request = rpc.CreateTicketRequest(parent=unit, ticket=asked, request_id=str(uuid4()))
    async with Desk(group.settings(unit), "standards") as desk:
        while True:
            try:
                await desk.tickets.CreateTicket(request)
            except grpc.aio.AioRpcError as error:
                if error.code() not in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE):
                    raise
                await asyncio.sleep(LOOK_INTERVAL_SECONDS)
            else:
                return
