"""`ProcessService`: gRPC in; rows, Temporal and the services out."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import grpc
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from hanse.errors import (
    HanseError,
    NothingToSkip,
    PageTokenInvalid,
    ProcessNotNeeded,
    ResourceNotFound,
    TemporalUnavailable,
    Unavailable,
)
from hanse.names import HEADQUARTERS
from hanse.rpc.call import cause_of, current_caller
from hanse.rpc.client import RemoteError, remote_errors
from hanse.rpc.interceptor import Context
from hanse.rpc.paging import page_size
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.temporal import connect
from hanse.times import put_time
from hanse.work import Command, CommandExecutor
from hanse_protos.waiting.v1 import processes_pb2 as pb
from hanse_protos.waiting.v1 import processes_pb2_grpc as stubs
from hanse_workflows.handling import interventions
from hanse_workflows.handling.kinds import KINDS, Kind, split_id
from hanse_workflows.handling.looking import list_running, look_at
from hanse_workflows.open_work import Needed
from hanse_workflows.processes import ESCALATION, Process, Processes

SERVICE = pb.DESCRIPTOR.services_by_name["ProcessService"].full_name

NO_PROCESS = "There is a process only while something is due. `hanse workflow list` shows those that there are."

TEMPORAL_SECONDS = 8.0
"""How long Temporal may take for what a call wants of it: it has to be known before the caller's own ten seconds end
(`hanse.rpc.client`). Temporal's client would try again for up to ten seconds by itself while nobody answers."""

_PASSED_ON: dict[str, type[HanseError]] = {error.reason: error for error in (NothingToSkip, ResourceNotFound)}
"""What a service refuses that the caller can act on."""


