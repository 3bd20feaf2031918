"""What people type at both ends of a link, in processes of their own: `hanse stream`, `hanse link`, and what
headquarters reads and decides about the units' tickets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from hanse.times import timestamp
from hanse_federation.model import SCHEMA
from hanse_federation.servicer import served
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.escalation_pb2 import Escalation
from tests.integration.command_line import CommandLine
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary, summary
from tests.integration.hanse_federation.test_promises import clock
from tests.integration.hanse_federation.test_quarantine import TICKETS
from tests.integration.hanse_federation.test_recovery import compared, healed, proposed, restored
from tests.integration.hanse_federation.test_routing import NAME, TICKET, answer, offer, sharing_policy
from tests.support import OCCUR_TIME, MakeExecutor, Serve


@dataclass(frozen=True)
class Ends:
    """Both ends of Munich's link, each with its command line."""

    munich: Unit
    here: CommandLine
    headquarters: CommandLine


@pytest.fixture
async def ends(munich: Unit, make_executor: MakeExecutor, serve: Serve, tmp_path: Path) -> Ends:
    """Munich and headquarters, served."""
    for runtime in (munich.runtime, munich.hq):
        await serve(runtime, served(runtime, make_executor(runtime, SCHEMA)))
    return Ends(munich, CommandLine(munich.runtime, tmp_path), CommandLine(munich.hq, tmp_path))


async def test_a_person_finds_a_quarantine_and_ends_it_by_what_each_command_says(ends: Ends) -> None:
    await restored(ends.munich, lost=4, since=1)
    await compared(ends.munich.runtime, TICKETS)
    listed = await ends.here.run("stream", "list", "--unit", "munich")
    assert all(word in listed.printed for word in (TICKETS, "LOG_FORK", "1/7", "1/3", "start-epoch"))
    shown = await ends.here.run("link", "--unit", "munich")
    assert (shown.status, "QUARANTINED" in shown.printed) == (1, True)
    started = await ends.here.run("stream", "start-epoch", TICKETS, "--unit", "munich")
    assert f"epoch 2 of {TICKETS} follows 1/3, with 1 record taken along" in started.printed
    await proposed(ends.munich.hq, TICKETS)
    accepted = await ends.headquarters.run("stream", "accept-epoch", TICKETS)
    assert f"{TICKETS} goes on after 1/3, without 4 records that its writer has lost" in accepted.printed
    await healed(ends.munich, TICKETS)
    orphans = await ends.headquarters.run("stream", "orphans", TICKETS)
    assert ["units/munich/tickets/t4" in line for line in orphans.printed.splitlines()].count(True) == 1
    assert "none" in (await ends.here.run("stream", "list", "--unit", "munich")).printed


async def test_a_person_gets_a_streams_records_back(ends: Ends) -> None:
    await restored(ends.munich, lost=2)
    await compared(ends.munich.runtime, TICKETS)
    reseeded = await ends.here.run("stream", "reseed", TICKETS, "--unit", "munich")
    assert f"{TICKETS} has 2 records back" in reseeded.printed
    assert all(name in reseeded.printed for name in ("units/munich/tickets/t4", "units/munich/tickets/t5", "restored"))
    await healed(ends.munich, TICKETS)
    refused = await ends.here.run("stream", "release", TICKETS, "--unit", "munich")
    assert (refused.status, "not in quarantine" in refused.complained) == (1, True)


async def test_a_link_is_a_row_for_each_stream_or_json_with_the_contracts_names(ends: Ends) -> None:
    await ends.munich.open_tickets(3)
    await ends.munich.caught_up()
    shown = await ends.headquarters.run("link")
    rows = {line.split()[1]: line.split() for line in shown.printed.splitlines()[2:] if line.startswith("munich")}
    assert set(rows) == {"policy", "ticket", "knowledge", "settlement", "to-munich"}
    assert (shown.status, rows["ticket"][2:4], rows["ticket"][-1]) == (0, ["takes", "1/3"], "OK")
    [report] = json.loads((await ends.here.run("link", "--unit", "munich", "--json")).printed)["links"]
    streams = {stream["stream"]: stream for stream in report["streams"]}
    assert (report["health"], streams[TICKETS]["sent"], streams[TICKETS]["position"]["sequence"]) == ("OK", True, "3")


async def test_headquarters_reads_what_the_units_tell_of_their_tickets_and_decides(
    group: Group, ends: Ends, shanghai: Unit
) -> None:
    for unit in (shanghai, ends.munich):
        await unit.enact(sharing_policy())
    await group.enact(sharing_policy())
    [nobody] = await ends.headquarters.run_all(("ticket", "returning"))
    escalation = await told_of_a_ticket(shanghai)
    await offer(group)
    await answer(ends.munich, told.EngagementAccepted, 1, pb.ACCEPTED)
    at = ("--unit", "hq", "--as", "ada")
    listed, seen, empty, returning, counted, by_service, moved, unknown = await ends.headquarters.run_all(
        ("escalation", "list", *at),
        ("escalation", "acknowledge", escalation, *at),
        ("escalation", "list", *at),
        ("ticket", "returning"),
        ("attainment", "--everywhere"),
        ("attainment", "--everywhere", "--by", "service", "--json"),
        ("engagement", "reassign", NAME, "no news", *at),
        ("engagement", "reassign", f"{TICKET}/engagements/e9", "no news", *at),
    )
    assert nobody.printed.strip() == "No ticket has come back to a unit that had given it away"
    assert listed.printed.splitlines()[2].split()[:5] == [escalation, "headquarters", "resolution", "at", "150"]
    assert seen.printed.strip() == f"{escalation}: seen by ada (hq)"
    assert empty.printed.strip() == "Escalations at hq: none"
    assert [line.split() for line in returning.printed.splitlines()[:3]] == [
        ["1", "return", "of", "1", "ticket"],
        ["ticket", "returns", "units"],
        [TICKET, "1", "munich,", "shanghai"],
    ]
    assert counted.printed.splitlines()[2].split()[:5] == ["shanghai", "resolution", "1", "0", "100.0"]
    assert json.loads(by_service.printed)["total"]["met"] == "1"
    assert moved.printed.strip() == f"{NAME}: offer 2 goes to hq"
    assert (unknown.status, "RESOURCE_NOT_FOUND" in unknown.complained) == (1, True)


async def told_of_a_ticket(shanghai: Unit) -> str:
    """Let Shanghai tell of a ticket that came back once, kept its promise, and needs a provider; it was escalated."""
    after = summary(TICKET, clocks=[clock(4, state=pb.Clock.MET)])
    escalation = Escalation(
        name=f"{TICKET}/escalations/1", ticket=TICKET, level=HierarchyStep.HEADQUARTERS, kind=pb.Clock.RESOLUTION,
        percent=150, raise_time=timestamp(OCCUR_TIME),
    )  # fmt: skip
    units = (shanghai.name, "units/munich", shanghai.name)
    await shanghai.tell(
        *(
            (TICKET, told.TicketHandedOver(ticket=after, from_unit=before, to_unit=later))
            for before, later in pairwise(units)
        ),
        (NAME, told.EngagementRequested(engagement=engagement_summary(NAME))),
        (TICKET, told.TicketAssigned(ticket=after)),
        (escalation.name, told.TicketEscalationRaised(ticket=after, escalation=escalation)),
    )
    await shanghai.caught_up()
    return escalation.name
