"""What leaves a unit: deny by default, field by field, by the policy that is in force in the unit.

An event itself holds no free text and no person, and always travels. Its sealed fields hold the text, and stay, unless
a sharing rule grants the field of this kind of event to somebody. What is withheld is still proved: the event keeps
the digest, so the chain verifies everywhere.

Whom a grant reaches:

| Audience | leaves the unit | headquarters passes it on to |
|---|---|---|
| COUNTERPART | on an engagement, or on a ticket that another unit works on | the other side |
| GROUP | always; of an article, where its own scope is the group or the public | every unit that the event goes to |
| HEADQUARTERS | always | nobody |

Where no policy is in force nothing is granted. A policy that takes a grant back holds for what is sent from then on.

Which unit the other side is, the home unit says by the fact itself (`counterpart_of`): a comment is for the unit that
it knows as the holder of the ticket, a step of an engagement for the provider that it names. If that unit has it no
more when the fact comes to headquarters, since headquarters has given the engagement to another one meanwhile, nobody
gets the text: it was not written for the next provider. That one begins with the request's texts, as the one before it
did, and the home unit tells it what else it should know.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from hanse.log.events import payload_of, short_type
from hanse.names import home_of
from hanse.policy.standards import Standards
from hanse.policy.store import PolicyStore
from hanse_federation.link.sending import Row, Share
from hanse_protos.knowledge.v1 import knowledge_pb2 as knowledge
from hanse_protos.log.v1.log_pb2 import Event, SealedField, SealedFields
from hanse_protos.policy.v1.policy_pb2 import SharingRule
from hanse_protos.ticket.v1.events_pb2 import SlaBreached, SlaWarned, TicketCommented
from hanse_protos.ticket.v1.ticket_pb2 import Clock, EngagementSummary

COUNTERPART, GROUP = SharingRule.COUNTERPART, SharingRule.GROUP
ENGAGEMENTS = "/engagements/"
ARTICLES = "/articles/"
SHARED_SCOPES = frozenset({knowledge.GROUP, knowledge.PUBLIC})
"""The scopes in which an article is for other units too."""


def sharing(policies: PolicyStore) -> Callable[[Session], Share]:
    """Return what chooses, by the policy in force, the sealed fields that leave the unit."""

    @lru_cache(maxsize=2)
    def by(standards: Standards) -> Share:
        return lambda row: granted(standards, row)

    def choose(session: Session) -> Share:
        standards = policies.current_or_none(session)
        return by(standards) if standards else _nothing

    return choose


def _nothing(_row: Row) -> Sequence[SealedField]:
    return ()


def granted(standards: Standards, row: Row) -> Sequence[SealedField]:
    """Return the sealed fields of a record that leave the unit under a policy."""
    event_type = short_type(row["type"])
    if not standards.shares(event_type):
        return ()
    reached = {audience for audience, is_reached in _REACHED.items() if is_reached(row)}
    fields = SealedFields.FromString(row["sealed"]).fields
    return [field for field in fields if not reached.isdisjoint(standards.grants(event_type, field.field))]


def _is_for_the_group(row: Row) -> bool:
    """Whether an event goes to the group at all: an article may be for its own unit only."""
    if ARTICLES not in row["resource"]:
        return True
    payload: Any = payload_of(Event.FromString(row["event"]))
    return payload is not None and payload.article.scope in SHARED_SCOPES


def _has_counterpart(row: Row) -> bool:
    if ENGAGEMENTS in row["resource"]:
        return True
    # The only text on a ticket itself that reaches the other side is a comment.
    if row["type"] != TicketCommented.DESCRIPTOR.full_name:
        return False
    event = Event.FromString(row["event"])
    return bool(counterpart_of(event.unit, payload_of(event)))


def counterpart_of(writer: str, payload: Any) -> str:
    """Return the unit on the other side that a fact is for, texts and all; an empty string where it is for none.

    A home unit's comment is for who holds the ticket, as far as home knows, and a clock on a provider's agreement for
    that provider; a step of an engagement is for the provider that the home unit names in it, or for the home unit.
    What a unit says of another unit's ticket is for nobody.
    """
    engagement = getattr(payload, "engagement", None)
    if isinstance(engagement, EngagementSummary):
        home = home_of(engagement.name)
        return engagement.provider if writer == home else home
    if isinstance(payload, TicketCommented):
        concerned = payload.ticket.holder
    elif isinstance(payload, SlaWarned | SlaBreached) and payload.kind == Clock.ENGAGEMENT_WORK:
        concerned = payload.party
    else:
        return ""
    return concerned if home_of(payload.ticket.name) == writer != concerned else ""


_REACHED: dict[SharingRule.Audience.ValueType, Callable[[Row], bool]] = {
    SharingRule.HEADQUARTERS: lambda row: True,
    COUNTERPART: _has_counterpart,
    GROUP: _is_for_the_group,
}
"""Whether a record that leaves its unit comes to an audience of a grant."""


def passed_on(
    standards: Standards | None, event_type: str, fields: Iterable[SealedField], *, to_counterpart: bool
) -> list[SealedField]:
    """Return which of the sealed fields that reached headquarters go on to a unit."""
    if standards is None:
        return []
    reach = {COUNTERPART, GROUP} if to_counterpart else {GROUP}
    return [field for field in fields if standards.grants(short_type(event_type), field.field) & reach]
