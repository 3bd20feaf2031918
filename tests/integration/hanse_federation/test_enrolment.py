"""A unit's way in with an invitation, its certificates, and its way out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest

from hanse.config import tls_files
from hanse.errors import CertificateExpired, CertificateInvalid, HanseError, HubForeign, InvitationInvalid
from hanse.identity import CertificateAuthority, Role, read_certificate
from hanse.identity.unit_files import next_key_path, next_request
from hanse.local.ports import LOOPBACK
from hanse.rpc.client import RemoteError, open_channel, remote_errors
from hanse.rpc.server import RpcServer, by_token
from hanse_federation.headquarters.views import list_units
from hanse_federation.link.dialling import DIAL_SECONDS, any_certificate, hub_channel, look_at
from hanse_federation.link.showing import get_link
from hanse_federation.membership import servicer as enrolment_servicer
from hanse_federation.membership.enrolling import enrol, is_due, leave, renew
from hanse_federation.membership.invitations import InvitationToken
from hanse_federation.membership.register import list_members, require_member, revoke_unit
from hanse_federation.servicer import served
from hanse_protos.federation.v1 import enrolment_pb2, enrolment_pb2_grpc
from hanse_protos.federation.v1 import membership_pb2 as pb
from hanse_protos.federation.v1.group_pb2 import ListUnitsRequest
from hanse_protos.federation.v1.membership_pb2_grpc import MembershipServiceStub
from hanse_protos.ticket.v1 import events_pb2 as told
from tests.certificates import odd_certificate
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary, eventually, summary
from tests.support import Caller, Serve

OSLO, MUNICH = "units/oslo", "units/munich"
HQ_ID = "spiffe://hanse.local/units/hq"
Invite = Callable[..., Awaitable[str]]


@pytest.fixture
async def counter(group: Group, serve: Serve) -> Caller:
    """Headquarters' services, with the counter for units."""
    return await serve(group.hq, served(group.hq, group.executor))


@pytest.fixture
async def invite(counter: Caller) -> Invite:
    """Return a function that invites a unit, and returns the token. It is asynchronous since a channel needs a loop."""
    stub: Any = MembershipServiceStub(counter.channel(Role.OPERATIONS, actor="agents/meyer"))

    async def invite_unit(unit: str = OSLO) -> str:
        request = pb.InviteUnitRequest(unit=unit, request_id=str(uuid4()))
        with remote_errors():
            invitation: pb.Invitation = await stub.InviteUnit(request)
        return invitation.token

    return invite_unit


async def member(group: Group, unit: str = OSLO) -> pb.Member:
    answer = await group.hq.database.read(list_members, pb.ListMembersRequest())
    return next(each for each in answer.members if each.unit == unit)


async def revoke(group: Group, unit: str) -> None:
    await group.execute(revoke_unit, pb.RevokeUnitRequest(unit=unit, reason="sold"), pb.Member)


async def link_error(unit: Unit) -> str:
    link = await unit.runtime.database.read(get_link, unit.name)
    return str(link.last_error)


def told_that(unit: Unit, reason: str) -> Callable[[], Awaitable[bool]]:
    async def is_told() -> bool:
        return (await link_error(unit)).startswith(reason)

    return is_told


# Coming.


async def test_an_invited_unit_enrols_and_its_link_comes_up(group: Group, invite: Invite, tmp_path: Path) -> None:
    token = await invite()
    assert (await member(group)).state == pb.INVITED
    certificate = await enrol(token, OSLO, tls_files(tmp_path), dns_names=["desk.oslo.example"])
    assert certificate.unit == OSLO
    enrolled = await member(group)
    assert (enrolled.state, enrolled.certificate_serial) == (pb.ACTIVE, certificate.serial)
    assert (tmp_path / "unit.key").stat().st_mode & 0o777 == 0o600
    oslo = await group.unit(OSLO, folder=tmp_path)
    await oslo.tell((f"{OSLO}/tickets/t1", told.TicketOpened(ticket=summary(f"{OSLO}/tickets/t1"))))
    await oslo.caught_up()
    [status] = (await group.hq.database.read(list_units, ListUnitsRequest())).units
    assert status.certificate_expire_time == enrolled.certificate_expire_time


async def test_an_invitation_works_once(invite: Invite, tmp_path: Path) -> None:
    token = await invite()
    await enrol(token, OSLO, tls_files(tmp_path / "first"))
    with pytest.raises(RemoteError) as raised:
        await enrol(token, OSLO, tls_files(tmp_path / "second"))
    assert raised.value.reason == "INVITATION_INVALID"


