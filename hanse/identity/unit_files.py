"""A unit's key and certificate on disk, replaced together although they are two files.

    unit.key, unit.crt        in use
    unit.next.key, .next.csr  a key without a certificate yet, and the request for one

A new key waits in a file of its own until its certificate is there. Putting the certificate in place, by one rename, is
what makes the change; only then the key moves. Whoever reads takes the key that fits the certificate, wherever it is
just then, so a crash between any two steps leaves a pair that works. No key ever leaves the unit, or its folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from hanse.errors import CertificateInvalid
from hanse.identity.certificates import dns_names_of
from hanse.identity.names import spiffe_id_for
from hanse.identity.private_files import write_private_file
from hanse.rpc.tls import TlsFiles

MAX_READ_TRIES = 3
"""How often a pair is read that is being replaced meanwhile; one replacement is over in less than one try."""


@dataclass(frozen=True, slots=True)
class UnitIdentity:
    """A certificate with the key that fits it, and the group's authority; PEM."""

    certificate: bytes
    key: bytes
    key_path: Path
    authority: bytes


def read_identity(files: TlsFiles) -> UnitIdentity:
    """Return a unit's certificate and its key. Raises CertificateInvalid where one lacks, or they don't fit."""
    for _ in range(MAX_READ_TRIES):
        certificate = _read(files.certificate)
        public_key = _public_key_of(certificate)
        for path in (files.key, next_key_path(files)):
            if path.exists() and _public_key(_read(path)) == public_key:
                return UnitIdentity(certificate, _read(path), path, _read(files.authority))
    raise CertificateInvalid(f"The key in {files.key} does not fit the certificate in {files.certificate}.")


def next_key_path(files: TlsFiles) -> Path:
    """Return where a key waits for its certificate."""
    return files.key.with_suffix(".next.key")


def next_request(files: TlsFiles, unit: str, dns_names: Sequence[str]) -> bytes:
    """Return the signing request for the unit's next certificate, PEM; the same one until its certificate is there."""
    _settle(files)
    path = _next_request_path(files)
    if not (path.exists() and next_key_path(files).exists()):
        key = generate_private_key(SECP256R1())
        content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private_file(next_key_path(files), content)
        write_private_file(path, _request(key, unit, dns_names))
    return path.read_bytes()


def place_certificate(files: TlsFiles, certificate: bytes, authority: bytes | None = None) -> None:
    """Put a certificate in place with the key that waits for it. Raises CertificateInvalid for another key's."""
    if _public_key_of(certificate) != _public_key(_read(next_key_path(files))):
        raise CertificateInvalid("The certificate that was issued is for another key.")
    if authority is not None:
        write_private_file(files.authority, authority)
    write_private_file(files.certificate, certificate)
    _settle(files)


def current_dns_names(files: TlsFiles) -> list[str]:
    """Return the DNS names that a unit's certificate has."""
    return dns_names_of(read_identity(files).certificate)


def _settle(files: TlsFiles) -> None:
    """Move the waiting key to its place where its certificate is there already."""
    waiting = next_key_path(files)
    if not (waiting.exists() and files.certificate.exists()):
        return
    if _public_key(_read(waiting)) == _public_key_of(_read(files.certificate)):
        waiting.replace(files.key)
        _next_request_path(files).unlink(missing_ok=True)


def _next_request_path(files: TlsFiles) -> Path:
    return files.key.with_suffix(".next.csr")


def _request(key: EllipticCurvePrivateKey, unit: str, dns_names: Sequence[str]) -> bytes:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(spiffe_id_for(unit))]
    names += [x509.DNSName(name) for name in dns_names]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, unit[:64])])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise CertificateInvalid(f"There is no {path}.", hint="Enrol the unit: hanse unit enrol --help.") from None


def _public_key(key: bytes) -> bytes:
    try:
        public_key = load_pem_private_key(key, None).public_key()
    except ValueError as error:
        raise CertificateInvalid("The unit's key cannot be read.") from error
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_key_of(certificate: bytes) -> bytes:
    try:
        public_key = x509.load_pem_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise CertificateInvalid("The unit's certificate cannot be read.") from error
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
