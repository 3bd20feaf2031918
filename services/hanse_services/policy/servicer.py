"""The policy service over gRPC."""

from hanse.config import Mode
from hanse.policy.lint import lint
from hanse.rpc.call import cause_of
from hanse.rpc.interceptor import Context
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.work import CommandExecutor
from hanse_protos.policy.v1 import policy_pb2 as pb
from hanse_protos.policy.v1 import policy_pb2_grpc as rpc
from hanse_services.policy import queries
from hanse_services.policy.commands import publish_own_policy, publish_policy

SERVICE = pb.DESCRIPTOR.services_by_name["PolicyService"].full_name


class PolicyServicer(rpc.PolicyServiceServicer):
    """Publishes the policy at headquarters and in an independent unit, and shows it in every unit."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._database = runtime.database
        self._executor = executor
        self._publish = publish_own_policy if runtime.settings.mode is Mode.INDEPENDENT else publish_policy

    async def LintPolicy(self, request: pb.LintPolicyRequest, context: Context) -> pb.LintPolicyResponse:
        return pb.LintPolicyResponse(problems=lint(request.document))

    async def PublishPolicy(self, request: pb.PublishPolicyRequest, context: Context) -> pb.Policy:
        return await self._executor.execute(self._publish, request, cause_of(request), pb.Policy)

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Context) -> pb.Policy:
        return await self._database.read(queries.get_policy, request)

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: Context) -> pb.ListPoliciesResponse:
        return await self._database.read(queries.list_policies, request)


def served(runtime: Runtime, executor: CommandExecutor) -> list[Served]:
    """Return what a unit's server serves of this service."""
    return [Served(SERVICE, rpc.add_PolicyServiceServicer_to_server, PolicyServicer(runtime, executor))]
