"""What headquarters makes of a batch, in the transaction that stores it: views, engagements, what is passed on."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy.orm import Session

from hanse.clock import Clock
from hanse.errors import FrameForeign
from hanse.log.append import lock_head
from hanse.policy.store import PolicyStore
from hanse.work import Work
from hanse_federation.erasing import erase, tickets_erased_before, tickets_erased_by, without_texts_about
from hanse_federation.headquarters.foreign import note_foreign, told_by_the_right
from hanse_federation.headquarters.forwarding import RULES, forward_facts
from hanse_federation.headquarters.passing import Passing
from hanse_federation.headquarters.projections import EVERY_ONE, PROJECTED, project
from hanse_federation.headquarters.setting_apart import ABSORBING, behind_nothing, refuse_unopened, take_apart
from hanse_federation.link.receiving import Arrival, Interest, OpenedBatch, Steps, open_told, opening
from hanse_federation.link.storing import store_all
from hanse_federation.model import LOG, ROUTING_STREAM
from hanse_protos.federation.v1.link_pb2 import RecordBatch
from hanse_protos.log.v1.log_pb2 import LogRecord

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
    """Store batches of some units, and all that follows from them.

    Raises what `store_all` raises, and whatever a view, or a rule of what is passed on, raises; then nothing is stored.
    """
    erased = tickets_erased_before(session, batches)
    facts = without_texts_about(erased, store_all(session, batches))
    if facts:
        through = behind_nothing(session, facts)
        refuse_unopened(through)
        _take(session, policies, clock, through)
        if len(through) < len(facts):
            Passing(session, policies).forget_texts_of(facts)
        facts = through
    erase(session, erased | tickets_erased_by(facts))


def absorb_by_parts(session: Session, batches: Sequence[OpenedBatch], policies: PolicyStore, clock: Clock) -> None:
    """Do what `absorb` does, and set the facts apart that it would fail over. Raises what `store_all` raises."""
    erased = tickets_erased_before(session, batches)
    facts = without_texts_about(erased, store_all(session, batches))
    through = behind_nothing(session, facts)
    taken = take_apart(session, through, partial(_take, session, policies, clock))
    Passing(session, policies).forget_texts_of(facts)
    erase(session, erased | tickets_erased_by(taken))


def _take(session: Session, policies: PolicyStore, clock: Clock, facts: Sequence[Arrival]) -> None:
    """Bring the views up to date with facts, let them take effect, and pass on what their writers may tell."""
    if not facts:
        return
    rightful, foreign = told_by_the_right(facts)
    if rightful:
        project(session, rightful)
        forward_facts(session, policies, rightful, clock())
    if foreign:
        note_foreign(session, foreign, clock())
    Passing(session, policies).forget(facts)


def _take_again(work: Work, record: LogRecord) -> None:
    """Let a fact that was set apart take effect. Raises what it fails over."""
    fact = open_told(record, INTERESTS)
    if fact is None:
        # What was opened by an earlier version, and concerns nobody any more.
        return
    refuse_unopened([fact])
    # The command's own decision is appended there: it takes its locks in the order in which all others do.
    lock_head(work.session, LOG, ROUTING_STREAM)
    _take(work.session, work.policies, lambda: work.now, [fact])
    erase(work.session, tickets_erased_by([fact]))


PERFORMERS = {ABSORBING: _take_again}
"""Who retries the facts that headquarters has set apart."""
