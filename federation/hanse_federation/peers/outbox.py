"""What of a unit's own facts concerns which peer: the streams to the peers, made from the ticket log."""

from collections.abc import Iterator
from contextlib import aclosing
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import MetaData, select
from sqlalchemy.orm import Session

from hanse.database import DATABASE_ERRORS
from hanse.erasing import is_erased
from hanse.log.append import Entry, append
from hanse.log.events import payload_of
from hanse.log.follow import StoredRecord, last_position, read_after, read_cursor, save_cursor
from hanse.log.tables import LogTables
from hanse.names import stream_name, stream_to
from hanse.policy.standards import Standards
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse.times import instant
from hanse_federation.link.copying import pack_sealed
from hanse_federation.link.problems import in_words
from hanse_federation.model import LOG, SCHEMA
from hanse_federation.sharing import counterpart_of, passed_on
from hanse_protos.log.v1.log_pb2 import SealedFields
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.ticket_pb2 import EngagementSummary

FOLLOWER = "peers"
"""In the federation's cursors: how far the ticket log has been looked through for what concerns peers."""
BATCH_RECORDS = 500
"""Records in a transaction, at most: few of them concern a peer."""

TICKET_LOG = LogTables(MetaData(schema="ticket"))

logger = structlog.get_logger(__name__)


class Outbox:
    """Follows the ticket log until cancelled."""

    def __init__(self, runtime: Runtime) -> None:
        self._unit = runtime.unit
        self._peers = frozenset(runtime.settings.peers)
        self._database = runtime.database
        self._wakeup = runtime.wakeup
        self._policies = PolicyStore(SCHEMA)

    async def run(self) -> None:
        """Look at what is new whenever something was appended. While the database is away the cursor waits."""
        async with aclosing(self._wakeup.ticks([stream_name(self._unit, "ticket")])) as ticks:
            async for _ in ticks:
                try:
                    while await self._database.write(self.take_batch) == BATCH_RECORDS:
                        pass
                except DATABASE_ERRORS as error:
                    logger.warning("the outbox to the peers waits", problem=in_words(error))

    def take_batch(self, session: Session) -> int:
        """Append what of the next records concerns peers to their streams; return how many records there were."""
        stream = stream_name(self._unit, "ticket")
        after = read_cursor(session, LOG, FOLLOWER, stream)
        records = read_after(session, TICKET_LOG, stream, after, BATCH_RECORDS)
        if not records:
            return 0
        if self._policies.current_version(session):
            self._append(session, self._policies.current(session), records)
        save_cursor(session, LOG, FOLLOWER, stream, last_position(records))
        return len(records)

    def _append(self, session: Session, standards: Standards, records: list[StoredRecord]) -> None:
        peers = self._peers & standards.peers_of(self._unit)
        entries: dict[str, list[Entry]] = {}
        for record in records:
            payload: Any = payload_of(record.decoded())
            peer = concerned_peer(self._unit, payload)
            if peer in peers:
                if isinstance(payload, told.EngagementOffered):
                    entries.setdefault(peer, []).extend(_requests_of(session, standards, record))
                entries.setdefault(peer, []).append(_entry_of(session, standards, record))
        for peer in sorted(entries):
            append(session, LOG, stream_to(self._unit, peer), entries[peer])


def concerned_peer(unit: str, payload: Any) -> str:
    """Return the unit that a fact of `unit` concerns directly, or an empty string.

    What concerns whom is decided as at headquarters; but of engagements only those go directly that the home unit has
    offered to a peer itself.
    """
    engagement = getattr(payload, "engagement", None)
    if isinstance(engagement, EngagementSummary) and not engagement.peer:
        return ""
    return counterpart_of(unit, payload)


def _requests_of(session: Session, standards: Standards, offered: StoredRecord) -> Iterator[Entry]:
    """Yield the request that an offer belongs to: the peer has to know it first, and knows it by its id if it does."""
    columns = TICKET_LOG.record.c
    query = select(
        columns.stream, columns.epoch, columns.sequence, columns.hash,
        columns.type, columns.resource, columns.event, columns.sealed,
    ).where(
        columns.stream == offered.stream,
        columns.resource == offered.resource,
        columns.type == told.EngagementRequested.DESCRIPTOR.full_name,
    )  # fmt: skip
    for row in session.execute(query):
        yield _entry_of(session, standards, StoredRecord(*row))


def _entry_of(session: Session, standards: Standards, record: StoredRecord) -> Entry:
    """Return a record with the texts that the policy grants to the other side; none of an erased ticket's."""
    event = record.decoded()
    kept = record.sealed if record.sealed and not is_erased(session, SCHEMA, record.resource) else None
    fields = SealedFields.FromString(kept).fields if kept else ()
    granted = passed_on(standards, record.type, fields, to_counterpart=True)
    occur_time, sealed = instant(event.occur_time), pack_sealed(granted)
    return Entry(UUID(event.event_id), record.resource, record.type, occur_time, record.event, sealed)
