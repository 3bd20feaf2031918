"""The names of units: as a resource name, as a SPIFFE id, and as gRPC hands it to us."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hanse.errors import CertificateInvalid, ValidationFailed

TRUST_DOMAIN = "hanse.local"
_SPIFFE_PREFIX = f"spiffe://{TRUST_DOMAIN}/"

# An id as AIP-122 wants it, which also makes it a valid DNS label and a valid SPIFFE path segment.
_UNIT_PATTERN = re.compile(r"units/[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
MAXIMUM_UNIT_NAME_CHARACTERS = len("units/") + 63


def require_unit_name(unit: str) -> str:
    """Return `unit` if it is a unit's resource name, such as `units/shanghai`; raise ValidationFailed if not."""
    if not _UNIT_PATTERN.fullmatch(unit):
        raise ValidationFailed("This is not the resource name of a unit, such as units/shanghai.", unit=unit)
    return unit


def spiffe_id_for(unit: str) -> str:
    """Return the SPIFFE id of a unit's resource name: `units/x` becomes `spiffe://hanse.local/units/x`."""
    return _SPIFFE_PREFIX + require_unit_name(unit)


def unit_of(spiffe_id: str) -> str:
    """Return the unit's resource name in a SPIFFE id; raise CertificateInvalid for anything else."""
    unit = spiffe_id.removeprefix(_SPIFFE_PREFIX)
    if unit == spiffe_id or not _UNIT_PATTERN.fullmatch(unit):
        raise CertificateInvalid(spiffe_id=spiffe_id)
    return unit


def peer_unit(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """Return the unit at the other end of a call, given gRPC's `context.auth_context()`.

    gRPC fills `peer_spiffe_id` only from a verified certificate. `peer_identities()` would mix this name with the DNS
    and IP names of the same certificate, and call metadata is whatever the caller says: neither is ever read.
    """
    spiffe_ids = tuple(auth_context.get("peer_spiffe_id", ()))
    if len(spiffe_ids) != 1:
        raise CertificateInvalid(spiffe_ids=str(len(spiffe_ids)))
    return unit_of(spiffe_ids[0].decode("ascii", errors="replace"))
