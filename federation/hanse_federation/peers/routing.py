"""When a home unit asks its peers itself: headquarters is out of reach, and does not know of the request."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import structlog
from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.database import DATABASE_ERRORS
from hanse.engagement_states import SEEKING
from hanse.log.follow import read_cursor
from hanse.names import ANY_TICKET, home_of, stream_name
from hanse.runtime import Runtime
from hanse_federation.link.problems import in_words
from hanse_federation.link.status import is_up
from hanse_federation.model import LINK_FOLLOWER, LOG, End, LinkState
from hanse_federation.peers.outbox import TICKET_LOG
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.events_pb2 import EngagementRequested
from hanse_protos.ticket.v1.service_pb2_grpc import EngagementServiceStub

if TYPE_CHECKING:
    from hanse_protos.ticket.v1.service_pb2_grpc import EngagementServiceAsyncStub

PAGE_SIZE = 500
REPEAT_SECONDS = 30.0
"""After how long a request that found nobody is tried again though nothing has changed: loads may have."""

Attempt = tuple[str, tuple[str, ...]]
"""The etag of an engagement, and the peers that could be reached."""

logger = structlog.get_logger(__name__)


class PeerRouting:
    """Looks again and again for engagements that wait, and has the unit's own desk offer them."""

    def __init__(
        self, runtime: Runtime, reachable: Callable[[], list[str]], *, look_seconds: float, patience_seconds: float
    ) -> None:
        self._unit = runtime.unit
        self._database = runtime.database
        self._runtime = runtime
        self._reachable = reachable
        self._look_seconds = look_seconds
        self._patience = timedelta(seconds=patience_seconds)
        self._attempts: dict[str, tuple[Attempt, float]] = {}

    async def run(self) -> None:
        """Look until cancelled. While the desk or the database does not answer, this waits."""
        async with self._runtime.channel("peering") as channel:
            desk = EngagementServiceStub(channel)
            while True:
                try:
                    await self._look(desk)
                except (grpc.RpcError, *DATABASE_ERRORS) as error:
                    logger.warning("routing to the peers waits", problem=in_words(error))
                await asyncio.sleep(self._look_seconds)

    async def _look(self, desk: "EngagementServiceAsyncStub") -> None:
        unknown = await self._database.read(self._unknown_to_headquarters)
        peers = tuple(self._reachable()) if unknown else ()
        async for engagement in self._seeking(desk):
            if engagement.peer and engagement.state == pb.OFFERED:
                if engagement.offer_expire_time.ToDatetime(UTC) > utc_now():
                    continue
            elif not peers or engagement.name not in unknown or (engagement.offer and not engagement.peer):
                continue
            if self._is_worth_trying(engagement, peers):
                asked = peers if engagement.name in unknown else ()
                request = rpc.OfferToPeerRequest(name=engagement.name, peers=asked, request_id=str(uuid4()))
                await desk.OfferToPeer(request)

    def _is_worth_trying(self, engagement: pb.Engagement, peers: tuple[str, ...]) -> bool:
        """Return whether something has changed since the last try, or some time has passed."""
        attempt, now = (engagement.etag, peers), time.monotonic()
        last, tried_at = self._attempts.get(engagement.name, (None, 0.0))
        if last == attempt and now - tried_at < REPEAT_SECONDS:
            return False
        self._attempts[engagement.name] = (attempt, now)
        return True

    async def _seeking(self, desk: "EngagementServiceAsyncStub") -> AsyncIterator[pb.Engagement]:
        """Yield the unit's own engagements that look for a provider, and forget the tries of all others."""
        request = rpc.ListEngagementsRequest(parent=ANY_TICKET, states=SEEKING, page_size=PAGE_SIZE)
        found = set()
        while True:
            page = await desk.ListEngagements(request)
            for engagement in page.engagements:
                if home_of(engagement.name) == self._unit:
                    found.add(engagement.name)
                    yield engagement
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        self._attempts = {name: tried for name, tried in self._attempts.items() if name in found}

    def _unknown_to_headquarters(self, session: Session) -> set[str]:
        """Return the requests that headquarters has not acknowledged, once it has been out of reach for some time."""
        link, now = session.get(LinkState, (End.AGENT, self._unit)), utc_now()
        if link is None or is_up(link, now) or now - link.change_time < self._patience:
            return set()
        stream, columns = stream_name(self._unit, "ticket"), TICKET_LOG.record.c
        acknowledged = read_cursor(session, LOG, LINK_FOLLOWER, stream)
        query = select(columns.resource).where(
            columns.stream == stream,
            tuple_(columns.epoch, columns.sequence) > tuple_(acknowledged.epoch, acknowledged.sequence),
            columns.type == EngagementRequested.DESCRIPTOR.full_name,
        )
        return set(session.scalars(query))
