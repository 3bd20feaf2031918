"""Lists of void certificates, signed by the group's authority: an X.509 CRL (RFC 5280), in DER.

Whoever has the authority's certificate can check a list, so it may come from anybody. The list with the greatest number
counts (RFC 5280, section 5.2.3): headquarters' own have the instant of their signing, in milliseconds. A list is good
until a later one comes; what it says of the next update is no bound, since headquarters may be away for as long as it
likes. What a list names is void for ever, also where it says that a certificate is only on hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.errors import RevocationListInvalid

_NEXT_UPDATE = timedelta(days=90)
"""RFC 5280 wants one; nobody here waits for it."""
_MAX_NUMBER = 2**63 - 1
"""RFC 5280 allows 160 bits; contracts and databases have 63. Who counts, or takes the time, never gets there."""
_PEM_BEGIN = b"-----BEGIN"


def sign_revocation_list(
    authority: x509.Certificate, key: EllipticCurvePrivateKey, serials: Iterable[str], now: datetime, after: int = 0
) -> bytes:
    """Return a list of the certificates with these serial numbers, in hexadecimal; its number is more than `after`."""
    number = max(int(now.timestamp() * 1_000), after + 1)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now)
        .next_update(now + _NEXT_UPDATE)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(now)
        builder = builder.add_revoked_certificate(revoked.build())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def check_revocation_list(content: bytes, authority: bytes) -> int:
    """Return the number of a list that an authority (PEM) has signed. Raises RevocationListInvalid for any other.

    A list with a critical extension isn't one of all void certificates: it is of some, or of changes (RFC 5280, 5.2.4
    and 5.2.5).
    """
    try:
        revocations = x509.load_der_x509_crl(content)
        signed = any(_has_signed(one, revocations) for one in x509.load_pem_x509_certificates(authority))
        partial = any(extension.critical for extension in revocations.extensions)
        number: int = revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise RevocationListInvalid("The list of void certificates cannot be read.") from error
    if not signed:
        raise RevocationListInvalid
    if partial:
        raise RevocationListInvalid("The list is not one of all void certificates of the authority.")
    if number > _MAX_NUMBER:
        raise RevocationListInvalid("The number of the list has more than 63 bits.", number=str(number))
    return number


def _has_signed(authority: x509.Certificate, revocations: x509.CertificateRevocationList) -> bool:
    key = authority.public_key()
    return authority.subject == revocations.issuer and revocations.is_signature_valid(key)  # type: ignore[arg-type]  # An authority's key is one that signs.


def is_revoked(content: bytes, serial: str) -> bool:
    """Return whether a list, which was checked before, names a certificate by its serial number in hexadecimal."""
    return x509.load_der_x509_crl(content).get_revoked_certificate_by_serial_number(int(serial, 16)) is not None


def revoked_serials(content: bytes) -> set[str]:
    """Return what a list, which was checked before, names: serial numbers in hexadecimal. No list names nothing."""
    return {f"{one.serial_number:x}" for one in x509.load_der_x509_crl(content)} if content else set()


def revocation_list_der(content: bytes) -> bytes:
    """Return a list in DER that is in DER or PEM, unchecked. Raises RevocationListInvalid for what is neither."""
    try:
        is_pem = content.lstrip().startswith(_PEM_BEGIN)
        revocations = x509.load_pem_x509_crl(content) if is_pem else x509.load_der_x509_crl(content)
    except ValueError as error:
        raise RevocationListInvalid("The list of void certificates cannot be read.") from error
    return revocations.public_bytes(Encoding.DER)
