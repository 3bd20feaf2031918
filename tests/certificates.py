"""Certificates that an authority would sign only by mistake, and lists of void ones that it signs elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from hanse.identity import CertificateAuthority

HOUR = timedelta(hours=1)


def odd_certificate(
    folder: Path,
    authority: CertificateAuthority,
    uris: Sequence[str],
    *,
    self_signed: bool = False,
    expired: bool = False,
) -> Path:
    """Write a unit's certificate with these URIs, with its key and the group's authority, into a folder; return it."""
    key = generate_private_key(SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.certificate_path.read_bytes())
    issuer_key = key_of(authority)
    name = name_of("odd")
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    names += [x509.UniformResourceIdentifier(uri) for uri in uris]
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name if self_signed else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * HOUR)
        .not_valid_after(now - HOUR if expired else now + HOUR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    certificate = builder.sign(key if self_signed else issuer_key, hashes.SHA256())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "unit.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "unit.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "authority.crt").write_bytes(authority.certificate_path.read_bytes())
    return folder


def signed_list(
    authority: CertificateAuthority,
    serials: Iterable[str],
    number: int,
    *,
    issuer: str = "",
    critical: x509.ExtensionType | None = None,
) -> bytes:
    """Return a list of void certificates, DER, as an authority's own tools sign it: they count their lists."""
    subject = x509.load_pem_x509_certificate(authority.certificate_path.read_bytes()).subject
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name_of(issuer) if issuer else subject)
        .last_update(now - HOUR)
        .next_update(now + HOUR)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    if critical:
        builder = builder.add_extension(critical, critical=True)
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(now - HOUR)
        builder = builder.add_revoked_certificate(revoked.build())
    return builder.sign(key_of(authority), hashes.SHA256()).public_bytes(Encoding.DER)


def key_of(authority: CertificateAuthority) -> EllipticCurvePrivateKey:
    key = load_pem_private_key((authority.folder / "authority.key").read_bytes(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    return key


def name_of(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
