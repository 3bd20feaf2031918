"""Lists of void certificates that the group's authority signs elsewhere, and a person brings to headquarters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.errors import RevocationListIncomplete, RevocationListInvalid, RevocationListOutdated
from hanse.identity import CertificateAuthority, check_revocation_list, read_certificate, revoked_serials
from hanse.rpc.client import RemoteError
from hanse_federation.membership.counter import Signing
from hanse_federation.membership.listing import listing_revocations, publishing
from hanse_federation.membership.register import revoke_unit
from hanse_federation.membership.revocations import newest_list
from hanse_federation.model import SCHEMA
from hanse_federation.servicer import served
from hanse_protos.federation.v1 import membership_pb2 as pb
from tests.certificates import signed_list
from tests.integration.command_line import CommandLine
from tests.integration.hanse_federation.group import Group, Unit, converse, eventually, hello
from tests.integration.hanse_federation.test_membership import last_error
from tests.support import MakeExecutor, MakeUnitFolder, Serve

MUNICH, SHANGHAI, OSLO = "units/munich", "units/shanghai", "units/oslo"
NEVER_SEEN = "1f"


@pytest.fixture
async def group(group: Group) -> Group:
    """Headquarters without the authority's key."""
    group.hq.settings.authority_folder = None
    return group


@pytest.fixture
async def headquarters(group: Group, make_executor: MakeExecutor, serve: Serve, tmp_path: Path) -> CommandLine:
    """The command line at headquarters, which is served."""
    await serve(group.hq, served(group.hq, make_executor(group.hq, SCHEMA)))
    return CommandLine(group.hq, tmp_path)


def serial_in(folder: Path) -> str:
    return read_certificate((folder / "unit.crt").read_bytes()).serial


async def publish(group: Group, content: bytes) -> pb.PublishRevocationsResponse:
    command = publishing(group.hq.settings.tls.authority.read_bytes())
    request = pb.PublishRevocationsRequest(revocation_list=content)
    answer: pb.PublishRevocationsResponse = await group.execute(command, request, pb.PublishRevocationsResponse)
    return answer


async def revoke(group: Group, unit: str) -> None:
    command = listing_revocations(revoke_unit, Signing(group.hq.settings))
    await group.execute(command, pb.RevokeUnitRequest(unit=unit, reason="sold"), pb.Member)


async def lists_told(unit: Unit) -> int:
    await unit.caught_up()
    return (await unit.told_types()).count("UnitCertificatesRevoked")


async def test_the_link_of_a_unit_whose_certificate_is_listed_closes_and_the_others_are_told(
    group: Group, munich: Unit, shanghai: Unit, authority: CertificateAuthority, unit_folder: MakeUnitFolder
) -> None:
    void = serial_in(unit_folder(MUNICH))
    answer = await publish(group, signed_list(authority, [void, NEVER_SEEN], number=7))
    assert answer == pb.PublishRevocationsResponse(number=7, certificate_count=2, units=[MUNICH])

    async def closed() -> bool:
        return (await last_error(group, MUNICH)).startswith("CERTIFICATE_REVOKED")

    await eventually(closed)
    assert await lists_told(shanghai) == 1


async def test_a_certificate_that_headquarters_sees_for_the_first_time_is_refused_by_the_list(
    group: Group, authority: CertificateAuthority, unit_folder: MakeUnitFolder
) -> None:
    await group.admit(OSLO)
    answer = await publish(group, signed_list(authority, [serial_in(unit_folder(OSLO))], number=7))
    assert list(answer.units) == []
    with pytest.raises(RemoteError) as refused:
        await converse(group, [hello(OSLO)], certificate=unit_folder(OSLO), until="never")
    assert refused.value.reason == "CERTIFICATE_REVOKED"


async def test_a_list_of_another_authority_is_refused_and_nobody_told(
    group: Group, shanghai: Unit, tmp_path: Path
) -> None:
    forged = signed_list(CertificateAuthority.create(tmp_path / "another"), [NEVER_SEEN], number=7)
    with pytest.raises(RevocationListInvalid):
        await publish(group, forged)
    assert await lists_told(shanghai) == 0


async def test_a_list_is_told_once_and_replaced_by_a_newer_one_only(
    group: Group, shanghai: Unit, authority: CertificateAuthority
) -> None:
    newer = signed_list(authority, [NEVER_SEEN], number=8)
    for content in (signed_list(authority, [], number=7), newer, newer):
        await publish(group, content)
    assert await lists_told(shanghai) == 2
    for number in (7, 8):
        with pytest.raises(RevocationListOutdated) as refused:
            await publish(group, signed_list(authority, [], number=number))
        assert refused.value.metadata == {"number": str(number), "newest": "8"}
    assert await group.hq.database.read(newest_list) == newer


async def test_a_list_that_leaves_out_what_is_void_is_refused_and_says_what(
    group: Group, munich: Unit, authority: CertificateAuthority, unit_folder: MakeUnitFolder
) -> None:
    await revoke(group, MUNICH)
    void = serial_in(unit_folder(MUNICH))
    with pytest.raises(RevocationListIncomplete, match=f"{void} of {MUNICH}"):
        await publish(group, signed_list(authority, [NEVER_SEEN], number=7))
    assert (await publish(group, signed_list(authority, [void], number=7))).number == 7


async def test_headquarters_own_next_list_is_newer_and_names_what_was_listed_elsewhere(
    group: Group, munich: Unit, authority: CertificateAuthority, unit_folder: MakeUnitFolder
) -> None:
    far_ahead = 2**60
    await publish(group, signed_list(authority, [NEVER_SEEN], number=far_ahead))
    group.hq.settings.authority_folder = authority.folder
    await revoke(group, MUNICH)
    own = await group.hq.database.read(newest_list)
    assert check_revocation_list(own, authority.certificate_path.read_bytes()) == far_ahead + 1
    assert revoked_serials(own) == {NEVER_SEEN, serial_in(unit_folder(MUNICH))}


async def test_a_person_brings_a_file(
    headquarters: CommandLine, shanghai: Unit, authority: CertificateAuthority, tmp_path: Path
) -> None:
    commands = [["unit", "publish-revocations", file] for file in written(tmp_path, authority, numbers=(8, 7))]
    published, outdated = await headquarters.run_all(*commands)
    assert "List 8 with 1 certificate goes to every unit; void by it: no unit's that stood" in published.printed
    assert (outdated.status, "REVOCATION_LIST_OUTDATED" in outdated.complained) == (1, True)
    assert await lists_told(shanghai) == 1


def written(folder: Path, authority: CertificateAuthority, numbers: Iterable[int]) -> Iterable[str]:
    """Write a list with each number into a file, PEM, as OpenSSL does."""
    for number in numbers:
        content = x509.load_der_x509_crl(signed_list(authority, [NEVER_SEEN], number=number))
        file = folder / f"{number}.crl"
        file.write_bytes(content.public_bytes(Encoding.PEM))
        yield str(file)
