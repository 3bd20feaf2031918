"""What the assembler of a process takes from the gateway."""

from hanse.rpc.server import RpcServer, Served
from hanse.runtime import Runtime
from hanse.work import CommandExecutor
from hanse_gateway.partner.authentication import ApiKeys
from hanse_gateway.partner.complaints import Complaints
from hanse_gateway.partner.desk import Desk
from hanse_gateway.partner.events import EventStreams
from hanse_gateway.partner.servicer import PartnerAdminServicer, PartnerServicer
from hanse_protos.gateway.v1 import gateway_pb2_grpc as stubs

PARTNER_SERVICE = "hanse_protos.gateway.v1.PartnerService"
PARTNER_ADMIN_SERVICE = "hanse_protos.gateway.v1.PartnerAdminService"


class GatewayServer(RpcServer):
    """The server for partners, with its own channel to the unit's services."""

    def __init__(self, runtime: Runtime) -> None:
        self._channel = runtime.channel("gateway")
        keys = ApiKeys(runtime.database, runtime.unit)
        desk = Desk(self._channel, runtime.unit)
        self._streams = EventStreams(desk, runtime.wakeup)
        servicer = PartnerServicer(desk, Complaints(self._channel, runtime.unit), self._streams, keys)
        served = Served(PARTNER_SERVICE, stubs.add_PartnerServiceServicer_to_server, servicer)
        super().__init__(runtime.settings.gateway_address, runtime.settings.tls, keys, [served])

    async def stop(self) -> None:
        """End the streams, which would not end by themselves; let calls finish; close the channel."""
        self._streams.close()
        await super().stop()
        await self._channel.close()


def gateway_server(runtime: Runtime) -> GatewayServer:
    """Return the server for partners, to be started. `runtime.wakeup.run()` has to run beside it, to wake streams."""
    return GatewayServer(runtime)


def admin_served(runtime: Runtime, executor: CommandExecutor) -> list[Served]:
    """Return the servicer that admits partners, for the unit's own server; `executor` is of the gateway's schema."""
    servicer = PartnerAdminServicer(runtime.database, executor)
    return [Served(PARTNER_ADMIN_SERVICE, stubs.add_PartnerAdminServiceServicer_to_server, servicer)]
