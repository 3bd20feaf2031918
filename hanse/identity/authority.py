"""The group's certificate authority: it says which key belongs to which unit, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hanse.errors import CertificateInvalid, ResourceAlreadyExists, ResourceNotFound
from hanse.identity.certificates import alternative_names
from hanse.identity.names import spiffe_id_for
from hanse.identity.private_files import PRIVATE_FOLDER_MODE, write_private_file
from hanse.identity.revocations import sign_revocation_list

# The authority outlives its certificates by far, since replacing it means a visit to every unit.
AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=365)

# The names under which a unit's services and its gateway are dialled.
MAX_DNS_NAMES = 20

# Certificates start in the past, so that a unit whose clock runs late can use a new one at once.
CLOCK_TOLERANCE = timedelta(minutes=5)

_AUTHORITY_CERTIFICATE = "authority.crt"
_AUTHORITY_KEY = "authority.key"
_NO_KEY_USAGE = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}


@dataclass(frozen=True)
class IssuedCertificate:
    """The three PEM files that one end of a mutual TLS connection needs."""

    certificate_path: Path
    key_path: Path
    authority_path: Path


class CertificateAuthority:
    """A key and a self-signed certificate in one folder."""

    def __init__(self, folder: Path, key: EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.folder = folder
        self.certificate_path = folder / _AUTHORITY_CERTIFICATE
        self._key = key
        self._certificate = certificate

    @classmethod
    def create(cls, folder: Path) -> CertificateAuthority:
        """Make a new authority. It never replaces an old one, as that would disown every unit's certificate."""
        if (folder / _AUTHORITY_KEY).exists():
            raise ResourceAlreadyExists("This folder already holds a certificate authority.", folder=str(folder))
        folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        key = generate_private_key(SECP256R1())
        certificate = _self_signed(key)
        # The key is written last: the authority exists from the moment that its key does.
        _write_certificate(folder / _AUTHORITY_CERTIFICATE, certificate)
        _write_key(folder / _AUTHORITY_KEY, key)
        return cls(folder, key, certificate)

    @classmethod
    def load(cls, folder: Path) -> CertificateAuthority:
        """Take up the authority in a folder; raise ResourceNotFound if there is none, CertificateInvalid if garbled."""
        try:
            key = load_pem_private_key((folder / _AUTHORITY_KEY).read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate((folder / _AUTHORITY_CERTIFICATE).read_bytes())
        except FileNotFoundError as error:
            raise ResourceNotFound("This folder holds no certificate authority.", folder=str(folder)) from error
        except ValueError as error:
            raise CertificateInvalid("The authority's files cannot be read.", folder=str(folder)) from error
        if not isinstance(key, EllipticCurvePrivateKey):
            raise CertificateInvalid("The authority's key is not an ECDSA key.", folder=str(folder))
        return cls(folder, key, certificate)

    @classmethod
    def load_or_create(cls, folder: Path) -> CertificateAuthority:
        return cls.load(folder) if (folder / _AUTHORITY_KEY).exists() else cls.create(folder)

    def issue(self, unit: str, folder: Path | None = None) -> IssuedCertificate:
        """Issue a certificate to a unit (`units/shanghai`), with a new key, replacing what the folder held before.

        The files go to `folder`, or else to one of the unit's own inside the authority's folder. It holds a copy of the
        authority's certificate, so that it can be carried to another machine as it is.
        """
        folder = folder or self.folder / unit
        issued = IssuedCertificate(folder / "unit.crt", folder / "unit.key", folder / _AUTHORITY_CERTIFICATE)
        key = generate_private_key(SECP256R1())
        certificate = self._signed(unit, key.public_key(), CERTIFICATE_LIFETIME)
        _write_key(issued.key_path, key)
        _write_certificate(issued.certificate_path, certificate)
        _write_certificate(issued.authority_path, self._certificate)
        return issued

    def sign(self, unit: str, request: bytes, lifetime: timedelta, *, reserved: Iterable[str] = ()) -> bytes:
        """Sign a certificate for exactly this unit, PEM, for the key in a signing request.

        Of the request's names only the DNS names count; `reserved` are those that it may not ask for. Raises
        CertificateInvalid for such a name, and for a request that can't be read or isn't signed with its own key.
        """
        key, dns_names = _read_request(request)
        if taken := set(dns_names) & set(reserved):
            raise CertificateInvalid(f"The request asks for names of headquarters: {', '.join(sorted(taken))}.")
        return self._signed(unit, key, lifetime, dns_names).public_bytes(Encoding.PEM)

    def revocation_list(self, serials: Iterable[str], now: datetime, *, after: int = 0) -> bytes:
        """Return a signed list of the certificates with these serial numbers, which are void.

        It counts more than a list with the number `after`, whoever has numbered that.
        """
        return sign_revocation_list(self._certificate, self._key, serials, now, after)

    def _signed(
        self, unit: str, key: EllipticCurvePublicKey, lifetime: timedelta, dns_names: Iterable[str] = ()
    ) -> x509.Certificate:
        names = [
            # Exactly one URI, as SPIFFE asks for.
            x509.UniformResourceIdentifier(spiffe_id_for(unit)),
            *(x509.DNSName(name) for name in dict.fromkeys(["localhost", *dns_names])),
            x509.IPAddress(IPv4Address("127.0.0.1")),
        ]
        both_ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        issuer_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _builder(unit, key, lifetime)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**_NO_KEY_USAGE | {"digital_signature": True}), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both_ends), critical=False)
            .add_extension(issuer_key_id, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _read_request(pem: bytes) -> tuple[EllipticCurvePublicKey, list[str]]:
    try:
        request = x509.load_pem_x509_csr(pem)
        names = alternative_names(request)
    except ValueError as error:
        raise CertificateInvalid("The signing request cannot be read.") from error
    key = request.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise CertificateInvalid("The signing request is not for an ECDSA P-256 key.")
    if not request.is_signature_valid:
        raise CertificateInvalid("The signing request is not signed with the key that it is for.")
    dns_names = names.get_values_for_type(x509.DNSName)
    if len(dns_names) > MAX_DNS_NAMES:
        raise CertificateInvalid(f"The signing request asks for more than {MAX_DNS_NAMES} DNS names.")
    return key, dns_names


def _self_signed(key: EllipticCurvePrivateKey) -> x509.Certificate:
    builder = _builder("Hanse certificate authority", key.public_key(), AUTHORITY_LIFETIME)
    return (
        builder.issuer_name(_subject("Hanse certificate authority"))
        # A path length of zero: this authority signs units, and a unit can sign nobody.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**_NO_KEY_USAGE | {"key_cert_sign": True, "crl_sign": True}), critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(name: str, key: EllipticCurvePublicKey, lifetime: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(name: str) -> x509.Name:
    # X.509 allows 64 characters here; the name is for people, and the SPIFFE id is the one that counts.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _write_key(path: Path, key: EllipticCurvePrivateKey) -> None:
    write_private_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _write_certificate(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
