"""What a unit's certificate says, read from the certificate itself: which unit, which serial number, until when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from hanse.errors import CertificateInvalid
from hanse.identity.names import unit_of


@dataclass(frozen=True, slots=True)
class UnitCertificate:
    """A certificate that names exactly one unit of the group."""

    unit: str
    serial: str
    """In hexadecimal, as `openssl x509 -serial` has it but in lower case."""
    start_time: datetime
    expire_time: datetime


def read_certificate(pem: bytes) -> UnitCertificate:
    """Return what a certificate says. Who signed it, and whether it has expired, is for the caller to check.

    Raises CertificateInvalid where it can't be read, or where its URIs are not exactly one unit of this group: SPIFFE
    asks for exactly one URI (X.509-SVID, section 2).
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        uris = _uris_of(certificate)
    except ValueError as error:
        raise CertificateInvalid("The certificate cannot be read.") from error
    if len(uris) != 1:
        raise CertificateInvalid(f"The certificate names {len(uris)} identities, not one.", spiffe_ids=str(len(uris)))
    return UnitCertificate(
        unit=unit_of(uris[0]),
        serial=f"{certificate.serial_number:x}",
        start_time=certificate.not_valid_before_utc,
        expire_time=certificate.not_valid_after_utc,
    )


def dns_names_of(pem: bytes) -> list[str]:
    """Return the DNS names in a certificate that was read before."""
    return alternative_names(x509.load_pem_x509_certificate(pem)).get_values_for_type(x509.DNSName)


def _uris_of(certificate: x509.Certificate) -> list[str]:
    return alternative_names(certificate).get_values_for_type(x509.UniformResourceIdentifier)


def alternative_names(signed: x509.Certificate | x509.CertificateSigningRequest) -> x509.SubjectAlternativeName:
    """Return the names in a certificate, or in a request for one. Raises ValueError where they can't be read."""
    try:
        return signed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def fingerprint_of(pem: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate, in hexadecimal. Raises CertificateInvalid for none."""
    try:
        return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
    except ValueError as error:
        raise CertificateInvalid("The certificate cannot be read.") from error


def is_signed_by(pem: bytes, authority: bytes) -> bool:
    """Return whether an authority has signed a certificate itself, and the certificate is in its time."""
    certificate = x509.load_pem_x509_certificate(pem)
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return certificate.not_valid_before_utc <= datetime.now(UTC) < certificate.not_valid_after_utc


def peer_certificate(auth_context: Mapping[str, Iterable[bytes]]) -> UnitCertificate:
    """Return the certificate at the other end of a call, given gRPC's `context.auth_context()`.

    gRPC has verified it: that the group's authority signed it, that the peer has its key, and that it is in its time.
    Raises CertificateInvalid where there is none, or where it doesn't name exactly one unit.
    """
    pems = tuple(auth_context.get("x509_pem_cert", ()))
    if len(pems) != 1:
        raise CertificateInvalid("The caller shows no certificate.")
    return read_certificate(pems[0])
