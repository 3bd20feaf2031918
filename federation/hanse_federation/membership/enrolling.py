"""The unit's side of enrolling: it takes up an invitation, keeps its certificate fresh, and leaves.

    invited --enrol--> certificate --renew, when a third of its time is left--> next certificate …

The key is made here and stays here. A certificate is renewed well before it expires; while headquarters can't be
reached the one in use goes on, and the next try comes in a minute. The live link is not disturbed: the next dial uses
the new certificate, and so do the unit's servers at their next connection.
"""

import asyncio
import hmac
from collections.abc import Sequence
from hashlib import sha256
from uuid import NAMESPACE_OID, uuid4, uuid5

import structlog

from hanse.clock import utc_now
from hanse.config import Settings
from hanse.errors import CertificateInvalid, HanseError, HubForeign, InvitationInvalid
from hanse.identity import (
    UnitCertificate,
    create_signing_key,
    fingerprint_of,
    is_signed_by,
    read_certificate,
)
from hanse.identity.unit_files import current_dns_names, next_request, place_certificate, read_identity
from hanse.log.follow import read_head
from hanse.rpc.client import CALL_TIMEOUT_SECONDS, RemoteError, remote_errors
from hanse.rpc.tls import TlsFiles
from hanse.runtime import Runtime
from hanse_federation.link.dialling import (
    DIAL_SECONDS,
    any_certificate,
    check_headquarters,
    hub_channel,
    look_at,
    pinned_channel,
)
from hanse_federation.link.frames import stream_head
from hanse_federation.link.sending import upstream_sources
from hanse_federation.membership.invitations import InvitationToken
from hanse_protos.federation.v1 import enrolment_pb2 as pb
from hanse_protos.federation.v1.enrolment_pb2_grpc import EnrolmentServiceStub
from hanse_protos.federation.v1.membership_pb2 import Member

CHECK_SECONDS = 60.0
"""Between two looks at whether the certificate is due, and between two tries."""
RENEWED_BELOW = 1 / 3
"""The part of a certificate's time that is left when it is renewed: a unit may be offline for about as long."""

logger = structlog.get_logger(__name__)


# Coming.


async def enrol(
    token: str, unit: str, files: TlsFiles, *, address: str = "", dns_names: Sequence[str] = ()
) -> UnitCertificate:
    """Take up an invitation: make a key, have its certificate signed, and put both in place. Safe to repeat.

    The secret is sent only once whoever answers has shown to be headquarters under the authority that the invitation
    names. Raises InvitationInvalid, HubForeign, UnitUnreachable, and RemoteError with headquarters' reasons.
    """
    invitation = InvitationToken.parse(token)
    if invitation.unit != unit:
        raise InvitationInvalid(hint=f"This invitation is for {invitation.unit}.")
    address = address or invitation.address
    answer = await look_at(address, any_certificate(), DIAL_SECONDS)
    async with pinned_channel(address, answer.certificate) as channel:
        counter = EnrolmentServiceStub(channel)
        with remote_errors():
            shown = await counter.GetAuthority(pb.GetAuthorityRequest(), timeout=CALL_TIMEOUT_SECONDS)
        check_invited_by(invitation, shown.certificate, answer.certificate)
        request = next_request(files, unit, dns_names)
        with remote_errors():
            issued = await counter.EnrolUnit(_enrol_request(invitation, request), timeout=CALL_TIMEOUT_SECONDS)
    certificate = _checked(issued, unit, shown.certificate)
    create_signing_key(files.key.parent)
    place_certificate(files, issued.certificate, shown.certificate)
    return certificate


def check_invited_by(invitation: InvitationToken, authority: bytes, server: bytes) -> None:
    """Raise HubForeign unless the authority is the invitation's, and has signed a certificate of headquarters."""
    try:
        fingerprint = fingerprint_of(authority)
    except CertificateInvalid as error:
        raise HubForeign from error
    if not hmac.compare_digest(fingerprint, invitation.authority) or not is_signed_by(server, authority):
        raise HubForeign("What answers is not under the authority that the invitation names.")
    check_headquarters(server)


def _enrol_request(invitation: InvitationToken, request: bytes) -> pb.EnrolUnitRequest:
    # The same id for the same key: whoever got no answer repeats the command and gets the certificate after all.
    digest = sha256(invitation.secret.encode() + request).hexdigest()
    return pb.EnrolUnitRequest(
        unit=invitation.unit,
        secret=invitation.secret,
        certificate_request=request,
        request_id=str(uuid5(NAMESPACE_OID, digest)),
    )


def _checked(issued: pb.IssuedCertificate, unit: str, authority: bytes) -> UnitCertificate:
    certificate = read_certificate(issued.certificate)
    if certificate.unit != unit or not is_signed_by(issued.certificate, authority):
        raise CertificateInvalid(f"The certificate that was issued is not {unit}'s, or not of the group's authority.")
    return certificate


# Staying.


async def renew(settings: Settings) -> UnitCertificate:
    """Have the unit's next certificate signed, and put it in place. Raises what `hub_channel` raises; RemoteError."""
    files = settings.tls
    request = pb.RenewCertificateRequest(
        certificate_request=next_request(files, settings.unit, current_dns_names(files)), request_id=str(uuid4())
    )
    async with await hub_channel(settings) as channel:
        with remote_errors():
            issued = await EnrolmentServiceStub(channel).RenewCertificate(request, timeout=CALL_TIMEOUT_SECONDS)
    certificate = _checked(issued, settings.unit, read_identity(files).authority)
    place_certificate(files, issued.certificate)
    return certificate


def is_due(certificate: UnitCertificate) -> bool:
    """Return whether a certificate has to be renewed now."""
    lifetime = certificate.expire_time - certificate.start_time
    return certificate.expire_time - utc_now() < lifetime * RENEWED_BELOW


class Renewal:
    """Keeps the unit's certificate fresh."""

    def __init__(self, settings: Settings, *, check_seconds: float = CHECK_SECONDS) -> None:
        self._settings = settings
        self._check_seconds = check_seconds

    async def run(self) -> None:
        """Renew the certificate whenever it is due, until cancelled."""
        while True:
            try:
                await self._renew_if_due()
            except (HanseError, RemoteError, OSError) as problem:
                # The one in use is good for as long again as a third of its time, and the next try comes soon.
                logger.warning("the unit's certificate could not be renewed", problem=str(problem))
            await asyncio.sleep(self._check_seconds)

    async def _renew_if_due(self) -> None:
        if is_due(read_certificate(read_identity(self._settings.tls).certificate)):
            renewed = await renew(self._settings)
            logger.info("the unit's certificate was renewed", serial=renewed.serial, until=str(renewed.expire_time))


# Leaving.


async def leave(runtime: Runtime, person: str) -> Member:
    """Leave the group. Raises RemoteError with LEAVE_TOO_EARLY while something is under way."""
    heads = [
        stream_head(source.stream, await runtime.database.read(read_head, source.log, source.stream))
        for source in upstream_sources(runtime.unit)
    ]
    request = pb.LeaveGroupRequest(heads=heads, person=person, request_id=str(uuid4()))
    async with await hub_channel(runtime.settings) as channel:
        with remote_errors():
            member: Member = await EnrolmentServiceStub(channel).LeaveGroup(request, timeout=CALL_TIMEOUT_SECONDS)
    return member
