"""The names of units: as a resource name, and as a SPIFFE id."""

from __future__ import annotations

import re

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
