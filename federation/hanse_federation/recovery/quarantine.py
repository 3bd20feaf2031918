"""Quarantine: a stream whose two holders disagree, or that one of them can't read, waits for a person.

    HEALTHY --LOG_FORK, LOG_GAP that a new beginning does not heal--> QUARANTINED --a person decides--> HEALTHY
            --FACT_UNREADABLE: a record that can't be stored--------^

The others go on.

Whoever finds a disagreement writes it down and ends the link with it. The next link begins, half a second later,
without that stream, and each end tells the other in its first frame what it has in quarantine: so both raise the alarm,
and nothing of the stream is sent or taken in between. An end that was only told ends its quarantine when the other end
has ended its own. How a person ends one is in `decisions`.
"""

from collections.abc import Iterable, Mapping, Sequence

import structlog
from sqlalchemy import Select, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.errors import FactUnreadable, HanseError, LogFork, LogGap, LogQuarantined, Unavailable
from hanse.log.append import Head
from hanse.rpc.client import RemoteError
from hanse.session import Query
from hanse_federation.link.frames import stream_head
from hanse_federation.link.sending import Source, own_heads_at
from hanse_federation.model import SCHEMA, Quarantine
from hanse_protos.federation.v1.link_pb2 import QuarantinedStream
from hanse_protos.log.v1.log_pb2 import StreamHead

State = frozenset[tuple[str, bool, int]]
"""Which streams are in quarantine, who found it out, and which epochs were started since."""

HINTS = {error.reason: error.hint for error in (LogFork, LogGap, LogQuarantined, FactUnreadable)}
"""What a person should do, by the reason of a quarantine."""

logger = structlog.get_logger(__name__)


def save_quarantine(
    session: Session, stream: str, problem: HanseError | RemoteError, *, found_here: bool = True
) -> None:
    """Put a stream into quarantine. What is known of one that is there already stays."""
    epoch, sequence = _place_of(problem.metadata)
    _save(session, stream, problem.reason, str(problem), found_here=found_here, epoch=epoch, sequence=sequence)


def _save(session: Session, stream: str, reason: str, problem: str, **values: object) -> None:
    row = {"stream": stream, "reason": reason, "problem": problem, **values}
    statement = upsert(Quarantine).values(row).on_conflict_do_nothing()
    if session.scalar(statement.returning(Quarantine.stream)):
        logger.error("a stream is in quarantine", stream=stream, reason=reason, problem=problem)