class ProcessServicer(stubs.ProcessServiceServicer):
    """Shows a unit's processes, and does to them what a person wants."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._runtime = runtime
        self._executor = executor
        self._client: Client | None = None
        self._kinds: dict[str, Kind] = {}

    async def ListProcesses(self, request: pb.ListProcessesRequest, context: Context) -> pb.ListProcessesResponse:
        if request.parent != self._runtime.unit:
            raise ResourceNotFound(resource=request.parent)
        kinds = [split_id(f"{request.kind}:")[0]] if request.kind else list(KINDS)
        paused = await self._runtime.database.read(interventions.all_paused)
        async with _temporal_errors():
            client = await self._temporal()
            running, token = await list_running(
                client, kinds, page_size(request.page_size), _decoded(request.page_token)
            )
        held = {process.id for process in paused}
        shown = [process for process in paused if _kind_of(process) in kinds and not request.page_token]
        shown += [process for process in running if process.id not in held]
        return pb.ListProcessesResponse(
            processes=map(_named, shown), next_page_token=base64.urlsafe_b64encode(token).decode()
        )

    async def GetProcess(self, request: pb.GetProcessRequest, context: Context) -> pb.Process:
        self._found(request.id)
        return await self._shown(request.id)

    async def PauseProcess(self, request: pb.PauseProcessRequest, context: Context) -> pb.Process:
        kind, process = self._found(request.id)
        if not await self._is_paused(request.id):
            await _needed(kind, process)
        await self._note(interventions.pause, request)
        async with _temporal_errors():
            await Processes(await self._temporal(), self._runtime.unit).end(process, "paused")
        return await self._shown(request.id)

    async def ResumeProcess(self, request: pb.ResumeProcessRequest, context: Context) -> pb.Process:
        kind, process = self._found(request.id)
        await self._note(interventions.resume, request)
        with _service_errors():
            needed = await kind.needed(process)
        if needed:
            async with _temporal_errors():
                await Processes(await self._temporal(), self._runtime.unit).replace(process, needed.begin_time)
        return await self._shown(request.id)

    async def SkipProcessStep(self, request: pb.SkipProcessStepRequest, context: Context) -> pb.Process:
        kind, process = self._found(request.id)
        with _service_errors():
            step = await kind.skip(process, request, current_caller().actor)
        await self._note(interventions.skipping(step), request)
        with _service_errors():
            needed = await kind.needed(process)
        # Whoever follows the service's log moves the process too, a moment later.
        if needed and not await self._is_paused(request.id):
            async with _temporal_errors():
                await Processes(await self._temporal(), self._runtime.unit).wake(process, needed.begin_time)
        return await self._shown(request.id)

    async def RetryProcess(self, request: pb.RetryProcessRequest, context: Context) -> pb.Process:
        kind, process = self._found(request.id)
        await _needed(kind, process)
        await self._note(interventions.retry, request)
        async with _temporal_errors():
            await Processes(await self._temporal(), self._runtime.unit).replace(process)
        return await self._shown(request.id)

    def _found(self, process_id: str) -> tuple[Kind, Process]:
        """Return a process with its kind, whether it runs or not. Raises ResourceNotFound."""
        name, resource = split_id(process_id)
        if name == ESCALATION and self._runtime.unit != HEADQUARTERS:
            raise ResourceNotFound(resource=process_id, hint="Headquarters looks for providers: ask there, --unit hq.")
        if name not in self._kinds:
            self._kinds[name] = KINDS[name](self._runtime.channel("handling"))
        kind = self._kinds[name]
        return kind, kind.process_of(resource)

    async def _note(self, command: Command[Any, pb.Process], request: Any) -> None:
        await self._executor.execute(command, request, cause_of(request), pb.Process)

    async def _is_paused(self, process_id: str) -> bool:
        return bool(await self._runtime.database.read(interventions.paused_among, [process_id]))

    async def _shown(self, process_id: str) -> pb.Process:
        """Return a process as it is now, with all that was done to it. Raises ResourceNotFound, TemporalUnavailable."""
        done = await self._runtime.database.read(interventions.interventions_of, process_id)
        if await self._is_paused(process_id):
            process = pb.Process(id=process_id, state=pb.PAUSED)
        else:
            process = await self._seen(process_id, was_handled=bool(done))
        process.interventions.extend(done)
        put_time(process.next_due_time, await _next_due_time(*self._found(process_id)))
        return _named(process)

    async def _seen(self, process_id: str, *, was_handled: bool) -> pb.Process:
        async with _temporal_errors():
            try:
                return await look_at(await self._temporal(), process_id)
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    raise
        if not was_handled:
            raise ResourceNotFound(resource=process_id, hint=NO_PROCESS)
        return pb.Process(id=process_id, state=pb.ENDED)

    async def _temporal(self) -> Client:
        """Return a client, connected when it is needed first: a unit serves without Temporal."""
        if self._client is None:
            self._client = await connect(self._runtime.settings, identity=f"{self._runtime.unit}/services/handling")
        return self._client


async def _next_due_time(kind: Kind, process: Process) -> datetime | None:
    """Return when something is due next; nothing where the service does not say."""
    try:
        with remote_errors():
            needed = await kind.needed(process)
    except RemoteError:
        return None
    return needed.due_time if needed else None


async def _needed(kind: Kind, process: Process) -> Needed:
    """Return from when on a process is needed. Raises ProcessNotNeeded, Unavailable."""
    with _service_errors():
        needed = await kind.needed(process)
    if needed is None:
        raise ProcessNotNeeded(process=process.id)
    return needed


def _named(process: pb.Process) -> pb.Process:
    """Say of a process what its id says."""
    process.kind, _, process.resource = process.id.partition(":")
    return process


def _kind_of(process: pb.Process) -> str:
    return process.id.partition(":")[0]


def _decoded(page_token: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(page_token)
    except (binascii.Error, ValueError) as error:
        raise PageTokenInvalid from error


@asynccontextmanager
async def _temporal_errors() -> AsyncIterator[None]:
    """Turn what Temporal's client raises into an error of ours, and give it no longer than a caller waits."""
    try:
        async with asyncio.timeout(TEMPORAL_SECONDS):
            yield
    except (RPCError, RuntimeError, TimeoutError) as error:
        # Temporal's client reports a refused connection as a plain RuntimeError.
        if isinstance(error, RPCError) and error.status == RPCStatusCode.INVALID_ARGUMENT:
            raise PageTokenInvalid from error
        raise TemporalUnavailable from error


@contextmanager
def _service_errors() -> Iterator[None]:
    """Turn what a service of this unit refuses into an error of ours."""
    try:
        with remote_errors():
            yield
    except RemoteError as error:
        if error.reason in _PASSED_ON:
            raise _PASSED_ON[error.reason](resource=error.metadata.get("resource", "")) from error
        if error.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise Unavailable from error
        raise


def served(runtime: Runtime, executor: CommandExecutor) -> list[Served]:
    """Return the servicer for the unit's own server; `executor` is of waiting's schema."""
    servicer = ProcessServicer(runtime, executor)
    return [Served(SERVICE, stubs.add_ProcessServiceServicer_to_server, servicer)]
