"""Records as rows of the log, in the bytes that PostgreSQL's binary COPY takes.

Handing a driver one Python value for each column costs more than all checks of a record together. So a row is written
as bytes where its event has just been decoded: what is the same in all rows of a batch once, what has a fixed size with
one `struct`, and the rest as it came. The format is in PostgreSQL's manual under COPY, "Binary Format": a header; for
each row the number of its fields, and each field with its length before it; a trailer.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import uuid_utils
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

from hanse.log.tables import LogTables
from hanse_protos.log.v1.log_pb2 import Event, SealedField, SealedFields

COLUMNS = ("stream", "epoch", "sequence", "hash", "event_id", "occur_time", "event", "resource", "type", "sealed")
"""In this order what is the same in all rows of a batch comes first, then what has a fixed size."""
PARTS_OF_A_ROW = 5
"""In how many pieces of bytes a row is written: all rows of a transaction are joined at once, not first each."""

HASH_BYTES, UUID_BYTES, INT_BYTES, BIGINT_BYTES = 32, 16, 4, 8

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


class RowWriter:
    """Writes records of one stream and epoch as rows."""

    def __init__(self, stream: str, epoch: int) -> None:
        place = _text(stream) + _EPOCH_AND_LENGTH.pack(INT_BYTES, epoch, BIGINT_BYTES)
        self._beginning = _FIELD_COUNT.pack(len(COLUMNS)) + place
        # Stream and epoch, sequence, hash, id, time, and the length of the event; each but the first with its length.
        fixed = f">{len(self._beginning)}sqi{HASH_BYTES}si{UUID_BYTES}siqi"
        self._pack = struct.Struct(fixed).pack

    def parts(
        self, sequence: int, digest: bytes, event: Event, content: bytes, sealed: Sequence[SealedField]
    ) -> tuple[bytes, bytes, bytes, bytes, bytes]:
        """Return the row of a record. Raises ValueError where a field of the event is not what its column holds."""
        event_id, time = uuid_utils.UUID(event.event_id).bytes, _microseconds(event.occur_time)
        return (
            self._pack(
                self._beginning, sequence, HASH_BYTES, digest, UUID_BYTES, event_id, BIGINT_BYTES, time, len(content)
            ),
            content,
            _text(event.resource),
            _text(event.type),
            _bytes(pack_sealed(sealed)) if sealed else _NULL,
        )


@lru_cache(maxsize=4096)
def _text(value: str) -> bytes:
    """Return a text with its length before it: streams and types are few, and what is worked on comes again soon."""
    return _bytes(value.encode())


def _bytes(value: bytes | None) -> bytes:
    return _NULL if value is None else _LENGTH.pack(len(value)) + value


def _microseconds(time: Timestamp) -> int:
    """Return an instant as PostgreSQL counts."""
    seconds, nanos = time.seconds, time.nanos
    if not (FIRST_SECOND <= seconds <= LAST_SECOND and 0 <= nanos < NANOS_PER_SECOND):
        raise ValueError(f"{seconds} s and {nanos} ns are no instant of the years 1 to 9999")
    return (seconds - POSTGRES_EPOCH_SECONDS) * 1_000_000 + nanos // 1_000


def pack_sealed(fields: Sequence[SealedField]) -> bytes | None:
    """Return sealed fields as they are stored beside their event."""
    return SealedFields(fields=fields).SerializeToString() if fields else None


def copy_rows(session: Session, log: LogTables, parts: Iterable[bytes]) -> None:
    """Store rows with one COPY, in the session's transaction."""
    driver: Any = session.connection().connection.driver_connection
    table = log.record
    # The driver takes plain bytes for the path of a file.
    content = bytearray().join((_HEADER, *parts, _TRAILER))
    await_only(
        driver.copy_to_table(table.name, schema_name=table.schema, columns=COLUMNS, source=content, format="binary")
    )
