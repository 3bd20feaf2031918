"""The policy service over gRPC."""

import asyncio
from typing import Any

from google.protobuf.message import Message

from hanse.config import Mode
from hanse.rpc.call import cause_of
from hanse.rpc.interceptor import Context
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.work import Command, CommandExecutor
from hanse_protos.policy.v1 import draft_pb2 as draft_pb
from hanse_protos.policy.v1 import draft_pb2_grpc as draft_rpc
from hanse_protos.policy.v1 import policy_pb2 as pb
from hanse_protos.policy.v1 import policy_pb2_grpc as rpc
from hanse_protos.policy.v1 import tuning_pb2 as tuning_pb
from hanse_protos.policy.v1 import tuning_pb2_grpc as tuning_rpc
from hanse_services.policy import drafting, queries
from hanse_services.policy.commands import publish_own_policy, publish_policy
from hanse_services.policy.tuning import tune_policy

DRAFT_SERVICE = draft_pb.DESCRIPTOR.services_by_name["PolicyDraftService"].full_name
TUNING_SERVICE = tuning_pb.DESCRIPTOR.services_by_name["PolicyTuningService"].full_name
SERVICE = pb.DESCRIPTOR.services_by_name["PolicyService"].full_name


class PolicyServicer(rpc.PolicyServiceServicer):
    """Publishes the policy at headquarters and in an independent unit, and shows it in every unit."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._database = runtime.database
        self._executor = executor
        self._publish = publish_own_policy if runtime.settings.mode is Mode.INDEPENDENT else publish_policy

    async def LintPolicy(self, request: pb.LintPolicyRequest, context: Context) -> pb.LintPolicyResponse:
        # Trying conditions out may take seconds, in which other rpcs are answered.
        return await asyncio.to_thread(queries.lint_policy, request)

    async def PublishPolicy(self, request: pb.PublishPolicyRequest, context: Context) -> pb.Policy:
        return await self._executor.execute(self._publish, request, cause_of(request), pb.Policy)

    async def GetPolicy(self, request: pb.GetPolicyRequest, context: Context) -> pb.Policy:
        return await self._database.read(queries.get_policy, self._executor.policies, request)

    async def ListPolicies(self, request: pb.ListPoliciesRequest, context: Context) -> pb.ListPoliciesResponse:
        return await self._database.read(queries.list_policies, request)


class PolicyDraftServicer(draft_rpc.PolicyDraftServiceServicer):
    """Writes the next version, at headquarters."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._database = runtime.database
        self._executor = executor

    async def _execute(self, command: Command[Any, draft_pb.PolicyDraft], request: Message) -> draft_pb.PolicyDraft:
        return await self._executor.execute(command, request, cause_of(request), draft_pb.PolicyDraft)

    async def CreatePolicyDraft(
        self, request: draft_pb.CreatePolicyDraftRequest, context: Context
    ) -> draft_pb.PolicyDraft:
        return await self._execute(drafting.create_policy_draft, request)

    async def UpdatePolicyDraft(
        self, request: draft_pb.UpdatePolicyDraftRequest, context: Context
    ) -> draft_pb.PolicyDraft:
        return await self._execute(drafting.update_policy_draft, request)

    async def SubmitPolicyDraft(
        self, request: draft_pb.SubmitPolicyDraftRequest, context: Context
    ) -> draft_pb.PolicyDraft:
        return await self._execute(drafting.submit_policy_draft, request)

    async def ApprovePolicyDraft(
        self, request: draft_pb.ApprovePolicyDraftRequest, context: Context
    ) -> draft_pb.PolicyDraft:
        return await self._execute(drafting.approve_policy_draft, request)

    async def ReturnPolicyDraft(
        self, request: draft_pb.ReturnPolicyDraftRequest, context: Context
    ) -> draft_pb.PolicyDraft:
        return await self._execute(drafting.return_policy_draft, request)

    async def PublishPolicyDraft(
        self, request: draft_pb.PublishPolicyDraftRequest, context: Context
    ) -> draft_pb.PolicyDraft:
        return await self._execute(drafting.publish_policy_draft, request)

    async def WithdrawPolicyDraft(
        self, request: draft_pb.WithdrawPolicyDraftRequest, context: Context
    ) -> draft_pb.PolicyDraft:
        return await self._execute(drafting.withdraw_policy_draft, request)

    async def GetPolicyDraft(self, request: draft_pb.GetPolicyDraftRequest, context: Context) -> draft_pb.PolicyDraft:
        return await self._database.read(queries.get_policy_draft, request)

    async def ListPolicyDrafts(
        self, request: draft_pb.ListPolicyDraftsRequest, context: Context
    ) -> draft_pb.ListPolicyDraftsResponse:
        return await self._database.read(queries.list_policy_drafts, request)


class PolicyTuningServicer(tuning_rpc.PolicyTuningServiceServicer):
    """Changes the policy for one unit, within the policy's bounds."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._database = runtime.database
        self._executor = executor

    async def TunePolicy(self, request: tuning_pb.TunePolicyRequest, context: Context) -> tuning_pb.PolicyOverride:
        return await self._executor.execute(tune_policy, request, cause_of(request), tuning_pb.PolicyOverride)

    async def GetPolicyOverride(
        self, request: tuning_pb.GetPolicyOverrideRequest, context: Context
    ) -> tuning_pb.PolicyOverride:
        return await self._database.read(queries.get_policy_override, self._executor.policies, request)

    async def ListPolicyOverrides(
        self, request: tuning_pb.ListPolicyOverridesRequest, context: Context
    ) -> tuning_pb.ListPolicyOverridesResponse:
        return await self._database.read(queries.list_policy_overrides, self._executor.policies, request)


def served(runtime: Runtime, executor: CommandExecutor) -> list[Served]:
    """Return what a unit's server serves of this service."""
    drafts, tuning = PolicyDraftServicer(runtime, executor), PolicyTuningServicer(runtime, executor)
    return [
        Served(SERVICE, rpc.add_PolicyServiceServicer_to_server, PolicyServicer(runtime, executor)),
        Served(TUNING_SERVICE, tuning_rpc.add_PolicyTuningServiceServicer_to_server, tuning),
        Served(DRAFT_SERVICE, draft_rpc.add_PolicyDraftServiceServicer_to_server, drafts),
    ]
