"""Records as rows of the log, in the bytes that PostgreSQL's binary COPY takes.

Handing a driver one Python value for each column costs more than all checks of a record together. So rows are written
as bytes, a whole batch at a time and column by column: what is the same in all of its rows once, what has a fixed size
with one `struct`, and the rest as it came. The format is in PostgreSQL's manual under COPY, "Binary Format": a header;
for each row the number of its fields, and each field with its length before it; a trailer.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, count, repeat
from typing import Any

import uuid_utils
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from hanse.log.tables import LogTables
from hanse_federation.link.batches import HASH_BYTES
from hanse_protos.log.v1.log_pb2 import Event, SealedField, SealedFields

COLUMNS = ("stream", "epoch", "sequence", "hash", "event_id", "occur_time", "event", "resource", "type", "sealed")
"""In this order what is the same in all rows of a batch comes first, then what has a fixed size."""
PARTS_OF_A_ROW = 5
"""In how many pieces of bytes a row is written: all rows of a transaction are joined at once, not first each."""

UUID_BYTES, INT_BYTES, BIGINT_BYTES = 16, 4, 8

MAX_TEXT_BYTES = 2_000
"""Of a resource's or a type's name: PostgreSQL's indexes take 2,704 bytes of a row. Contracts allow a few hundred."""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_LENGTH = struct.Struct(">i")
_FIELD_COUNT = struct.Struct(">h")
_EPOCH_AND_LENGTH = struct.Struct(">iii")

POSTGRES_EPOCH_SECONDS = 946_684_800
"""PostgreSQL counts from 2000-01-01, protobuf from 1970-01-01."""
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999: what a Timestamp may say, and what Python can read again."""
NANOS_PER_SECOND = 1_000_000_000


def write_rows(
    place: tuple[str, int, int],
    hashes: Sequence[bytes],
    contents: Sequence[bytes],
    events: Sequence[Event],
    texts: Sequence[bytes | None],
) -> list[bytes]:
    """Return the records of a stream, from its epoch and sequence on, as rows, each in PARTS_OF_A_ROW parts.

    `contents` are the bytes of `events`, and `texts` their packed sealed fields. Raises ValueError where a field of an
    event is not what its column holds; struct.error where a number is too large for its column.
    """
    stream, epoch, first_sequence = place
    beginning = _FIELD_COUNT.pack(len(COLUMNS)) + _text(stream) + _EPOCH_AND_LENGTH.pack(INT_BYTES, epoch, BIGINT_BYTES)
    # Stream and epoch, sequence, hash, id, time, and the length of the event; each but the first with its length.
    pack = struct.Struct(f">{len(beginning)}sqi{HASH_BYTES}si{UUID_BYTES}siqi").pack
    fixed = map(
        pack,
        repeat(beginning), count(first_sequence),
        repeat(HASH_BYTES), hashes,
        repeat(UUID_BYTES), [uuid_utils.UUID(event.event_id).bytes for event in events],
        repeat(BIGINT_BYTES), _microseconds([event.occur_time for event in events]),
        map(len, contents),
    )  # fmt: skip
    resources, types = [event.resource for event in events], [event.type for event in events]
    rows = zip(fixed, contents, map(_text, resources), map(_text, types), map(_bytes, texts), strict=False)
    return list(chain.from_iterable(rows))


@lru_cache(maxsize=4096)
def _text(value: str) -> bytes:
    """Return a text with its length before it: streams and types are few, and what is worked on comes again soon.

    Raises ValueError for one that PostgreSQL does not take.
    """
    content = value.encode()
    if b"\0" in content or len(content) > MAX_TEXT_BYTES:
        raise ValueError("a name in it is too long, or holds a NUL")
    return _bytes(content)


def _bytes(value: bytes | None) -> bytes:
    return _NULL if value is None else _LENGTH.pack(len(value)) + value


def _microseconds(times: Sequence[Timestamp]) -> list[int]:
    """Return instants as PostgreSQL counts. Raises ValueError where one is none."""
    seconds, nanos = [time.seconds for time in times], [time.nanos for time in times]
    if min(seconds) < FIRST_SECOND or max(seconds) > LAST_SECOND or min(nanos) < 0 or max(nanos) >= NANOS_PER_SECOND:
        raise ValueError("it happened at no instant of the years 1 to 9999")
    return [
        (second - POSTGRES_EPOCH_SECONDS) * 1_000_000 + nano // 1_000
        for second, nano in zip(seconds, nanos, strict=True)
    ]


def pack_sealed(fields: Sequence[SealedField]) -> bytes | None:
    """Return sealed fields as they are stored beside their event."""
    return SealedFields(fields=fields).SerializeToString() if fields else None


def copy_rows(session: Session, log: LogTables, parts: Iterable[bytes]) -> None:
    """Store rows with one COPY, in the session's transaction."""
    driver: Any = session.connection().connection.driver_connection
    table = log.record
    # The driver takes plain bytes for the path of a file.
    content = bytearray().join(chain((_HEADER,), parts, (_TRAILER,)))
    await_only(
        driver.copy_to_table(table.name, schema_name=table.schema, columns=COLUMNS, source=content, format="binary")
    )
