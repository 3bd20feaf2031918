"""What a unit may be asked about its own end of the link."""

from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.log.follow import read_cursor, read_head
from hanse.names import downstream_name
from hanse_federation.frames import stream_head
from hanse_federation.model import LINK_FOLLOWER, LOG, End, LinkState
from hanse_federation.sending import upstream_sources
from hanse_federation.status import is_up
from hanse_protos.federation.v1 import group_pb2 as pb


def get_link(session: Session, unit: str) -> pb.Link:
    """Return whether the link is up, and how far each stream has come."""
    row = session.get(LinkState, (End.AGENT, unit))
    downstream = downstream_name(unit)
    link = pb.Link(
        unit=unit,
        connected=is_up(row, utc_now()),
        received=stream_head(downstream, read_head(session, LOG, downstream)),
        streams=[
            pb.LinkStream(
                stream=source.stream,
                sequence=read_head(session, source.log, source.stream).sequence,
                acknowledged=read_cursor(session, LOG, LINK_FOLLOWER, source.stream).sequence,
            )
            for source in upstream_sources(unit)
        ],
    )
    if row:
        link.change_time.FromDatetime(row.change_time)
        link.last_error, link.reconnects = row.last_error, max(0, row.connections - 1)
    return link
