"""Verifying a stream: does every record follow from the one before it?"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from hanse.errors import HanseError, LogFork, LogGap
from hanse.log.append import EMPTY_HEAD, Head
from hanse.log.chain import EMPTY_HASH, chain_hash
from hanse.log.follow import START, StoredRecord, last_position, read_after, read_head
from hanse.log.sealing import check_sealed
from hanse.log.tables import LogTables
from hanse_protos.log.v1.log_pb2 import SealedFields

BATCH_RECORDS = 1_000
"""How many records are in memory at once."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What recomputing a stream showed."""

    records: int
    head: Head
    problem: str = ""

    @property
    def intact(self) -> bool:
        """Whether every record followed from the one before it."""
        return not self.problem


def check_follows(previous: Head, record: StoredRecord) -> Head:
    """Check that a record follows from the head before it, and return the new head.

    Raises LogGap where a record is missing, LogFork where the hash is not the one that follows.
    """
    expected = previous.sequence + 1
    # Sequences go on in a new epoch.
    if record.sequence != expected:
        raise LogGap(
            f"{record.stream} goes on at {record.sequence}, expected {expected}",
            stream=record.stream,
            expected=str(expected),
            received=str(record.sequence),
        )
    follows = chain_hash(previous.hash, record.stream, record.epoch, record.sequence, record.event)
    if follows != record.hash:
        raise LogFork(
            f"{record.stream} at {record.epoch}/{record.sequence} does not follow from the record before it",
            stream=record.stream,
            sequence=str(record.sequence),
        )
    return Head(record.epoch, record.sequence, record.hash)


def verify(session: Session, log: LogTables, stream: str, end_sequence: int = 0) -> Verification:
    """Recompute the hash chain of a stream, and the digests of its sealed fields; to its head, or to `end_sequence`.

    A stream that ends before its head row says, or before `end_sequence`, has lost its tail.
    """
    known = read_head(session, log, stream)
    head = Head(EMPTY_HEAD.epoch, 0, EMPTY_HASH)
    position, count = START, 0
    while records := read_after(session, log, stream, position, BATCH_RECORDS):
        for record in records:
            if end_sequence and record.sequence > end_sequence:
                return Verification(count, head)
            try:
                head = check_follows(head, record)
                _check_row(record)
                _check_head(known, head, stream)
            except HanseError as error:
                return Verification(count, head, problem=str(error))
            count += 1
        position = last_position(records)
    end = max(known.sequence, end_sequence)
    if head.sequence < end:
        return Verification(count, head, problem=f"{stream} ends at {head.sequence}, its tail up to {end} is missing")
    return Verification(count, head)


def _check_row(record: StoredRecord) -> None:
    """Check what stands beside an event. Raises LogFork where it does not say what the event says."""
    event = record.decoded()
    if (event.type, event.resource) != (record.type, record.resource):
        raise LogFork(
            f"{record.stream} at {record.epoch}/{record.sequence} is filed as something else than its event",
            stream=record.stream,
            sequence=str(record.sequence),
        )
    if record.sealed:
        check_sealed(event, SealedFields.FromString(record.sealed).fields)


def _check_head(known: Head, head: Head, stream: str) -> None:
    """Raise LogFork where the record at the head's place is not the one that the head names."""
    if (head.epoch, head.sequence) == (known.epoch, known.sequence) and head.hash != known.hash:
        raise LogFork(f"{stream} at {head.epoch}/{head.sequence} is not what its head says", stream=stream)
