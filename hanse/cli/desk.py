"""Somebody at a unit: the stubs of the unit's services, called with that person's token."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from hanse.config import Settings
from hanse.identity import Role, TokenSigner
from hanse.rpc.client import fixed_token, open_channel
from hanse_protos.federation.v1 import (
    complaints_pb2_grpc,
    group_pb2_grpc,
    membership_pb2_grpc,
    recovery_pb2_grpc,
    what_if_pb2_grpc,
)
from hanse_protos.gateway.v1 import gateway_pb2_grpc
from hanse_protos.knowledge.v1 import knowledge_pb2_grpc
from hanse_protos.log.v1 import log_pb2_grpc
from hanse_protos.policy.v1 import draft_pb2_grpc, policy_pb2_grpc, tuning_pb2_grpc
from hanse_protos.settlement.v1 import settlement_pb2_grpc
from hanse_protos.telling.v1 import dead_letters_pb2_grpc
from hanse_protos.ticket.v1 import (
    attainment_pb2_grpc,
    complaint_pb2_grpc,
    escalation_pb2_grpc,
    queue_pb2_grpc,
    repair_pb2_grpc,
    service_pb2_grpc,
    team_pb2_grpc,
)
from hanse_protos.waiting.v1 import processes_pb2_grpc

TOKEN_LIFETIME = timedelta(hours=8)
"""A shift."""
EVERYTHING = frozenset(set(Role) - {Role.SYSTEM, Role.PARTNER})
"""What the owner of an embedded group may do: all that people may."""


class Desk:
    """Somebody at a unit. Also an async context manager."""

    def __init__(self, settings: Settings, person: str, roles: Iterable[Role] = EVERYTHING) -> None:
        """Sign the person in with the unit's own key, which only the unit's own machine has."""
        self.unit = settings.unit
        self.actor = f"{settings.unit}/agents/{person}"
        signer = TokenSigner(settings.folder / "token.key", settings.unit)
        token = fixed_token(signer.mint(self.actor, roles, TOKEN_LIFETIME))
        channel: Any = open_channel(settings.serve_address, settings.tls.authority, token)
        self._channel = channel
        self.tickets: Any = service_pb2_grpc.TicketServiceStub(channel)
        self.queue: Any = queue_pb2_grpc.QueueServiceStub(channel)
        self.attainment: Any = attainment_pb2_grpc.AttainmentServiceStub(channel)
        self.repairs: Any = repair_pb2_grpc.RepairServiceStub(channel)
        self.customers: Any = service_pb2_grpc.CustomerServiceStub(channel)
        self.engagements: Any = service_pb2_grpc.EngagementServiceStub(channel)
        self.teams: Any = team_pb2_grpc.TeamServiceStub(channel)
        self.escalations: Any = escalation_pb2_grpc.EscalationServiceStub(channel)
        self.complaints: Any = complaint_pb2_grpc.ComplaintServiceStub(channel)
        self.knowledge: Any = knowledge_pb2_grpc.KnowledgeServiceStub(channel)
        self.settlement: Any = settlement_pb2_grpc.SettlementServiceStub(channel)
        self.policies: Any = policy_pb2_grpc.PolicyServiceStub(channel)
        self.policy_drafts: Any = draft_pb2_grpc.PolicyDraftServiceStub(channel)
        self.policy_tuning: Any = tuning_pb2_grpc.PolicyTuningServiceStub(channel)
        self.logs: Any = log_pb2_grpc.LogServiceStub(channel)
        self.dead_letters: Any = dead_letters_pb2_grpc.DeadLetterServiceStub(channel)
        self.link: Any = group_pb2_grpc.LinkServiceStub(channel)
        self.streams: Any = recovery_pb2_grpc.StreamServiceStub(channel)
        self.group: Any = group_pb2_grpc.GroupServiceStub(channel)
        self.group_complaints: Any = complaints_pb2_grpc.GroupComplaintServiceStub(channel)
        self.routing: Any = group_pb2_grpc.RoutingServiceStub(channel)
        self.what_if: Any = what_if_pb2_grpc.WhatIfServiceStub(channel)
        self.members: Any = membership_pb2_grpc.MembershipServiceStub(channel)
        self.processes: Any = processes_pb2_grpc.ProcessServiceStub(channel)
        self.partners: Any = gateway_pb2_grpc.PartnerAdminServiceStub(channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()


class PartnerSystem:
    """A partner's system at a unit's gateway, with its API key."""

    def __init__(self, settings: Settings, api_key: str) -> None:
        channel: Any = open_channel(settings.gateway_address, settings.tls.authority, headers={"x-api-key": api_key})
        self._channel = channel
        self.service: Any = gateway_pb2_grpc.PartnerServiceStub(channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()