async def test_who_got_no_answer_repeats_the_request_and_gets_the_same_certificate(
    group: Group, counter: Caller, invite: Invite, tmp_path: Path
) -> None:
    invitation = InvitationToken.parse(await invite())
    request = enrolment_pb2.EnrolUnitRequest(
        unit=OSLO,
        secret=invitation.secret,
        certificate_request=next_request(tls_files(tmp_path), OSLO, []),
        request_id=str(uuid4()),
    )
    stub: Any = enrolment_pb2_grpc.EnrolmentServiceStub(counter.channel_with(None))
    assert await stub.EnrolUnit(request) == await stub.EnrolUnit(request)


async def test_unknown_expired_and_foreign_invitations_look_the_same(
    group: Group, counter: Caller, invite: Invite, tmp_path: Path
) -> None:
    stub: Any = enrolment_pb2_grpc.EnrolmentServiceStub(counter.channel_with(None))
    signing_request = next_request(tls_files(tmp_path), OSLO, [])
    expired = InvitationToken.parse(await invite()).secret
    group.later(hours=group.hq.settings.invitation_lifetime_hours)
    munichs = InvitationToken.parse(await invite(MUNICH)).secret
    answers = set()
    for unit, secret in ((OSLO, expired), (OSLO, munichs), (OSLO, "guessed"), ("units/nowhere", "guessed")):
        request = enrolment_pb2.EnrolUnitRequest(
            unit=unit, secret=secret, certificate_request=signing_request, request_id=str(uuid4())
        )
        with pytest.raises(RemoteError) as raised, remote_errors():
            await stub.EnrolUnit(request)
        error = raised.value
        answers.add((error.code, error.reason, str(error), error.hint, tuple(error.metadata)))
    assert [answer[:2] for answer in answers] == [(grpc.StatusCode.UNAUTHENTICATED, "INVITATION_INVALID")]


async def test_a_newer_invitation_replaces_the_older(invite: Invite, tmp_path: Path) -> None:
    older, newer = await invite(), await invite()
    with pytest.raises(RemoteError):
        await enrol(older, OSLO, tls_files(tmp_path))
    await enrol(newer, OSLO, tls_files(tmp_path))


@pytest.mark.parametrize("token", ["", "garbled", "hanse-invitation-", "hanse-invitation-e30", "hanse-invitation-%"])
async def test_what_is_no_invitation_is_refused_before_anything_is_sent(token: str, tmp_path: Path) -> None:
    with pytest.raises(InvitationInvalid):
        await enrol(token, OSLO, tls_files(tmp_path), address=f"{LOOPBACK}:1")


async def test_who_tries_too_often_is_slowed_down(counter: Caller, tmp_path: Path) -> None:
    stub: Any = enrolment_pb2_grpc.EnrolmentServiceStub(counter.channel_with(None))
    signing_request = next_request(tls_files(tmp_path), OSLO, [])
    reasons = []
    for _ in range(enrolment_servicer.MAX_TRIES + 1):
        request = enrolment_pb2.EnrolUnitRequest(
            unit=OSLO, secret="guessed", certificate_request=signing_request, request_id=str(uuid4())
        )
        with pytest.raises(RemoteError) as raised, remote_errors():
            await stub.EnrolUnit(request)
        reasons.append(raised.value.reason)
    assert (reasons[0], reasons[-2], reasons[-1]) == ("INVITATION_INVALID", "INVITATION_INVALID", "TOO_MANY_TRIES")


async def test_without_the_authoritys_key_there_are_no_invitations(group: Group, invite: Invite) -> None:
    group.hq.settings.authority_folder = None
    with pytest.raises(RemoteError) as raised:
        await invite()
    assert raised.value.reason == "SIGNING_UNAVAILABLE"


async def test_only_operations_invites(counter: Caller) -> None:
    stub: Any = MembershipServiceStub(counter.channel(Role.LEAD))
    with pytest.raises(RemoteError) as raised, remote_errors():
        await stub.InviteUnit(pb.InviteUnitRequest(unit=OSLO, request_id=str(uuid4())))
    assert raised.value.reason == "ROLE_MISSING"


class Impostor(enrolment_pb2_grpc.EnrolmentServiceServicer):
    """Shows the real authority's certificate, and keeps every secret that it is sent."""

    def __init__(self, authority: bytes) -> None:
        self.authority = authority
        self.heard: list[str] = []

    async def GetAuthority(self, request: Any, context: Any) -> enrolment_pb2.Authority:  # noqa: N802 - the contract's.
        return enrolment_pb2.Authority(certificate=self.authority)

    async def EnrolUnit(self, request: Any, context: Any) -> enrolment_pb2.IssuedCertificate:  # noqa: N802 - as above.
        self.heard.append(request.secret)
        return enrolment_pb2.IssuedCertificate()


