"""A unit is what the one URI in its certificate says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanse.errors import CertificateInvalid
from hanse.identity import CertificateAuthority, peer_certificate, read_certificate
from tests.certificates import odd_certificate

MUNICH = "spiffe://hanse.local/units/munich"


def test_a_certificate_names_its_unit_its_serial_and_its_time(authority: CertificateAuthority, tmp_path: Path) -> None:
    issued = authority.issue("units/munich", tmp_path)
    certificate = read_certificate(issued.certificate_path.read_bytes())
    assert certificate.unit == "units/munich"
    assert int(certificate.serial, 16) > 0
    assert certificate.start_time < certificate.expire_time


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [MUNICH, "spiffe://hanse.local/units/hq"],
        [MUNICH, MUNICH],
        ["spiffe://elsewhere.example/units/munich"],
        ["https://hanse.local/units/munich"],
        ["spiffe://hanse.local/units/munich/more"],
    ],
)
def test_a_certificate_without_exactly_one_unit_is_refused(
    authority: CertificateAuthority, tmp_path: Path, uris: list[str]
) -> None:
    folder = odd_certificate(tmp_path, authority, uris)
    with pytest.raises(CertificateInvalid):
        read_certificate((folder / "unit.crt").read_bytes())


def test_what_is_no_certificate_is_refused() -> None:
    with pytest.raises(CertificateInvalid):
        read_certificate(b"garbled")


def test_a_caller_without_a_certificate_is_refused() -> None:
    with pytest.raises(CertificateInvalid):
        peer_certificate({"peer_spiffe_id": [MUNICH.encode()]})
