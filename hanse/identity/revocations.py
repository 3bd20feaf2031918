"""Lists of void certificates, signed by the group's authority: an X.509 CRL (RFC 5280), in DER.

Whoever has the authority's certificate can check a list, so it may come from anybody. The list that was signed last
counts: its number is the instant of its signing, in milliseconds. A list is good until a later one comes; what it says
of the next update is no bound, since headquarters may be away for as long as it likes.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.errors import RevocationListInvalid

_NEXT_UPDATE = timedelta(days=90)
"""RFC 5280 wants one; nobody here waits for it."""


def sign_revocation_list(
    authority: x509.Certificate, key: EllipticCurvePrivateKey, serials: Iterable[str], now: datetime
) -> bytes:
    """Return a list of the certificates with these serial numbers, in hexadecimal."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now)
        .next_update(now + _NEXT_UPDATE)
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1_000)), critical=False)
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(now)
        builder = builder.add_revoked_certificate(revoked.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def check_revocation_list(content: bytes, authority: bytes) -> int:
    """Return the number of a list that an authority (PEM) has signed. Raises RevocationListInvalid for any other."""
    try:
        revocations = x509.load_der_x509_crl(content)
        keys: list[CertificateIssuerPublicKeyTypes] = [
            certificate.public_key()  # type: ignore[misc]  # An authority's key is one that signs.
            for certificate in x509.load_pem_x509_certificates(authority)
        ]
        signed = any(revocations.is_signature_valid(key) for key in keys)
        number: int = revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise RevocationListInvalid("The list of void certificates cannot be read.") from error
    if not signed:
        raise RevocationListInvalid
    return number


def is_revoked(content: bytes, serial: str) -> bool:
    """Return whether a list, which was checked before, names a certificate by its serial number in hexadecimal."""
    return x509.load_der_x509_crl(content).get_revoked_certificate_by_serial_number(int(serial, 16)) is not None
