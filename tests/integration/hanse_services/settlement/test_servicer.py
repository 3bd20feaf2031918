"""The ledger over real gRPC: who may read it, page by page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from hanse.identity import Role
from hanse.rpc.client import RemoteError, remote_errors
from hanse.runtime import Runtime
from hanse_protos.settlement.v1 import settlement_pb2 as pb
from hanse_protos.settlement.v1.settlement_pb2_grpc import SettlementServiceStub
from hanse_services.settlement.model import SCHEMA
from hanse_services.settlement.servicer import served
from tests.support import Caller, MakeExecutor, Serve

SHANGHAI = "units/shanghai"
CHARGE = "charges/shanghai.a.e1"

REQUESTS = [
    ("GetCharge", pb.GetChargeRequest(name=CHARGE)),
    ("ListCharges", pb.ListChargesRequest(parent=SHANGHAI)),
    ("ListLedgerEntries", pb.ListLedgerEntriesRequest(parent=SHANGHAI)),
    ("GetStatement", pb.GetStatementRequest(parent=SHANGHAI)),
]
FOREIGN_REQUESTS = [
    ("GetCharge", pb.GetChargeRequest(name="charges/munich.b.e1")),
    ("ListCharges", pb.ListChargesRequest(parent="units/munich")),
    ("ListLedgerEntries", pb.ListLedgerEntriesRequest(parent="units/munich")),
    ("GetStatement", pb.GetStatementRequest(parent="units/munich")),
]


@pytest.fixture
async def shanghai(open_ledger: Callable[[str], Awaitable[Runtime]], confirm: Callable[..., Any]) -> Runtime:
    """Shanghai's ledger with three charges, the last posted for ticket "c"."""
    runtime = await open_ledger(SHANGHAI)
    for ticket in ("a", "b", "c"):
        await confirm(runtime, ticket)
    return runtime


@pytest.fixture
async def caller(shanghai: Runtime, make_executor: MakeExecutor, serve: Serve) -> Caller:
    """Whoever calls Shanghai's settlement service."""
    return await serve(shanghai, served(shanghai, make_executor(shanghai, SCHEMA)))


async def refusal(call: Awaitable[object]) -> RemoteError:
    with pytest.raises(RemoteError) as caught, remote_errors():
        await call
    return caught.value


@pytest.mark.parametrize(("rpc", "request_"), REQUESTS)
async def test_a_controller_reads_the_ledger(rpc: str, request_: Any, caller: Caller) -> None:
    service = SettlementServiceStub(caller.channel(Role.CONTROLLER))
    assert await getattr(service, rpc)(request_)


@pytest.mark.parametrize("role", [Role.AGENT, Role.PARTNER, Role.STANDARDS])
@pytest.mark.parametrize(("rpc", "request_"), REQUESTS)
async def test_an_agent_does_not(rpc: str, request_: Any, role: Role, caller: Caller) -> None:
    error = await refusal(getattr(SettlementServiceStub(caller.channel(role)), rpc)(request_))
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


@pytest.mark.parametrize(("rpc", "request_"), REQUESTS)
async def test_nobody_reads_it_without_a_token(rpc: str, request_: Any, caller: Caller) -> None:
    error = await refusal(getattr(SettlementServiceStub(caller.channel_with(None)), rpc)(request_))
    assert error.reason == "TOKEN_MISSING"


@pytest.mark.parametrize(("rpc", "request_"), FOREIGN_REQUESTS)
async def test_another_units_ledger_is_not_here(rpc: str, request_: Any, caller: Caller) -> None:
    error = await refusal(getattr(SettlementServiceStub(caller.channel(Role.CONTROLLER)), rpc)(request_))
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_a_name_that_is_no_charges_is_invalid(caller: Caller) -> None:
    service = SettlementServiceStub(caller.channel(Role.CONTROLLER))
    assert (await refusal(service.GetCharge(pb.GetChargeRequest(name="charges/1")))).reason == "VALIDATION_FAILED"


async def test_charges_are_listed_page_by_page_the_last_posted_first(caller: Caller) -> None:
    service = SettlementServiceStub(caller.channel(Role.CONTROLLER))
    first = await service.ListCharges(pb.ListChargesRequest(parent=SHANGHAI, page_size=2))
    request = pb.ListChargesRequest(parent=SHANGHAI, page_size=2, page_token=first.next_page_token)
    second = await service.ListCharges(request)
    names = [charge.name for charge in (*first.charges, *second.charges)]
    assert names == [f"charges/shanghai.{ticket}.e1" for ticket in "cba"]
    assert second.next_page_token == ""


async def test_entries_are_listed_page_by_page_also_where_a_page_ends_within_a_journal(caller: Caller) -> None:
    service = SettlementServiceStub(caller.channel(Role.CONTROLLER))
    request = pb.ListLedgerEntriesRequest(parent=SHANGHAI, page_size=1)
    entries: list[pb.LedgerEntry] = []
    while True:
        page = await service.ListLedgerEntries(request)
        entries += page.entries
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    expected = [(f"charges/shanghai.{ticket}.e1", side) for ticket in "cba" for side in ("debit", "credit")]
    assert [(entry.charge, "debit" if entry.HasField("debit") else "credit") for entry in entries] == expected
