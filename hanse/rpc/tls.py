"""Where a unit's certificate is. It knows no gRPC, so that settings can be read in any process."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The certificate of this unit, its key, and the authority of the group; PEM files."""

    certificate: Path
    key: Path
    authority: Path
