"""The ledger over gRPC. It is only read here: what is posted follows from what others tell."""

from hanse.rpc.interceptor import Context
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.work import CommandExecutor
from hanse_protos.settlement.v1 import settlement_pb2 as pb
from hanse_protos.settlement.v1 import settlement_pb2_grpc as rpc
from hanse_services.settlement import queries

SERVICE = pb.DESCRIPTOR.services_by_name["SettlementService"].full_name


class SettlementServicer(rpc.SettlementServiceServicer):
    """The ledger of one unit."""

    def __init__(self, runtime: Runtime) -> None:
        self._unit = runtime.unit
        self._database = runtime.database

    async def GetCharge(self, request: pb.GetChargeRequest, context: Context) -> pb.Charge:
        return await self._database.read(queries.get_charge, request)

    async def ListCharges(self, request: pb.ListChargesRequest, context: Context) -> pb.ListChargesResponse:
        return await self._database.read(queries.list_charges, self._unit, request)

    async def ListLedgerEntries(
        self, request: pb.ListLedgerEntriesRequest, context: Context
    ) -> pb.ListLedgerEntriesResponse:
        return await self._database.read(queries.list_ledger_entries, self._unit, request)

    async def GetStatement(self, request: pb.GetStatementRequest, context: Context) -> pb.Statement:
        return await self._database.read(queries.get_statement, self._unit, request)


def served(runtime: Runtime, executor: CommandExecutor) -> list[Served]:
    """Return what a unit's server serves of this service. It takes no commands, so it needs no executor."""
    return [Served(SERVICE, rpc.add_SettlementServiceServicer_to_server, SettlementServicer(runtime))]
