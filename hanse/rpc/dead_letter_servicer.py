"""The dead letters of a unit's services over gRPC: one servicer for all of them."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from hanse.database import Database
from hanse.errors import PageTokenInvalid, ResourceNotFound
from hanse.rpc.call import cause_of
from hanse.rpc.interceptor import Context
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse.rpc.server import Served
from hanse.telling.dead_letters import DeadLetters, Effects, Performers, Place
from hanse.work import CommandExecutor
from hanse_protos.telling.v1 import dead_letters_pb2 as pb
from hanse_protos.telling.v1 import dead_letters_pb2_grpc as rpc

SERVICE = pb.DESCRIPTOR.services_by_name["DeadLetterService"].full_name
ALL_SERVICES = "-"
TOKEN_KINDS = (str, datetime, str, str)
"""The service, and the place of a letter in it: time, event, reaction."""


class DeadLetterServicer(rpc.DeadLetterServiceServicer):
    """Finds the service that a name is about, and asks its dead letters."""

    def __init__(
        self,
        database: Database,
        executors: Mapping[str, CommandExecutor],
        effects: Mapping[str, Effects],
        performers: Performers,
    ) -> None:
        self._database = database
        self._executors = executors
        self._letters = {
            service: DeadLetters(executors[service].schema, executors[service].unit, effects[service], performers)
            for service in sorted(effects)
        }

    async def ListDeadLetters(self, request: pb.ListDeadLettersRequest, context: Context) -> pb.ListDeadLettersResponse:
        first, after = _after(request.page_token)
        left, found = page_size(request.page_size), pb.ListDeadLettersResponse()
        for letters in self._asked(request.parent):
            if letters.service < first or left == 0:
                continue
            place = after if letters.service == first else None
            page, places = await self._database.read(letters.page, place, left, show_resolved=request.show_resolved)
            found.dead_letters.extend(page)
            left -= len(page)
            if left == 0:
                time, event_id, reaction = places[-1]
                found.next_page_token = encode_token(letters.service, time, str(event_id), reaction)
        return found

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: Context) -> pb.DeadLetter:
        return await self._database.read(self._of(request.name).get, request.name)

    async def RetryDeadLetter(self, request: pb.RetryDeadLetterRequest, context: Context) -> pb.DeadLetter:
        letters = self._of(request.name)
        executor = self._executors[letters.service]
        return await executor.execute(letters.retry, request, cause_of(request), pb.DeadLetter)

    async def DiscardDeadLetter(self, request: pb.DiscardDeadLetterRequest, context: Context) -> pb.DeadLetter:
        letters = self._of(request.name)
        executor = self._executors[letters.service]
        return await executor.execute(letters.discard, request, cause_of(request), pb.DeadLetter)

    def _asked(self, parent: str) -> list[DeadLetters]:
        """Return the services that a parent names. Raises ResourceNotFound."""
        if parent.endswith(f"/services/{ALL_SERVICES}"):
            asked = list(self._letters.values())
            if not parent.startswith(f"{asked[0].unit}/"):
                raise ResourceNotFound(resource=parent)
            return asked
        return [self._of(parent)]

    def _of(self, name: str) -> DeadLetters:
        """Return the dead letters that a name, or a parent, is about. Raises ResourceNotFound."""
        letters = self._letters.get(name.split("/")[3])
        if letters is None or not name.startswith(f"{letters.unit}/"):
            raise ResourceNotFound(resource=name)
        return letters


def _after(token: str) -> tuple[str, Place | None]:
    """Return the service and the place that a page token names. Raises PageTokenInvalid."""
    key = decode_token(token, TOKEN_KINDS)
    if key is None:
        return "", None
    service, time, event_id, reaction = key
    try:
        return service, (time, UUID(event_id), reaction)
    except ValueError as error:
        raise PageTokenInvalid from error


def served(
    database: Database,
    executors: Mapping[str, CommandExecutor],
    effects: Mapping[str, Effects],
    performers: Performers = MappingProxyType({}),
) -> Served:
    """Return what a unit's server serves of its dead letters; the first two mappings are by the service's name."""
    servicer = DeadLetterServicer(database, executors, effects, performers)
    return Served(SERVICE, rpc.add_DeadLetterServiceServicer_to_server, servicer)
