"""The counter for units over gRPC: at headquarters' services, which ask for no client certificate, and at the hub."""

import time
from collections import OrderedDict

from hanse.errors import TooManyTries
from hanse.identity import UnitCertificate, peer_certificate
from hanse.rpc.interceptor import Context
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.telemetry import current_traceparent
from hanse.work import Cause, CommandExecutor
from hanse_federation.membership.counter import Signing, enrolling, leaving, renewing
from hanse_federation.membership.listing import listing_revocations
from hanse_federation.model import SCHEMA
from hanse_protos.federation.v1 import enrolment_pb2 as pb
from hanse_protos.federation.v1 import enrolment_pb2_grpc as rpc
from hanse_protos.federation.v1 import membership_pb2 as members

SERVICE = pb.DESCRIPTOR.services_by_name["EnrolmentService"].full_name

MAX_TRIES = 10
"""How often one address may try an invitation in a window: a person with the right one needs one try."""
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 1_000
"""How many addresses are remembered, the latest: some 100 kB. Forgetting one early costs its tries, nothing else."""


class Throttle:
    """Counts the tries of each address, so that nobody keeps the database busy with guesses."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, address: str) -> None:
        """Count a try. Raises TooManyTries."""
        now = time.monotonic()
        begin, tries = self._tries.pop(address, (now, 0))
        if now - begin > WINDOW_SECONDS:
            begin, tries = now, 0
        self._tries[address] = (begin, tries + 1)
        if len(self._tries) > MAX_ADDRESSES:
            self._tries.popitem(last=False)
        if tries >= MAX_TRIES:
            raise TooManyTries


class EnrolmentServicer(rpc.EnrolmentServiceServicer):
    """Serves units that come, stay and go."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._executor = executor
        self._signing = Signing(runtime.settings)
        self._throttle = Throttle()

    async def GetAuthority(self, request: pb.GetAuthorityRequest, context: Context) -> pb.Authority:
        return pb.Authority(certificate=self._signing.authority.certificate_path.read_bytes())

    async def EnrolUnit(self, request: pb.EnrolUnitRequest, context: Context) -> pb.IssuedCertificate:
        self._throttle.count(_host_of(context.peer()))
        # The bearer of an invitation is the unit that it invites; the command checks that it is one.
        cause = _cause(f"{request.unit}/services/{SCHEMA.name}", request.request_id)
        command = listing_revocations(enrolling(self._signing), self._signing)
        return await self._executor.execute(command, request, cause, pb.IssuedCertificate)

    async def RenewCertificate(self, request: pb.RenewCertificateRequest, context: Context) -> pb.IssuedCertificate:
        certificate = _shown(context)
        cause = _cause(f"{certificate.unit}/services/{SCHEMA.name}", request.request_id)
        command = renewing(self._signing, certificate)
        return await self._executor.execute(command, request, cause, pb.IssuedCertificate)

    async def LeaveGroup(self, request: pb.LeaveGroupRequest, context: Context) -> members.Member:
        certificate = _shown(context)
        # Whose word it is inside the unit is the unit's own matter: the certificate vouches for the unit.
        cause = _cause(f"{certificate.unit}/agents/{request.person}", request.request_id)
        command = listing_revocations(leaving(certificate), self._signing)
        return await self._executor.execute(command, request, cause, members.Member)


def _shown(context: Context) -> UnitCertificate:
    return peer_certificate(context.auth_context())


def _cause(actor: str, request_id: str) -> Cause:
    return Cause(actor, request_id, current_traceparent())


def _host_of(peer: str) -> str:
    """Return "ipv4:192.0.2.1" for "ipv4:192.0.2.1:50000", as gRPC names a peer."""
    return peer.rsplit(":", 1)[0]


def served(runtime: Runtime, executor: CommandExecutor) -> Served:
    """Return the counter, for either of headquarters' servers."""
    return Served(SERVICE, rpc.add_EnrolmentServiceServicer_to_server, EnrolmentServicer(runtime, executor))
