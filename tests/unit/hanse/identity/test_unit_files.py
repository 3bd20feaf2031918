"""A unit's key and certificate are a pair at every moment, and the key stays private."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from hanse.config import tls_files
from hanse.errors import CertificateInvalid
from hanse.identity import CertificateAuthority, read_certificate
from hanse.identity.unit_files import next_key_path, next_request, place_certificate, read_identity
from hanse.rpc.tls import TlsFiles

MUNICH = "units/munich"
HOUR = timedelta(hours=1)


@pytest.fixture
def files(authority: CertificateAuthority, tmp_path: Path) -> TlsFiles:
    """Munich's files, with a first certificate."""
    authority.issue(MUNICH, tmp_path)
    return tls_files(tmp_path)


def serial(files: TlsFiles) -> str:
    return read_certificate(read_identity(files).certificate).serial


def test_a_certificate_takes_its_place_together_with_its_key(authority: CertificateAuthority, files: TlsFiles) -> None:
    before = serial(files)
    issued = authority.sign(MUNICH, next_request(files, MUNICH, []), HOUR)
    assert serial(files) == before
    place_certificate(files, issued)
    assert serial(files) == read_certificate(issued).serial != before
    assert read_identity(files).key_path == files.key
    assert not next_key_path(files).exists()
    assert files.key.stat().st_mode & 0o777 == 0o600


def test_the_request_stays_the_same_until_it_is_answered(authority: CertificateAuthority, files: TlsFiles) -> None:
    request = next_request(files, MUNICH, [])
    assert next_request(files, MUNICH, []) == request
    place_certificate(files, authority.sign(MUNICH, request, HOUR))
    assert next_request(files, MUNICH, []) != request


def test_a_crash_between_certificate_and_key_leaves_a_pair_that_works(
    authority: CertificateAuthority, files: TlsFiles
) -> None:
    issued = authority.sign(MUNICH, next_request(files, MUNICH, []), HOUR)
    files.certificate.write_bytes(issued)
    identity = read_identity(files)
    assert (identity.certificate, identity.key_path) == (issued, next_key_path(files))
    next_request(files, MUNICH, [])
    assert read_identity(files).key_path == files.key


def test_a_certificate_for_another_key_is_refused_and_the_old_one_stays(
    authority: CertificateAuthority, files: TlsFiles, tmp_path: Path
) -> None:
    before = serial(files)
    next_request(files, MUNICH, [])
    other = authority.issue(MUNICH, tmp_path / "other").certificate_path.read_bytes()
    with pytest.raises(CertificateInvalid):
        place_certificate(files, other)
    assert serial(files) == before


def test_a_key_that_does_not_fit_is_named(files: TlsFiles, authority: CertificateAuthority, tmp_path: Path) -> None:
    files.key.write_bytes(authority.issue(MUNICH, tmp_path / "other").key_path.read_bytes())
    with pytest.raises(CertificateInvalid, match=r"unit\.key"):
        read_identity(files)


def test_a_unit_without_a_certificate_is_told_to_enrol(tmp_path: Path) -> None:
    with pytest.raises(CertificateInvalid) as raised:
        read_identity(tls_files(tmp_path))
    assert "enrol" in raised.value.hint
