"""What the authority signs: for the unit that it is told, whatever the request says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.config import tls_files
from hanse.errors import CertificateInvalid
from hanse.identity import CertificateAuthority, dns_names_of, is_signed_by, read_certificate
from hanse.identity.unit_files import next_request

HOUR = timedelta(hours=1)


def test_the_certificate_is_for_the_unit_that_was_invited_not_for_the_one_in_the_request(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    request = next_request(tls_files(tmp_path), "units/hq", ["desk.example"])
    issued = authority.sign("units/munich", request, HOUR)
    certificate = read_certificate(issued)
    assert certificate.unit == "units/munich"
    assert dns_names_of(issued) == ["localhost", "desk.example"]
    assert certificate.expire_time - datetime.now(UTC) < HOUR
    assert is_signed_by(issued, authority.certificate_path.read_bytes())


def test_a_name_of_headquarters_is_refused(authority: CertificateAuthority, tmp_path: Path) -> None:
    request = next_request(tls_files(tmp_path), "units/munich", ["hub.example"])
    with pytest.raises(CertificateInvalid, match=r"hub\.example"):
        authority.sign("units/munich", request, HOUR, reserved=["hub.example"])


def test_a_request_that_is_none_is_refused(authority: CertificateAuthority) -> None:
    with pytest.raises(CertificateInvalid):
        authority.sign("units/munich", b"garbled", HOUR)


def test_a_key_of_another_kind_is_refused(authority: CertificateAuthority) -> None:
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    with pytest.raises(CertificateInvalid):
        authority.sign("units/munich", request.public_bytes(Encoding.PEM), HOUR)


def test_a_certificate_of_another_authority_is_not_ours(authority: CertificateAuthority, tmp_path: Path) -> None:
    stranger = CertificateAuthority.create(tmp_path / "stranger").issue("units/munich", tmp_path / "munich")
    assert not is_signed_by(stranger.certificate_path.read_bytes(), authority.certificate_path.read_bytes())
