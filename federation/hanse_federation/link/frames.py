"""What travels on a link: how much at once, how far ahead, and how positions are written."""

from collections.abc import Iterable

from hanse.log.append import Head
from hanse_protos.log.v1.log_pb2 import StreamHead

PROTOCOL_VERSION = 2
"""Both ends speak the same one: headquarters refuses a Hello of another."""

MAX_BATCH_RECORDS = 1_000
"""Records in a batch, at most; the contract says so too. A few batches share a transaction at the receiver: smaller
ones would be mostly round trips, and larger ones would make the line wait longer for its acknowledgement."""
MAX_BATCH_BYTES = 1024 * 1024
"""Bytes of events in a batch, before its last record. With it a frame stays far below the server's 16 MB."""
MAX_READ_RECORDS = 4 * MAX_BATCH_RECORDS
"""Records that a sender reads at once: a session of the database costs as much as some hundred records."""
CREDIT_RECORDS = 16_000
"""How many records may be under way without acknowledgement: some batches ahead keep the receiver's database busy,
and bound what either end has to hold in memory."""
BATCHES_AHEAD = 8
"""About how many batches of the size that it sends now a sender has under way at most (`pacing`)."""
CREDIT_BYTES = BATCHES_AHEAD * MAX_BATCH_BYTES
"""About how many bytes that is at most, whatever credit there is: where records are large, fewer go."""


def stream_head(stream: str, head: Head) -> StreamHead:
    """Return a head as it is written in frames."""
    return StreamHead(stream=stream, epoch=head.epoch, sequence=head.sequence, hash=head.hash)


def heads_by_stream(heads: Iterable[StreamHead]) -> dict[str, Head]:
    """Return the heads in a frame by stream."""
    return {head.stream: Head(head.epoch, head.sequence, head.hash) for head in heads}
