"""A complaint from its filing to its end, each command as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanse.cli.roles import services_of
from hanse.cli.schemas import PACKAGES
from hanse.identity import Role
from hanse.migrations import service_migrations
from hanse.names import HEADQUARTERS
from hanse.policy.store import PolicyStore
from hanse_protos.ticket.v1 import complaint_pb2, ticket_pb2
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1.complaint_pb2_grpc import ComplaintServiceStub
from hanse_protos.ticket.v1.service_pb2_grpc import TicketServiceStub
from hanse_services.ticket.model import SCHEMA
from tests.integration.command_line import CommandLine
from tests.support import Caller, MakeRuntime, Serve, small_policy

FILED, KEPT = "0b5f1f0a-5f0e-4c0e-9c63-3a1c2f8d7e11", "0b5f1f0a-5f0e-4c0e-9c63-3a1c2f8d7e12"


async def file(caller: Caller) -> str:
    """Open a ticket at headquarters' desk, which is one like any other, and complain about it."""
    person = caller.channel(Role.AGENT)
    noun = ticket_pb2.Ticket(title="Screen stays dark", category="display", priority=ticket_pb2.P3)
    request = rpc.CreateTicketRequest(parent=HEADQUARTERS, ticket=noun, request_id=FILED)
    ticket = await TicketServiceStub(person).CreateTicket(request)
    complaint = complaint_pb2.CreateComplaintRequest(parent=ticket.name, text="Nobody called", request_id=KEPT)
    name: str = (await ComplaintServiceStub(person).CreateComplaint(complaint)).name
    return name


@pytest.fixture
async def commands_and_name(make_runtime: MakeRuntime, serve: Serve, tmp_path: Path) -> tuple[CommandLine, str]:
    runtime = make_runtime(HEADQUARTERS, *(service_migrations(package) for package in PACKAGES))
    await runtime.database.write(PolicyStore(SCHEMA).enact, small_policy())
    name = await file(await serve(runtime, services_of(runtime)))
    return CommandLine(runtime, tmp_path), name


async def test_a_complaint_goes_through_its_life(commands_and_name: tuple[CommandLine, str]) -> None:
    commands, name = commands_and_name
    at = ("--unit", "hq", "--as", "wang")
    early, _, noted, answered, shown, rejected, above, counted, listed, _, ended = await commands.run_all(
        ("complaint", "answer", name, "Sorry", "--outcome", "upheld", *at),
        ("complaint", "acknowledge", name, *at),
        ("complaint", "note", name, "It was never scheduled", *at),
        ("complaint", "answer", name, "We call today", "--outcome", "partly-upheld", *at),
        ("complaint", "show", name, *at),
        ("complaint", "reject", name, "Still nobody", *at),
        ("complaint", "escalate", name, "Beyond me", *at),
        ("attainment", "--complaints", *at),
        ("complaint", "list", "--everywhere", "--json", *at),
        ("complaint", "withdraw", name, *at),
        ("complaint", "close", name, *at),
    )
    assert (early.status, "ILLEGAL_TRANSITION" in early.complained) == (1, True)
    assert "looked into by units/hq/agents/wang" in noted.printed
    assert "partly upheld" in answered.printed
    assert all(word in shown.printed for word in ("Nobody called", "We call today", "noted something"))
    assert "open, with headquarters" in rejected.printed
    assert "nobody is above" in above.complained
    assert "unit manager" in counted.printed
    assert counted.printed.splitlines()[-1].split() == ["all", "1", "1", "–", "–", "1"]
    # What is everywhere comes over the link, and there is none here.
    assert listed.status == 0
    assert "Possible now: nothing, it is over." in ended.complained
