"""New epochs, and what they leave behind: how a stream goes on after its writer has lost a part of it.

A writer that came back from an old backup lacks records that others have. It can't write other records at those places
of the same epoch: that would be a second history. So it starts a new epoch behind the last record that everybody has,
in which sequences go on from there; its first record says so. What the writer had written behind that record is taken
along: the same events, at new places and with new hashes, since nobody has taken them yet.

A holder of a copy sets the old epoch's tail apart (`set_apart`) and goes on with the new one. Nothing is deleted.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Table, delete, func, insert, literal, select, text, tuple_, update
from sqlalchemy.orm import Session

from hanse.log.append import Entry, Head, append, lock_head, move_head
from hanse.log.chain import chain_hash
from hanse.log.tables import LogTables

PAGE_RECORDS = 1_000
"""How many records get their new places at a time."""


def holds(session: Session, log: LogTables, stream: str, head: Head) -> bool:
    """Return whether a log has a record with its hash; every log has what is before the first."""
    if not head.sequence:
        return True
    columns = log.record.c
    place = (columns.stream == stream, columns.epoch == head.epoch, columns.sequence == head.sequence)
    return session.scalar(select(columns.hash).where(*place)) == head.hash


def count_after(session: Session, log: LogTables, stream: str, after: Head) -> int:
    """Return how many records a stream has behind a place."""
    return session.scalar(select(func.count()).select_from(log.record).where(*behind(log, stream, after))) or 0


def start_epoch(session: Session, log: LogTables, stream: str, after: Head, started: Entry) -> Head:
    """Let a stream go on in a new epoch behind a record of it, and return its new head.

    `started` becomes the first record of the epoch; what stood behind `after` follows it. Readers that were beyond that
    record read it again: whoever is told knows what it has heard before.
    """
    before = lock_head(session, log, stream)
    epoch = before.epoch + 1
    move_head(session, log, stream, Head(epoch, after.sequence, after.hash))
    head = append(session, log, stream, [started])
    while rows := _next_page(session, log, stream, after, epoch):
        head = _carry(session, log, stream, rows, head)
    turn_back(session, log, stream, after)
    return move_head(session, log, stream, head)


Row = tuple[int, int, bytes]
"""Epoch, sequence and event of a record."""


def behind(log: LogTables, stream: str, after: Head) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for the records of a stream behind a place."""
    columns = log.record.c
    place = tuple_(columns.epoch, columns.sequence)
    return columns.stream == stream, place > tuple_(literal(after.epoch), literal(after.sequence))


def _next_page(session: Session, log: LogTables, stream: str, after: Head, epoch: int) -> Sequence[Row]:
    """Return the first records behind a place that are not in the new epoch yet."""
    columns = log.record.c
    query = select(columns.epoch, columns.sequence, columns.event).where(*behind(log, stream, after))
    query = query.where(columns.epoch < epoch).order_by(columns.epoch, columns.sequence).limit(PAGE_RECORDS)
    return [tuple(row) for row in session.execute(query)]


def _carry(session: Session, log: LogTables, stream: str, rows: Sequence[Row], head: Head) -> Head:
    """Give records their places in the new epoch, and return the new head."""
    moves = []
    for epoch, sequence, event in rows:
        place = head.sequence + 1
        head = Head(head.epoch, place, chain_hash(head.hash, stream, head.epoch, place, event))
        moves.append((epoch, sequence, place, head.hash))
    # The name of the schema is ours, never a caller's.
    statement = text(f"""
        UPDATE "{log.schema}".log_record AS record
        SET epoch = :new_epoch, sequence = move.place, hash = move.hash
        FROM unnest(CAST(:epochs AS integer[]), CAST(:sequences AS bigint[]), CAST(:places AS bigint[]),
                    CAST(:hashes AS bytea[])) AS move (epoch, sequence, place, hash)
        WHERE record.stream = :stream AND record.epoch = move.epoch AND record.sequence = move.sequence
    """)  # noqa: S608
    epochs, sequences, new_places, hashes = (list(column) for column in zip(*moves, strict=True))
    session.execute(
        statement,
        {
            "stream": stream,
            "new_epoch": head.epoch,
            "epochs": epochs,
            "sequences": sequences,
            "places": new_places,
            "hashes": hashes,
        },
    )
    return head


def turn_back(session: Session, log: LogTables, stream: str, after: Head) -> None:
    """Let readers that were beyond a place go on from there."""
    cursors = log.cursor.c
    beyond = tuple_(cursors.epoch, cursors.sequence) > tuple_(literal(after.epoch), literal(after.sequence))
    back = update(log.cursor).where(cursors.stream == stream, beyond)
    session.execute(back.values(epoch=after.epoch, sequence=after.sequence))


def set_apart(session: Session, log: LogTables, orphans: Table, stream: str, after: Head) -> None:
    """Move the records behind a place of a copy into another table, and let the copy end there.

    `orphans` has the columns of the log's records, and others with defaults. Readers that were beyond go back there.
    """
    lock_head(session, log, stream)
    columns = [column.name for column in log.record.columns]
    tail = select(*(log.record.c[name] for name in columns)).where(*behind(log, stream, after))
    session.execute(insert(orphans).from_select(columns, tail))
    session.execute(delete(log.record).where(*behind(log, stream, after)))
    turn_back(session, log, stream, after)
    move_head(session, log, stream, after)