@asynccontextmanager
async def serving_as(folder: Path, servicer: Any) -> AsyncIterator[str]:
    server = grpc.aio.server()
    enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server(servicer, server)
    pair = [(folder / "unit.key").read_bytes(), (folder / "unit.crt").read_bytes()]
    port = server.add_secure_port(f"{LOOPBACK}:0", grpc.ssl_server_credentials([(pair[0], pair[1])]))
    await server.start()
    try:
        yield f"{LOOPBACK}:{port}"
    finally:
        await server.stop(None)


@pytest.mark.parametrize("who", ["another authority", "another unit"])
async def test_the_secret_is_not_sent_to_who_is_not_headquarters(
    invite: Invite, authority: CertificateAuthority, tmp_path: Path, who: str
) -> None:
    token, folder = await invite(), tmp_path / "impostor"
    if who == "another authority":
        CertificateAuthority.create(tmp_path / "forger").issue("units/hq", folder)
    else:
        authority.issue(MUNICH, folder)
    impostor = Impostor(authority.certificate_path.read_bytes())
    async with serving_as(folder, impostor) as address:
        with pytest.raises(HubForeign):
            await enrol(token, OSLO, tls_files(tmp_path), address=address)
    assert impostor.heard == []


# Staying.


async def test_a_renewed_certificate_is_used_for_the_next_dial_and_nothing_is_lost(
    group: Group, invite: Invite, tmp_path: Path
) -> None:
    first = await enrol(await invite(), OSLO, tls_files(tmp_path))
    oslo = await group.unit(OSLO, folder=tmp_path)
    await oslo.caught_up()
    renewed = await renew(oslo.runtime.settings)
    assert renewed.serial != first.serial
    assert not next_key_path(tls_files(tmp_path)).exists()
    await oslo.tell((f"{OSLO}/tickets/t1", told.TicketOpened(ticket=summary(f"{OSLO}/tickets/t1"))))
    await oslo.caught_up()
    await group.hub.stop()
    await group.start_hub()
    oslo.runtime.settings.hub_address = f"{LOOPBACK}:{group.hub.port}"
    await oslo.tell((f"{OSLO}/tickets/t2", told.TicketOpened(ticket=summary(f"{OSLO}/tickets/t2"))))
    await oslo.caught_up()
    assert len(await oslo.taken()) == 2


async def test_a_revoked_unit_gets_no_further_certificate_and_comes_back_by_invitation(
    group: Group, invite: Invite, tmp_path: Path
) -> None:
    await enrol(await invite(), OSLO, tls_files(tmp_path))
    oslo = await group.unit(OSLO, folder=tmp_path, agent=False)
    await revoke(group, OSLO)
    with pytest.raises(RemoteError) as raised:
        await renew(oslo.runtime.settings)
    assert raised.value.reason == "UNIT_REVOKED"
    await enrol(await invite(), OSLO, tls_files(tmp_path))
    oslo.start()
    await oslo.caught_up()


async def test_a_member_that_enrols_again_voids_its_earlier_certificates(
    group: Group, invite: Invite, tmp_path: Path
) -> None:
    earlier = await enrol(await invite(), OSLO, tls_files(tmp_path / "lost"))
    await enrol(await invite(), OSLO, tls_files(tmp_path / "new"))
    with pytest.raises(HanseError) as raised:
        await group.hq.database.read(require_member, earlier)
    assert raised.value.reason == "CERTIFICATE_REVOKED"


async def test_a_certificate_is_due_when_a_third_of_its_time_is_left(
    group: Group, invite: Invite, tmp_path: Path
) -> None:
    group.hq.settings.certificate_lifetime_hours = 1
    assert not is_due(await enrol(await invite(), OSLO, tls_files(tmp_path)))
    # It begins five minutes in the past, for clocks that are late.
    group.hq.settings.certificate_lifetime_hours = 2 / 60
    assert is_due(await enrol(await invite(), OSLO, tls_files(tmp_path)))


async def test_the_units_servers_show_a_renewed_certificate_without_a_restart(
    group: Group, invite: Invite, tmp_path: Path
) -> None:
    await enrol(await invite(), OSLO, tls_files(tmp_path))
    oslo = await group.unit(OSLO, folder=tmp_path, agent=False)
    server = RpcServer(f"{LOOPBACK}:0", oslo.runtime.settings.tls, by_token(oslo.runtime.verifier), [])
    await server.start()
    try:
        before = await shown_by(server.port)
        renewed = await renew(oslo.runtime.settings)
        assert [before, await shown_by(server.port)] == [before, renewed.serial]
        assert before != renewed.serial
    finally:
        await server.stop()


