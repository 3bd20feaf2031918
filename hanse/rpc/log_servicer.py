"""The log service: shows and verifies the streams that a unit's database holds, whichever schema keeps them."""

from collections.abc import Sequence
from itertools import chain

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.database import Database
from hanse.errors import ResourceNotFound
from hanse.log.tables import LogTables
from hanse.log.verify import Verification, verify
from hanse.rpc.interceptor import Context
from hanse.rpc.server import Served
from hanse_protos.log.v1 import log_pb2 as pb
from hanse_protos.log.v1 import log_pb2_grpc as rpc

SERVICE = pb.DESCRIPTOR.services_by_name["LogService"].full_name


class LogServicer(rpc.LogServiceServicer):
    """Headquarters may hold a stream twice: its own desk's, and the copy that its hub received of it.

    Both are listed, and both are verified and shown: what is wrong with either is wrong with the stream.
    """

    def __init__(self, database: Database, logs: Sequence[LogTables]) -> None:
        self._database = database
        self._logs = logs

    async def ListStreams(self, request: pb.ListStreamsRequest, context: Context) -> pb.ListStreamsResponse:
        heads = [await self._database.read(_heads, log) for log in self._logs]
        return pb.ListStreamsResponse(streams=sorted(chain(*heads), key=lambda head: head.stream))

    async def VerifyStream(self, request: pb.VerifyStreamRequest, context: Context) -> pb.VerifyStreamResponse:
        found: dict[str, Verification] = {}
        for log in self._logs:
            if await self._database.read(_holds, log, request.stream):
                holder = log.schema or ""
                found[holder] = await self._database.read(verify, log, request.stream, request.end_sequence)
        if not found:
            raise ResourceNotFound(resource=request.stream)
        first = next(iter(found.values()))
        answer = _to_proto(request.stream, next((each for each in found.values() if not each.intact), first))
        answer.holders.extend(_holder(request.stream, *each) for each in found.items())
        return answer


def _heads(session: Session, log: LogTables) -> list[pb.StreamHead]:
    columns = log.head.c
    query = select(columns.stream, columns.epoch, columns.sequence, columns.hash, columns.append_time)
    return [pb.StreamHead(**row._mapping) for row in session.execute(query)]


def _holds(session: Session, log: LogTables, stream: str) -> bool:
    return session.scalar(select(log.head.c.stream).where(log.head.c.stream == stream)) is not None


def _holder(stream: str, schema: str, verification: Verification) -> pb.StreamHolder:
    shown = _to_proto(stream, verification)
    return pb.StreamHolder(
        schema=schema, intact=shown.intact, records=shown.records, head=shown.head, problem=shown.problem
    )


def _to_proto(stream: str, verification: Verification) -> pb.VerifyStreamResponse:
    head = verification.head
    return pb.VerifyStreamResponse(
        intact=verification.intact,
        records=verification.records,
        head=pb.StreamHead(stream=stream, epoch=head.epoch, sequence=head.sequence, hash=head.hash),
        problem=verification.problem,
    )


def served(database: Database, logs: Sequence[LogTables]) -> Served:
    """Return what a unit's server serves of its logs: the first holder of a stream is the one that is shown."""
    return Served(SERVICE, rpc.add_LogServiceServicer_to_server, LogServicer(database, logs))
