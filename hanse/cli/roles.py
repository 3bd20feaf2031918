"""Putting a unit's asyncio process together from its roles.

    serve      the gRPC services
    relay      the logs, to the broker
    work       Temporal: the worker, the starter, the reconciler
    federate   the unit's end of the link; at headquarters the hub too; in a peer also the
               lines to its peers; an independent unit has none of this
    gateway    the door for partner systems

The embedded default runs all of them in one process for each unit; production runs each as a Deployment of its own.
Reactions are nameko's and have a process of their own (`python -m hanse_services.react`).
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider

from hanse.config import Mode, Settings
from hanse.errors import UnitIndependent
from hanse.logs import configure_logging
from hanse.names import downstream_name, stream_name, stream_to
from hanse.pruning import Pruner
from hanse.rpc import dead_letter_servicer, log_servicer
from hanse.rpc.server import RpcServer, Served, by_token
from hanse.runtime import Runtime
from hanse.telemetry import grpc_exporter, grpc_metric_exporter, start_metrics, start_telemetry
from hanse.telling.dead_letters import Effects
from hanse.telling.relay import FollowedLog, Relay
from hanse.work import CommandExecutor
from hanse_federation import servicer as federation_servicer
from hanse_federation.effects import EFFECTS as FEDERATION_EFFECTS
from hanse_federation.headquarters.absorbing import PERFORMERS
from hanse_federation.link.agent import Agent
from hanse_federation.link.hub import Hub
from hanse_federation.link.metrics import LinkMetrics
from hanse_federation.membership.enrolling import Renewal
from hanse_federation.model import SCHEMA as FEDERATION
from hanse_federation.peers import Peering, PeerServer
from hanse_federation.recovery.reseeding import Restores
from hanse_gateway.model import SCHEMA as GATEWAY
from hanse_gateway.serving import admin_served, gateway_server
from hanse_services.knowledge import servicer as knowledge_servicer
from hanse_services.knowledge.effects import EFFECTS as KNOWLEDGE_EFFECTS
from hanse_services.knowledge.model import SCHEMA as KNOWLEDGE
from hanse_services.knowledge.restoring import RESTORES as KNOWLEDGE_RESTORES
from hanse_services.policy import servicer as policy_servicer
from hanse_services.policy.commands import EFFECTS as POLICY_EFFECTS
from hanse_services.policy.model import SCHEMA as POLICY
from hanse_services.policy.tuning import RESTORES as POLICY_RESTORES
from hanse_services.settlement import servicer as settlement_servicer
from hanse_services.settlement.commands import EFFECTS as SETTLEMENT_EFFECTS
from hanse_services.settlement.model import SCHEMA as SETTLEMENT
from hanse_services.settlement.restoring import RESTORES as SETTLEMENT_RESTORES
from hanse_services.subscriptions import SUBSCRIPTIONS
from hanse_services.ticket import servicer as ticket_servicer
from hanse_services.ticket.clocks.judging import judge
from hanse_services.ticket.effects import EFFECTS as TICKET_EFFECTS
from hanse_services.ticket.model import SCHEMA as TICKET
from hanse_services.ticket.restoring import RESTORES as TICKET_RESTORES
from hanse_workflows.handling import servicer as handling_servicer
from hanse_workflows.model import SCHEMA as WAITING
from hanse_workflows.worker import Waiting

METRIC_SHUTDOWN_MS = 2_000
"""How long the last export of metrics may take when a process ends: its collector may be away."""

SERVICES = (TICKET, KNOWLEDGE, SETTLEMENT, POLICY)
"""The schemas whose own streams leave the unit."""

EFFECTS: Mapping[str, Effects] = {
    TICKET.name: TICKET_EFFECTS,
    KNOWLEDGE.name: KNOWLEDGE_EFFECTS,
    SETTLEMENT.name: SETTLEMENT_EFFECTS,
    POLICY.name: POLICY_EFFECTS,
    FEDERATION.name: FEDERATION_EFFECTS,
}
"""What the reactions of each service do: a dead letter that is retried has just that effect."""


RESTORES: Restores = {
    TICKET.name: TICKET_RESTORES,
    KNOWLEDGE.name: KNOWLEDGE_RESTORES,
    SETTLEMENT.name: SETTLEMENT_RESTORES,
    POLICY.name: POLICY_RESTORES,
}
"""What comes back of each service's state with its events, when a unit is re-seeded from headquarters' copy."""


class Role(StrEnum):
    """What a process does for its unit."""

    SERVE = "serve"
    RELAY = "relay"
    WORK = "work"
    FEDERATE = "federate"
    GATEWAY = "gateway"


def services_of(runtime: Runtime) -> list[Served]:
    """Return every servicer of a unit's own address."""
    executors = {
        schema.name: CommandExecutor(runtime.database, schema, runtime.unit)
        for schema in (*SERVICES, FEDERATION, GATEWAY, WAITING)
    }
    logs = [schema.log for schema in (*SERVICES, FEDERATION)]
    return [
        *ticket_servicer.served(runtime, executors["ticket"]),
        *knowledge_servicer.served(runtime, executors["knowledge"]),
        *settlement_servicer.served(runtime, executors["settlement"]),
        *policy_servicer.served(runtime, executors["policy"]),
        *federation_servicer.served(runtime, executors["federation"], RESTORES, judge),
        *admin_served(runtime, executors["gateway"]),
        *handling_servicer.served(runtime, executors["waiting"]),
        log_servicer.served(runtime.database, logs),
        dead_letter_servicer.served(runtime.database, executors, EFFECTS, PERFORMERS),
    ]


