"""Who is calling: units by certificate, people and roles by token.

There are two kinds of caller, and neither is ever believed on its word.

A **unit** calls over mutual TLS. Its identity is the one SPIFFE id in its certificate, `spiffe://hanse.local/units/x`,
which `peer_certificate` reads from the certificate that gRPC has verified. Not from a header, and not from the other
names in the certificate: localhost and 127.0.0.1 are in there only so that the embedded default can dial itself.
`CertificateAuthority` is the group's own; production may use any other that issues the same SPIFFE ids. `unit_files`
replaces key and certificate together.

A **person**, a partner or one of the unit's own workers calls with a token: a JWT signed with ES256 by the unit's key,
issued by that unit and for that unit only. `TokenVerifier` turns it into a `Caller`. Tokens that were seen to be good
are remembered until they expire, since checking a signature is dear on the hot path.

A token has six states, each but the last with an error of its own: missing, garbled, foreign (another unit's), forged
(our unit's name over a signature that is not ours), expired, and good. A foreign token is told from a forged one by
the issuer that it *claims*, before its signature is checked, so that the hint can name the real cause; nothing else is
ever done with a claim before the signature has been checked.

When something here fails, the call is refused with UNAUTHENTICATED and a reason from `hanse.errors`. There is no
anonymous caller and no fallback. A lost unit key means that everybody in that unit signs in again; a lost authority key
means new certificates for every unit. Private keys are in files that only their owner can read
(`private_files`).
"""

from hanse.identity.authority import CertificateAuthority, IssuedCertificate
from hanse.identity.certificates import (
    UnitCertificate,
    dns_names_of,
    fingerprint_of,
    is_signed_by,
    peer_certificate,
    read_certificate,
)
from hanse.identity.names import spiffe_id_for, unit_of
from hanse.identity.private_files import read_or_create_secret, write_private_file
from hanse.identity.revocations import check_revocation_list, is_revoked, revocation_list_der, revoked_serials
from hanse.identity.tokens import Caller, Role, SigningKeyFiles, TokenSigner, TokenVerifier, create_signing_key

__all__ = [
    "Caller",
    "CertificateAuthority",
    "IssuedCertificate",
    "Role",
    "SigningKeyFiles",
    "TokenSigner",
    "TokenVerifier",
    "UnitCertificate",
    "check_revocation_list",
    "create_signing_key",
    "dns_names_of",
    "fingerprint_of",
    "is_revoked",
    "is_signed_by",
    "peer_certificate",
    "read_certificate",
    "read_or_create_secret",
    "revocation_list_der",
    "revoked_serials",
    "spiffe_id_for",
    "unit_of",
    "write_private_file",
]
