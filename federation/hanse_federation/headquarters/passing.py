"""What headquarters keeps of the texts that it passes from one side of an engagement to the other: nothing, for long.

A text that is granted to the counterpart only is at headquarters because every line ends there, not because anybody
there should read it. So it is kept for as long as passing it on needs it, and then taken from beside its event:

| Text | Needed until |
|---|---|
| of a fact that goes to the other side at once, or to nobody | the transaction that passes it on |
| of the request for an engagement, which each candidate is sent with its offer | nobody looks for a provider any more |
| in the stream to a unit | the unit has acknowledged it |

What is granted to headquarters or the group besides stays. The stream to headquarters' own desk stays as it is: there
headquarters is the counterpart. Events and chains stay whole; only the texts go.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import ARRAY, Text, any_, bindparam, select, tuple_, update
from sqlalchemy.orm import Session

from hanse.engagement_states import SEEKING
from hanse.log.append import Head
from hanse.log.events import short_type
from hanse.log.follow import read_cursor
from hanse.names import HEADQUARTERS, downstream_name, stream_name
from hanse.policy.store import PolicyStore
from hanse_federation.headquarters.engagements import BEGINNINGS, STEPS
from hanse_federation.link.copying import pack_sealed
from hanse_federation.link.receiving import Arrival
from hanse_federation.model import LINK_FOLLOWER, LOG, GroupEngagement
from hanse_federation.sharing import COUNTERPART
from hanse_protos.log.v1.log_pb2 import SealedField, SealedFields
from hanse_protos.ticket.v1 import events_pb2 as told

SETTLING = STEPS - BEGINNINGS
"""The facts after which nobody may look for a provider any more."""
PASSED_ON: frozenset[type[Message]] = SETTLING | {told.TicketCommented}
"""The facts that go from one side of an engagement to the other as they come."""
BETWEEN_UNITS = [payload.DESCRIPTOR.full_name for payload in PASSED_ON | BEGINNINGS]
"""Everything that carries texts from one side to the other, by full names."""
_ASKED = told.EngagementRequested.DESCRIPTOR.full_name

_record = LOG.record.c
_KEEP = (
    update(LOG.record)
    .where(
        _record.stream == bindparam("of_stream"),
        _record.epoch == bindparam("of_epoch"),
        _record.sequence == bindparam("of_sequence"),
    )
    .values(sealed=bindparam("kept"))
)


class Passing:
    """Forgets texts under the policy in force at headquarters."""

    def __init__(self, session: Session, policies: PolicyStore) -> None:
        self._session = session
        self._policies = policies

    def forget(self, facts: Sequence[Arrival]) -> None:
        """Take from the copies what these facts no longer need there: call it when they are stored and passed on."""
        self._keep([*self._of_facts(facts), *self._of_requests(facts)])

    def forget_texts_of(self, facts: Iterable[Arrival]) -> None:
        """Take from the copies the texts of facts that were not passed on: what is kept of them has its own."""
        self._keep([*self._of_facts(facts)])

    def _keep(self, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            self._session.connection().execute(_KEEP, rows)

    def _of_facts(self, facts: Iterable[Arrival]) -> Iterable[dict[str, Any]]:
        for fact in facts:
            if fact.sealed and type(fact.payload) in PASSED_ON:
                stream = stream_name(fact.event.unit, "ticket")
                yield from self._row(stream, fact.epoch, fact.sequence, fact.event.type, fact.sealed)

    def _of_requests(self, facts: Iterable[Arrival]) -> Iterable[dict[str, Any]]:
        """Yield the requests for those of the facts' engagements that nobody looks for a provider for any more."""
        payloads: list[Any] = [fact.payload for fact in facts if type(fact.payload) in SETTLING]
        if not payloads:
            return
        named = bindparam("named", [payload.engagement.name for payload in payloads], ARRAY(Text))
        settled = select(GroupEngagement.name).where(
            GroupEngagement.name == any_(named), GroupEngagement.state.not_in(SEEKING)
        )
        requests = select(_record.stream, _record.epoch, _record.sequence, _record.type, _record.sealed).where(
            _record.resource.in_(settled), _record.type == _ASKED, _record.sealed.is_not(None),
            _record.stream.endswith("/streams/ticket"),
        )  # fmt: skip
        for row in self._session.execute(requests).all():
            yield from self._row(*row[:4], SealedFields.FromString(row.sealed).fields)

    def _row(
        self, stream: str, epoch: int, sequence: int, event_type: str, sealed: Sequence[SealedField]
    ) -> Iterable[dict[str, Any]]:
        kept = [field for field in sealed if self._is_for_headquarters(event_type, field.field)]
        if len(kept) < len(sealed):
            place = {"of_stream": stream, "of_epoch": epoch, "of_sequence": sequence}
            yield {**place, "kept": pack_sealed(kept)}

    def _is_for_headquarters(self, event_type: str, field: str) -> bool:
        standards = self._policies.current_or_none(self._session)
        return bool(standards and standards.grants(short_type(event_type), field) - {COUNTERPART})


def forget_arrived(session: Session, stream: str, acknowledged: Head) -> None:
    """Take the texts between units out of the stream to a unit, as far as that has newly acknowledged it."""
    if stream == downstream_name(HEADQUARTERS):
        return
    before = read_cursor(session, LOG, LINK_FOLLOWER, stream)
    until = (acknowledged.epoch, acknowledged.sequence)
    if tuple(before) >= until:
        return
    place = tuple_(_record.epoch, _record.sequence)
    session.execute(
        update(LOG.record)
        .where(_record.stream == stream, place > tuple_(*before), place <= tuple_(*until))
        .where(_record.type.in_(BETWEEN_UNITS), _record.sealed.is_not(None))
        .values(sealed=None)
    )
