"""Lists of void certificates: the authority's signature is all that one has to trust."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hanse.errors import RevocationListInvalid
from hanse.identity import CertificateAuthority, check_revocation_list, is_revoked

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
