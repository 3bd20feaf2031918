"""The hash chain over a stream's records."""

import struct
from collections.abc import Iterable
from hashlib import sha256

EMPTY_HASH = b""
"""The hash before the first record of a stream."""

_EPOCH, _SEQUENCE = struct.Struct(">i"), struct.Struct(">q")


def chain_hash(previous: bytes, stream: str, epoch: int, sequence: int, event: bytes) -> bytes:
    """Return the hash of a record: SHA-256(previous ‖ stream ‖ 0x00 ‖ epoch ‖ sequence ‖ event), 32 bytes.

    Epoch and sequence are big-endian, of 4 and 8 bytes. `event` is the serialized Event, verbatim as stored.
    """
    return chain_hashes(previous, stream, epoch, sequence, [event])[0]


def chain_hashes(previous: bytes, stream: str, epoch: int, first_sequence: int, events: Iterable[bytes]) -> list[bytes]:
    """Return the hashes of records that follow one another in an epoch."""
    place, pack, hashes = stream.encode() + b"\0" + _EPOCH.pack(epoch), _SEQUENCE.pack, []
    for sequence, event in enumerate(events, first_sequence):
        previous = sha256(previous + place + pack(sequence) + event).digest()
        hashes.append(previous)
    return hashes
