"""What headquarters makes of a batch, in the transaction that stores it: views, engagements, what is passed on."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from hanse.clock import Clock
from hanse.errors import FrameForeign
from hanse.policy.store import PolicyStore
from hanse_federation.erasing import erase, tickets_erased_before, tickets_erased_by, without_texts_about
from hanse_federation.headquarters.foreign import note_foreign, told_by_the_right
from hanse_federation.headquarters.forwarding import RULES, forward_facts
from hanse_federation.headquarters.passing import Passing
from hanse_federation.headquarters.projections import EVERY_ONE, PROJECTED, project
from hanse_federation.link.receiving import Interest, OpenedBatch, Steps, opening, store_all
from hanse_protos.federation.v1.link_pb2 import RecordBatch

INTERESTS = {
    payload.DESCRIPTOR.full_name: Interest(payload, every=payload in EVERY_ONE | RULES.keys())
    for payload in PROJECTED | RULES.keys()
}
"""The payloads that headquarters opens."""


def opening_from_unit(unit: str, batch: RecordBatch) -> Steps:
    """Open a batch of a unit, in steps. Raises what `opening` raises; FrameForeign where it holds what is another's."""
    if not batch.stream.startswith(f"{unit}/streams/"):
        raise FrameForeign(f"{batch.stream} is not a stream of {unit}", unit=unit, stream=batch.stream)
    return opening(batch, INTERESTS, writer=unit)


def absorb(session: Session, batches: Sequence[OpenedBatch], policies: PolicyStore, clock: Clock) -> None:
    """Store batches of some units, and all that follows from them. Raises what `store_all` raises, and stores nothing
    then."""
    erased = tickets_erased_before(session, batches)
    arrived = without_texts_about(erased, store_all(session, batches))
    facts, foreign = told_by_the_right(arrived)
    if facts:
        project(session, facts)
        forward_facts(session, policies, facts, clock())
    if foreign:
        note_foreign(session, foreign, clock())
    if arrived:
        Passing(session, policies).forget(arrived)
    erase(session, erased | tickets_erased_by(facts))
