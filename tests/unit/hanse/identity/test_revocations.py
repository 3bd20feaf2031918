"""Lists of void certificates: the authority's signature is all that one has to trust."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.errors import RevocationListInvalid
from hanse.identity import (
    CertificateAuthority,
    check_revocation_list,
    is_revoked,
    revocation_list_der,
    revoked_serials,
)
from tests.certificates import signed_list

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.create(tmp_path / "authority")


def test_a_list_names_what_is_void_and_a_later_one_has_a_greater_number(authority: CertificateAuthority) -> None:
    pem = authority.certificate_path.read_bytes()
    first = authority.revocation_list(["1f"], NOW)
    later = authority.revocation_list(["1f", "2a"], NOW + timedelta(seconds=1))
    assert [is_revoked(first, serial) for serial in ("1f", "2a")] == [True, False]
    assert is_revoked(later, "2a")
    assert check_revocation_list(first, pem) < check_revocation_list(later, pem)


def test_a_list_of_another_authority_is_refused(authority: CertificateAuthority, tmp_path: Path) -> None:
    forged = CertificateAuthority.create(tmp_path / "another").revocation_list(["1f"], NOW)
    with pytest.raises(RevocationListInvalid):
        check_revocation_list(forged, authority.certificate_path.read_bytes())


@pytest.mark.parametrize("content", [b"", b"\x30\x00", b"no list"], ids=["nothing", "an empty sequence", "text"])
def test_what_is_no_list_is_refused(authority: CertificateAuthority, content: bytes) -> None:
    with pytest.raises(RevocationListInvalid):
        check_revocation_list(content, authority.certificate_path.read_bytes())


def test_a_list_that_the_authoritys_key_has_signed_under_another_name_is_refused(
    authority: CertificateAuthority,
) -> None:
    with pytest.raises(RevocationListInvalid):
        check_revocation_list(
            signed_list(authority, ["1f"], number=1, issuer="another"), authority.certificate_path.read_bytes()
        )


@pytest.mark.parametrize(
    "extension",
    [
        x509.DeltaCRLIndicator(1),
        x509.IssuingDistributionPoint(None, None, True, False, None, False, False),
    ],
    ids=["changes", "some certificates"],
)
def test_a_list_that_does_not_name_all_is_refused(
    authority: CertificateAuthority, extension: x509.ExtensionType
) -> None:
    partial = signed_list(authority, ["1f"], number=2, critical=extension)
    with pytest.raises(RevocationListInvalid, match="not one of all"):
        check_revocation_list(partial, authority.certificate_path.read_bytes())


def test_a_number_that_no_database_holds_is_refused(authority: CertificateAuthority) -> None:
    pem = authority.certificate_path.read_bytes()
    assert check_revocation_list(signed_list(authority, [], number=2**63 - 1), pem) == 2**63 - 1
    with pytest.raises(RevocationListInvalid, match="63 bits"):
        check_revocation_list(signed_list(authority, [], number=2**63), pem)


def test_a_list_after_another_has_a_greater_number_whoever_has_numbered_that(authority: CertificateAuthority) -> None:
    pem = authority.certificate_path.read_bytes()
    assert check_revocation_list(authority.revocation_list([], NOW, after=2**60), pem) == 2**60 + 1


def test_a_file_may_be_pem_or_der(authority: CertificateAuthority) -> None:
    der = authority.revocation_list(["1f", "2a"], NOW)
    pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
    assert revocation_list_der(pem) == revocation_list_der(der) == der
    assert revoked_serials(der) == {"1f", "2a"}


@pytest.mark.parametrize("content", [b"", b"no list", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----"])
def test_a_file_that_is_no_list_is_refused(content: bytes) -> None:
    with pytest.raises(RevocationListInvalid):
        revocation_list_der(content)
