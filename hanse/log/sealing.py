"""Sealed fields: text that stays beside its event, so that a unit can withhold it and the chain still verifies.

The event holds SHA-256(salt ‖ field ‖ 0x00 ‖ value) of each field; the salt keeps a short value from being guessed.
This is selective disclosure as in SD-JWT (RFC 9901), on log records.
"""

import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256

from hanse.errors import LogFork
from hanse_protos.log.v1.log_pb2 import Event, SealedDigest, SealedField, SealedFields

SALT_BYTES = 16


def seal(texts: Mapping[str, str]) -> SealedFields:
    """Return the sealed fields of the texts that are not empty, each with a salt of its own."""
    return SealedFields(
        fields=[
            SealedField(field=field, salt=secrets.token_bytes(SALT_BYTES), value=value)
            for field, value in texts.items()
            if value
        ]
    )


def digest_of(field: SealedField) -> bytes:
    """Return the digest that the event holds for a sealed field, 32 bytes."""
    return sha256(field.salt + field.field.encode() + b"\0" + field.value.encode()).digest()


def digests_of(sealed: SealedFields) -> list[SealedDigest]:
    """Return the digests that the event holds for its sealed fields."""
    return [SealedDigest(field=field.field, digest=digest_of(field)) for field in sealed.fields]


def check_sealed(event: Event, fields: Iterable[SealedField]) -> None:
    """Check that the fields that came with an event are the ones that it sealed.

    Raises LogFork where a field was never sealed by the event or says something else.
    """
    expected = {digest.field: digest.digest for digest in event.sealed_digests}
    for field in fields:
        if expected.get(field.field) != digest_of(field):
            raise LogFork(
                f"sealed field {field.field!r} of event {event.event_id} is not the one that was sealed",
                event=event.event_id,
            )


def texts_of(sealed: bytes | None) -> dict[str, str]:
    """Return the texts in stored sealed fields by field name; empty for none."""
    if not sealed:
        return {}
    return {field.field: field.value for field in SealedFields.FromString(sealed).fields}