def _place_of(metadata: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return the epoch and the sequence that an error names; what comes from the other end may be anything."""
    epoch, sequence = metadata.get("epoch", ""), metadata.get("sequence") or metadata.get("expected", "")
    if not (epoch.isdecimal() and sequence.isdecimal()):
        return None, None
    return min(int(epoch), 2**31 - 1), min(int(sequence), 2**63 - 1)


def read_quarantines(session: Session, streams: Iterable[str]) -> list[Quarantine]:
    """Return what is in quarantine of some streams."""
    return list(session.scalars(_of(streams)))


def _of(streams: Iterable[str]) -> Select[Quarantine]:
    return select(Quarantine).where(Quarantine.stream.in_(list(streams)))


def read_state(session: Session, streams: Iterable[str]) -> State:
    """Return how quarantines of some streams are, to be compared later."""
    return frozenset(
        (stream, found_here, epoch) for stream, found_here, epoch in STATE.rows(session, streams=[*streams])
    )


STATE = Query(f"""
    SELECT stream, found_here, new_epoch FROM {SCHEMA.name}.quarantine WHERE stream = ANY(CAST(:streams AS text[]))
""")  # noqa: S608 - the name is ours.


def common_head(row: Quarantine) -> Head | None:
    """Return the last record that both ends have; None where they have not compared their logs yet."""
    if row.common_epoch is None or row.common_sequence is None or row.common_hash is None:
        return None
    return Head(row.common_epoch, row.common_sequence, row.common_hash)


def save_common(session: Session, stream: str, head: Head) -> None:
    """Note the last record that both ends have."""
    values = {"common_epoch": head.epoch, "common_sequence": head.sequence, "common_hash": head.hash}
    session.execute(update(Quarantine).where(Quarantine.stream == stream).values(values))


def release(session: Session, stream: str) -> None:
    """End a quarantine."""
    session.execute(delete(Quarantine).where(Quarantine.stream == stream))
    logger.warning("a stream is out of quarantine", stream=stream)


# What the two ends tell each other.


def told(rows: Iterable[Quarantine]) -> list[QuarantinedStream]:
    """Return quarantines as this end tells the other of them."""
    messages = []
    for row in rows:
        message = QuarantinedStream(
            stream=row.stream, found=row.found_here, reason=row.reason, problem=row.problem, new_epoch=row.new_epoch
        )
        if row.epoch is not None and row.sequence is not None:
            message.place.CopyFrom(StreamHead(stream=row.stream, epoch=row.epoch, sequence=row.sequence))
        if common := common_head(row):
            message.common.CopyFrom(stream_head(row.stream, common))
        messages.append(message)
    return messages


def take_over(
    session: Session,
    streams: Iterable[str],
    others: Sequence[QuarantinedStream],
    sources: Sequence[Source],
    received: Mapping[str, Head],
    *,
    shown: State = frozenset(),
) -> list[Quarantine]:
    """Bring this end's quarantines into line with what the other end told at the beginning of a link; return them.

    `sources` are the streams that this end sends, `received` is where the other end has them, and `shown` is what this
    end has told of its own quarantines before. The quarantines stay locked: no person decides about one meanwhile.

    Raises Unavailable where a person has decided about one since it was shown.
    """
    allowed = set(streams)
    by_stream = {other.stream: other for other in others if other.stream in allowed}
    here = {row.stream: row for row in session.scalars(_of(allowed).with_for_update())}
    refuse_ended(shown, read_state(session, allowed))
    for stream, other in by_stream.items():
        if stream not in here and other.found:
            place = {"epoch": other.place.epoch, "sequence": other.place.sequence} if other.HasField("place") else {}
            _save(session, stream, other.reason, other.problem, found_here=False, **place)
        if stream in here and other.new_epoch and stream not in {source.stream for source in sources}:
            here[stream].new_epoch = other.new_epoch
        if other.HasField("common"):
            save_common(session, stream, Head(other.common.epoch, other.common.sequence, other.common.hash))
    found_there = {stream for stream, other in by_stream.items() if other.found}
    settled = _settled(session, [row for row in here.values() if row.new_epoch], sources, received)
    for stream, row in here.items():
        if stream not in found_there and (not row.found_here or stream in settled):
            session.expunge(row)
            release(session, stream)
    session.flush()
    return read_quarantines(session, allowed)


def _settled(
    session: Session, rows: Sequence[Quarantine], sources: Sequence[Source], received: Mapping[str, Head]
) -> set[str]:
    """Return the streams that this end has begun anew where the other end has them now too."""
    begun = {row.stream for row in rows}
    anew = [source for source in sources if source.stream in begun and source.stream in received]
    heads = own_heads_at(session, anew, received)
    return {stream for stream, head in heads.items() if head == received[stream]}


def healthy(sources: Sequence[Source], quarantined: Sequence[Quarantine]) -> list[Source]:
    """Return the streams that are not in quarantine."""
    streams = {row.stream for row in quarantined}
    return [source for source in sources if source.stream not in streams]


def refuse_ended(begun: State, now: State) -> None:
    """Raise Unavailable where a quarantine that a link began with has ended, or got a new epoch."""
    if begun - now:
        raise Unavailable("a person has decided about a stream, so the link begins anew")


class Gaps:
    """Tells a gap that a new beginning heals from one that is in the sender's log."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def persists(self, gap: LogGap) -> bool:
        """Return whether the stream had this very gap before: its sender was told where to go on, and has nothing."""
        stream, expected = gap.metadata["stream"], gap.metadata["expected"]
        before = self._seen.get(stream)
        self._seen[stream] = expected
        return before == expected
