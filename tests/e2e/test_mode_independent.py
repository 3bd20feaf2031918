"""A unit on its own: it works under its own policy, and when it joins the group everything of it arrives."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from hanse.cli.connection import settings_of
from hanse.cli.desk import Desk
from hanse.cli.health import gather
from hanse.cli.schemas import migrate_all
from hanse.config import Mode
from hanse.local.group import Group
from hanse.names import HEADQUARTERS
from hanse.rpc.client import RemoteError, remote_errors
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from tests.e2e.scene import open_ticket, publish, until

OSLO = "units/oslo"

STANDARDS = """
title: Standards of seconds
categories:
  - {{id: display, titles: {{en: Displays}}, skill: display}}
calendars:
  - {{id: always, time_zone: Etc/UTC, shifts: [{{days: MON-SUN, start: "00:00", end: "24:00"}}]}}
units:
  {others}
  - {{unit: units/oslo, title: Oslo, calendar: always, languages: [nb, en], skills: [display]}}
targets:
  - {{id: every, response: 5s, resolution: 20s, warn_percents: [5]}}
ladder:
  - {{at_percent: 10, action: CLIMB}}
  - {{at_percent: 20, action: REQUEST_ENGAGEMENT}}
routing: {{eligible: "true", score: 0 - load, offer_timeout: 15m, rounds: 1, final_owner: {owner}}}
rates:
  - {{id: every, amount: 900 NOK}}
"""
OWN = STANDARDS.format(others="", owner=OSLO)
HQ_PROFILE = "- {unit: units/hq, title: Headquarters, calendar: always, languages: [en], skills: [display]}"
GROUPS = STANDARDS.format(others=HQ_PROFILE, owner=HEADQUARTERS)


async def steps(desk: Desk, name: str) -> list[str]:
    request = rpc.ListTimelineEntriesRequest(parent=name, page_size=100)
    return [entry.type for entry in (await desk.tickets.ListTimelineEntries(request)).entries]


async def work_alone(folder: Path) -> str:
    """Live through a ticket's ladder without a link; return the ticket."""
    async with Desk(settings_of(folder, OSLO), "hansen") as desk:
        assert (await publish(desk, OWN)).name == "policies/own-1"
        name = await open_ticket(desk, title="Skjermen flimrer", language="nb")

        async def climbed_twice() -> bool:
            return (await steps(desk, name)).count("TicketEscalated") == 2

        await until(climbed_twice, "the rung that asks for help climbs instead")
        request = rpc.RequestEngagementRequest(parent=name, request_id=str(uuid4()))
        with pytest.raises(RemoteError) as refused, remote_errors():
            await desk.engagements.RequestEngagement(request)
        assert refused.value.reason == "NOBODY_TO_ASK"
        ticket = await desk.tickets.GetTicket(rpc.GetTicketRequest(name=name))
        assert (ticket.tier, ticket.holder) == (3, OSLO)
        assert "SlaWarned" in await steps(desk, name)
        [_, oslo] = await gather(folder, verify=True)
        assert (oslo.green, bool(oslo.verified_records), oslo.lag_up) == (True, True, 0)
    return name


async def join(folder: Path, name: str) -> None:
    """See everything arrive at headquarters, and the group's policy come into force."""
    async with (
        Desk(settings_of(folder, HEADQUARTERS), "lindqvist") as headquarters,
        Desk(settings_of(folder, OSLO), "hansen") as desk,
    ):
        await publish(headquarters, GROUPS)

        async def arrived() -> bool:
            reply = await headquarters.group.ListGroupTickets(group_pb2.ListGroupTicketsRequest(parent=OSLO))
            return [each.ticket.name for each in reply.tickets] == [name]

        await until(arrived, "headquarters has the ticket that was opened before the unit joined")

        async def green() -> bool:
            healths = await gather(folder, verify=True)
            return all(health.green and health.policy_version == 1 for health in healths)

        await until(green, "the group's policy is in force and every chain verifies at both ends")
        request = rpc.RequestEngagementRequest(parent=name, request_id=str(uuid4()))
        asked = await desk.engagements.RequestEngagement(request)
        assert asked.state == pb.REQUESTED


async def test_an_independent_unit_works_alone_and_sends_everything_when_it_joins(tmp_path: Path) -> None:
    async with Group(tmp_path, [OSLO], migrate_all, lambda _text: None, {OSLO: Mode.INDEPENDENT}):
        name = await work_alone(tmp_path)
    async with Group(tmp_path, [OSLO], migrate_all, lambda _text: None):
        await join(tmp_path, name)