async def shown_by(port: int) -> str:
    answer = await look_at(f"{LOOPBACK}:{port}", any_certificate(), DIAL_SECONDS)
    return read_certificate(answer.certificate).serial


# Who is who, at the agent's end.


@pytest.mark.parametrize(
    ("uris", "how"),
    [
        (["spiffe://hanse.local/units/munich"], {}),
        ([HQ_ID, "spiffe://hanse.local/units/munich"], {}),
        ([], {}),
        (["spiffe://elsewhere.example/units/hq"], {}),
        ([HQ_ID], {"expired": True}),
        ([HQ_ID], {"self_signed": True}),
    ],
    ids=["another unit", "two identities", "no identity", "a foreign trust domain", "expired", "self-signed"],
)
async def test_the_agent_says_nothing_to_who_is_not_headquarters(
    group: Group, authority: CertificateAuthority, tmp_path: Path, uris: list[str], how: dict[str, bool]
) -> None:
    munich = await group.unit(MUNICH, agent=False)
    folder = odd_certificate(tmp_path / "odd", authority, uris, **how)
    async with serving_as(folder, Impostor(b"")) as address:
        munich.runtime.settings.hub_address = address
        munich.start()
        await eventually(told_that(munich, "HUB_FOREIGN"))


async def test_a_certificate_that_headquarters_does_not_take_has_its_reason(
    group: Group, authority: CertificateAuthority, tmp_path: Path
) -> None:
    folder = odd_certificate(tmp_path, authority, ["spiffe://hanse.local/units/oslo"], self_signed=True)
    oslo = await group.unit(OSLO, agent=False)
    oslo.runtime.settings.folder = folder
    oslo.start()
    await eventually(told_that(oslo, "CERTIFICATE_REFUSED"))


async def test_an_expired_certificate_is_called_that_at_both_ends(
    group: Group, authority: CertificateAuthority, tmp_path: Path
) -> None:
    folder = odd_certificate(tmp_path, authority, ["spiffe://hanse.local/units/oslo"], expired=True)
    oslo = await group.unit(OSLO, agent=False)
    oslo.runtime.settings.folder = folder
    with pytest.raises(CertificateExpired):
        await hub_channel(oslo.runtime.settings)
    with pytest.raises(CertificateExpired):
        await group.hq.database.read(require_member, read_certificate((folder / "unit.crt").read_bytes()))


async def test_a_certificate_of_another_unit_is_not_the_units(group: Group, authority: CertificateAuthority) -> None:
    oslo = await group.unit(OSLO, agent=False)
    oslo.runtime.settings.folder = authority.issue(MUNICH).certificate_path.parent
    with pytest.raises(CertificateInvalid):
        await hub_channel(oslo.runtime.settings)


# Leaving.


async def test_a_unit_leaves_once_headquarters_has_everything(group: Group, munich: Unit) -> None:
    await munich.caught_up()
    await munich.stop()
    await munich.tell((f"{MUNICH}/tickets/t1", told.TicketOpened(ticket=summary(f"{MUNICH}/tickets/t1"))))
    with pytest.raises(RemoteError) as raised:
        await leave(munich.runtime, "keller")
    assert raised.value.reason == "LEAVE_TOO_EARLY"
    munich.start()
    await munich.caught_up()
    left = await leave(munich.runtime, "keller")
    assert (left.state, left.actor) == (pb.RETIRED, "units/munich/agents/keller")
    await eventually(told_that(munich, "UNIT_RETIRED"))


async def test_a_unit_with_an_open_engagement_stays(group: Group, munich: Unit, shanghai: Unit) -> None:
    ticket_name = "units/shanghai/tickets/t1"
    engagement = engagement_summary(f"{ticket_name}/engagements/e1")
    await shanghai.tell((engagement.name, told.EngagementRequested(engagement=engagement)))
    await shanghai.caught_up()
    with pytest.raises(RemoteError) as raised:
        await leave(shanghai.runtime, "li")
    assert (raised.value.reason, raised.value.metadata["engagement"]) == ("LEAVE_TOO_EARLY", engagement.name)


async def test_without_a_certificate_nobody_renews_or_leaves(counter: Caller, group: Group) -> None:
    async with open_channel(group.hq.settings.serve_address, group.hq.settings.tls.authority) as channel:
        stub: Any = enrolment_pb2_grpc.EnrolmentServiceStub(channel)
        request = enrolment_pb2.RenewCertificateRequest(certificate_request=b"any", request_id=str(uuid4()))
        with pytest.raises(RemoteError) as raised, remote_errors():
            await stub.RenewCertificate(request)
    assert raised.value.reason == "CERTIFICATE_INVALID"