def relay_of(runtime: Runtime) -> Relay:
    """Return the relay of a unit: its own services' streams, and what headquarters and its peers tell it."""
    followed = [FollowedLog(schema.log, stream_name(runtime.unit, schema.name), schema.name) for schema in SERVICES]
    told = [downstream_name(runtime.unit), *(stream_to(peer, runtime.unit) for peer in runtime.settings.peers)]
    followed += [FollowedLog(FEDERATION.log, stream, FEDERATION.name) for stream in told]
    return Relay(runtime.database, runtime.wakeup, runtime.settings.broker_url, followed, SUBSCRIPTIONS)


def spare_the_collector() -> None:
    """Keep what was imported out of the garbage collector's way, and let it run less often.

    Opening a batch of events makes many short-lived objects and no cycles; looking for cycles took half of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def roles_of(settings: Settings) -> list[Role]:
    """Return every role that a unit of this mode has."""
    return [role for role in Role if role is not Role.FEDERATE or settings.mode is not Mode.INDEPENDENT]


async def run(settings: Settings, roles: Sequence[Role]) -> None:
    """Run roles of a unit until SIGTERM or SIGINT."""
    spare_the_collector()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(settings, roles):
        await stop.wait()


@asynccontextmanager
async def running(settings: Settings, roles: Sequence[Role]) -> AsyncIterator[Runtime]:
    """Run roles of a unit for the length of a block. A role that fails ends the process: it is started again whole."""
    configure_logging(settings.log_level)
    runtime = Runtime(settings)
    start_telemetry(settings.unit, "-".join(roles), grpc_exporter(settings.otlp_endpoint))
    async with asyncio.TaskGroup() as group, AsyncExitStack() as stack:
        process = _Process(runtime, group, stack)
        stack.push_async_callback(runtime.close)
        process.run("wakeup", runtime.wakeup.run())
        for role in roles:
            await _START[role](process)
        yield runtime


class _Process:
    """What the roles of one process are started in."""

    def __init__(self, runtime: Runtime, group: asyncio.TaskGroup, stack: AsyncExitStack) -> None:
        self.runtime = runtime
        self._group = group
        self._stack = stack

    def run(self, name: str, part: Coroutine[Any, Any, None]) -> None:
        """Run a part that never ends by itself; where it fails, the process does."""
        task = self._group.create_task(part, name=name)
        self._stack.callback(task.cancel)

    def measure_links(self) -> None:
        """Export the metrics of the links, where an endpoint is configured."""
        if provider := self._metrics_of(Role.FEDERATE):
            meter = provider.get_meter("hanse")
            self.run("metrics", LinkMetrics(self.runtime.database, self.runtime.unit, meter).run())

    def measure_commands(self) -> None:
        """Export what is counted while commands are done and questions answered, where an endpoint is configured."""
        if provider := self._metrics_of(Role.SERVE):
            metrics.set_meter_provider(provider)

    def _metrics_of(self, role: Role) -> MeterProvider | None:
        settings = self.runtime.settings
        if not settings.otlp_endpoint:
            return None
        provider = start_metrics(settings.unit, role, grpc_metric_exporter(settings.otlp_endpoint))
        self._stack.callback(provider.shutdown, METRIC_SHUTDOWN_MS)
        return provider

    async def serve(self, server: Server) -> None:
        """Start a server, and stop it when the process ends."""
        await server.start()
        self._stack.push_async_callback(server.stop)


class Server(Protocol):
    """What listens."""

    async def start(self) -> None:
        """Start listening."""

    async def stop(self) -> None:
        """Stop, and let calls finish."""


async def _serve(process: _Process) -> None:
    process.measure_commands()
    runtime = process.runtime
    settings, verifier = runtime.settings, by_token(runtime.verifier)
    await process.serve(RpcServer(settings.serve_address, settings.tls, verifier, services_of(runtime)))
    retention = timedelta(hours=settings.request_retention_hours)
    process.run("pruner", Pruner(runtime.database, (*SERVICES, FEDERATION, GATEWAY, WAITING), retention).run())


async def _relay(process: _Process) -> None:
    process.run("relay", relay_of(process.runtime).run())


async def _work(process: _Process) -> None:
    received = FEDERATION.log if process.runtime.settings.is_headquarters else None
    process.run("work", Waiting(process.runtime, received).run())


async def _federate(process: _Process) -> None:
    settings = process.runtime.settings
    if settings.mode is Mode.INDEPENDENT:
        raise UnitIndependent(unit=settings.unit)
    if settings.is_headquarters:
        await process.serve(Hub(process.runtime))
    process.run("agent", Agent(process.runtime).run())
    if process.runtime.settings.renew_certificate:
        process.run("renewal", Renewal(process.runtime.settings).run())
    if settings.mode is Mode.PEER:
        await process.serve(PeerServer(process.runtime))
        process.run("peers", Peering(process.runtime).run())
    process.measure_links()


async def _gateway(process: _Process) -> None:
    await process.serve(gateway_server(process.runtime))


_START: dict[Role, Callable[[_Process], Awaitable[None]]] = {
    Role.SERVE: _serve,
    Role.RELAY: _relay,
    Role.WORK: _work,
    Role.FEDERATE: _federate,
    Role.GATEWAY: _gateway,
}
