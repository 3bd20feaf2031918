"""Escalations hold: the worker at headquarters is killed again and again while offers run out, one after the other.

Shanghai asks for engagements. Two units that never answer are asked in two rounds, then the final owner. So each search
is the same list of offers, and headquarters' own log says whether one of them was left out or made twice.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from hanse.cli.desk import Desk
from hanse.database import Database
from hanse.log.events import payload_of
from hanse.log.follow import START, read_after
from hanse.names import HEADQUARTERS
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse_federation.model import LOG, ROUTING_STREAM
from hanse_federation.model import SCHEMA as FEDERATION
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA as TICKET
from tests.faults.group import FaultGroup, part_name
from tests.faults.report import Report
from tests.faults.schedule import Fault, Kind

SHANGHAI = "units/shanghai"
LAYOUT = {HEADQUARTERS: ("serve", "federate", "work"), SHANGHAI: ("serve", "federate")}
WORKER = part_name(HEADQUARTERS, "work")
OFFERS = 5
"""Of each search: two units in two rounds, and the final owner."""
STEPS = 2 * OFFERS - 1
"""Every offer, and the end of all but the last."""
PLENTY = 100_000
BURSTS = 10
BURST_PAUSE_SECONDS = 4.0
LOOK_INTERVAL_SECONDS = 0.5
PATIENCE_SECONDS = 900.0
"""What must not be excused by a busy machine is a step that is lost or taken twice; that it is late may be."""

_POLICY = """
title: Offers of 12 seconds
categories: [{id: display, titles: {en: Displays}, skill: display}]
calendars:
  - {id: always, time_zone: Etc/UTC, shifts: [{days: MON-SUN, start: "00:00", end: "24:00"}]}
units:
  - {unit: units/hq, calendar: always, languages: [en], skills: [display]}
  - {unit: units/shanghai, calendar: always, languages: [en], skills: [display]}
  - {unit: units/munich, calendar: always, languages: [en], skills: [display], capacity: 500}
  - {unit: units/porto, calendar: always, languages: [en], skills: [display], capacity: 500}
targets: [{id: every, response: 4h, resolution: 8h}]
routing:
  eligible: provider.unit == "units/munich" || provider.unit == "units/porto"
  score: 0 - load
  offer_timeout: 12s
  rounds: 2
  final_owner: units/hq
rates: [{id: every, amount: 100.00 EUR}]
"""


async def run(folder: Path, seed: int, searches: int, kills: int) -> Report:
    """Kill the worker while providers are looked for, and see that every offer was made, expired and told once."""
    report = Report("the worker is killed while providers are looked for", seed)
    async with FaultGroup(folder, LAYOUT, witness=False) as group:
        headquarters = Database(group.database_url(HEADQUARTERS))
        await _enact(group)
        asking = asyncio.create_task(_ask(group, searches))
        randomness = random.Random(seed)  # noqa: S311 - a schedule that can be repeated.
        for number in range(kills):
            await asyncio.sleep(randomness.uniform(2, 6))
            report.faults.append(Fault(float(number), Kind.KILL, WORKER))
            group.supervisor.kill(WORKER)
        engagements = await asking
        steps = await _until_done(headquarters, STEPS * len(engagements))
        await headquarters.close()
        report.deaths = list(group.supervisor.deaths)
    report.figures |= {"searches": str(len(engagements)), "steps done": str(len(steps))}
    report.promise("steps that were not done", STEPS * len(engagements) - len(steps), 0, "")
    report.promise("steps that were done twice", sum(steps.values()) - len(steps), 0, "")
    return report


async def _enact(group: FaultGroup) -> None:
    """Put the policy in force where the reactions would, which do not run here."""
    policy = Policy(name="policies/1", version=1, document=load_yaml(_POLICY))
    for unit, schemas in ((HEADQUARTERS, (FEDERATION,)), (SHANGHAI, (FEDERATION, TICKET))):
        database = Database(group.database_url(unit))
        for schema in schemas:
            await database.write(PolicyStore(schema).enact, policy)
        await database.close()


async def _ask(group: FaultGroup, searches: int) -> Sequence[str]:
    """Open tickets and ask for an engagement on each, so that offers run out all the time; return the engagements."""
    names: list[str] = []
    async with Desk(group.settings(SHANGHAI), "faults") as desk:
        for _ in range(BURSTS):
            names += await asyncio.gather(*(_ask_for_one(desk) for _ in range(searches // BURSTS)))
            await asyncio.sleep(BURST_PAUSE_SECONDS)
    return names


async def _ask_for_one(desk: Desk) -> str:
    ticket = pb.Ticket(title="Screen is dark", category="display", priority=pb.P2, language="en")
    opening = rpc.CreateTicketRequest(parent=SHANGHAI, ticket=ticket, request_id=str(uuid4()))
    opened = await desk.tickets.CreateTicket(opening)
    asking = rpc.RequestEngagementRequest(parent=opened.name, reason="Nobody knows displays.", request_id=str(uuid4()))
    return str((await desk.engagements.RequestEngagement(asking)).name)


async def _until_done(headquarters: Database, wanted: int) -> Counter[tuple[str, str]]:
    """Return how often each step of each search was taken, once all were taken or patience has ended."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len(steps := await _steps(headquarters)) < wanted and time.monotonic() < until:  # noqa: ASYNC110 - a log of a server
        await asyncio.sleep(LOOK_INTERVAL_SECONDS)
    return steps


async def _steps(headquarters: Database) -> Counter[tuple[str, str]]:
    records = await headquarters.read(read_after, LOG, ROUTING_STREAM, START, PLENTY)
    payloads = [(record.resource, payload_of(record.decoded())) for record in records]
    return Counter(
        (engagement, f"{type(payload).__name__} {payload.engagement.offer}")
        for engagement, payload in payloads
        if isinstance(payload, told.EngagementOffered | told.EngagementOfferExpired)
    )
