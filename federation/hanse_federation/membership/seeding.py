"""What a unit is told when it is admitted, so that one that comes late works like the others from its first minute.

It gets, in this order: every version of the policy, since open engagements and their charges refer to the version
under which they began; the list of void certificates; and every article that the group shares and that is not retired.
They are the very facts that the others got, with their bytes and event ids. A unit that comes back gets what was told
while it was away: what is in its stream already is not sent again.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hanse.authority import may_tell
from hanse.log.append import Entry
from hanse.log.events import readable_payload_of
from hanse.names import HEADQUARTERS, downstream_name, home_of, stream_name
from hanse_federation.model import LOG, ROUTING_STREAM
from hanse_federation.sharing import SHARED_SCOPES
from hanse_protos.federation.v1.membership_pb2 import UnitCertificatesRevoked
from hanse_protos.knowledge.v1 import knowledge_pb2 as knowledge
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.policy.v1.policy_pb2 import PolicyPublished

_columns = LOG.record.c
_record = select(
    _columns.event_id, _columns.resource, _columns.type, _columns.occur_time, _columns.event, _columns.sealed
)


def seed_of(session: Session, unit: str) -> list[Entry]:
    """Return what a unit has to be told at its admission, in order."""
    query = select(_columns.event_id).where(_columns.stream == downstream_name(unit))
    told = set(session.scalars(query))
    entries = [*_policies(session), *_newest_revocations(session), *_shared_articles(session, unit)]
    return [entry for entry in entries if entry.event_id not in told]


def _policies(session: Session) -> Iterator[Entry]:
    stream = stream_name(HEADQUARTERS, "policy")
    published = _record.where(_columns.stream == stream, _columns.type == _type(PolicyPublished))
    return _entries(session, published.order_by(_columns.epoch, _columns.sequence))


def _newest_revocations(session: Session) -> Iterator[Entry]:
    """Yield the last list of void certificates: it names all of them."""
    listed = _record.where(_columns.stream == ROUTING_STREAM, _columns.type == _type(UnitCertificatesRevoked))
    return _entries(session, listed.order_by(_columns.epoch.desc(), _columns.sequence.desc()).limit(1))


def _shared_articles(session: Session, unit: str) -> list[Entry]:
    """Return the last published version of every other unit's articles that is shared and not retired."""
    articles: dict[str, Entry] = {}
    changes = (_type(knowledge.ArticlePublished), _type(knowledge.ArticleRetired))
    query = _record.where(
        _columns.stream.like(stream_name("units/%", "knowledge")),
        _columns.type.in_(changes),
    ).order_by(_columns.stream, _columns.epoch, _columns.sequence)
    for entry in _entries(session, query):
        event = Event.FromString(entry.event)
        payload = readable_payload_of(event)
        if payload is None or home_of(entry.resource) == unit or not may_tell(event, payload):
            continue
        articles.pop(entry.resource, None)
        if isinstance(payload, knowledge.ArticlePublished) and payload.article.scope in SHARED_SCOPES:
            articles[entry.resource] = entry
    return list(articles.values())


def _entries(session: Session, query: "Select[Any]") -> Iterator[Entry]:
    for row in session.execute(query):
        yield Entry(*row)


def _type(payload: type[Message]) -> str:
    return payload.DESCRIPTOR.full_name
