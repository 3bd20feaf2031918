"""The hash chain over a stream's records."""

import struct
from hashlib import sha256

EMPTY_HASH = b""
"""The hash before the first record of a stream."""

_PLACE = struct.Struct(">iq")


def chain_hash(previous: bytes, stream: str, epoch: int, sequence: int, event: bytes) -> bytes:
    """Return the hash of a record: SHA-256(previous ‖ stream ‖ 0x00 ‖ epoch ‖ sequence ‖ event), 32 bytes.

    Epoch and sequence are big-endian, of 4 and 8 bytes. `event` is the serialized Event, verbatim as stored.
    """
    digest = sha256(previous)
    digest.update(stream.encode())
    digest.update(b"\0")
    digest.update(_PLACE.pack(epoch, sequence))
    digest.update(event)
    return digest.digest()
