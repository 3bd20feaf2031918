"""Headquarters' counter for units: inviting, signing the first certificate and the next ones, letting a unit go.

A command's answer is stored for whoever repeats the request, so the secret of an invitation is made outside of it, and
the command is made for its digest. What a certificate says is decided here alone: the unit that was invited, or the one
in the client's certificate. Of the unit's request only its key and its DNS names count.

Where this process has no key of the group's authority, signing is refused with SIGNING_UNAVAILABLE: then certificates
come from the group's own PKI, and units are admitted without an invitation (`membership.admit_unit`).
"""

import hmac
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from hanse.config import Settings
from hanse.engagement_states import OVER
from hanse.errors import InvitationInvalid, LeaveTooEarly, ResourceNotFound, SigningUnavailable
from hanse.identity import CertificateAuthority, UnitCertificate, dns_names_of, read_certificate
from hanse.log.append import Head
from hanse.log.follow import read_cursor, read_head
from hanse.names import downstream_name, stream_name
from hanse.times import timestamp
from hanse.work import Command, Work
from hanse_federation.link.frames import heads_by_stream
from hanse_federation.membership.invitations import digest_of
from hanse_federation.membership.register import (
    changing,
    hold_state,
    member_to_proto,
    move,
    require_member,
    revoke_certificates,
    save_certificate,
)
from hanse_federation.model import LINK_FOLLOWER, LOG, UPSTREAM_SERVICES, GroupEngagement, Member
from hanse_protos.federation.v1 import enrolment_pb2 as pb
from hanse_protos.federation.v1 import membership_pb2 as members

EVERYBODYS_NAMES = frozenset({"localhost"})
"""The DNS names that any unit's certificate may have, headquarters' own among them."""
NO_DIGEST = bytes(32)
"""What a secret is compared with where there is no invitation, so that it takes as long."""


class Signing:
    """Signs certificates with the key of the group's authority, as headquarters' settings say."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def authority(self) -> CertificateAuthority:
        """The authority. Raises SigningUnavailable where this process has no key of it."""
        if self._settings.authority_folder is None:
            raise SigningUnavailable
        try:
            return CertificateAuthority.load(self._settings.authority_folder)
        except ResourceNotFound as error:
            raise SigningUnavailable(str(error)) from error

    def sign(self, unit: str, request: bytes) -> bytes:
        """Return a certificate for exactly this unit, PEM. Raises SigningUnavailable, CertificateInvalid."""
        lifetime = timedelta(hours=self._settings.certificate_lifetime_hours)
        own_names = set(dns_names_of(self._settings.tls.certificate.read_bytes())) - EVERYBODYS_NAMES
        reserved = own_names if unit != self._settings.unit else set()
        return self.authority.sign(unit, request, lifetime, reserved=reserved)


# Inviting.


def inviting(secret_digest: bytes, lifetime: timedelta) -> Command[members.InviteUnitRequest, members.Member]:
    """Return the command that invites a unit with the secret of this digest."""

    def invite_unit(work: Work, request: members.InviteUnitRequest) -> members.Member:
        """Invite a unit. Raises ValidationFailed for headquarters."""
        member = changing(work, request.unit)
        move(work, member, "InviteUnit")
        member.invitation_digest, member.invitation_expire_time = secret_digest, work.now + lifetime
        told = members.UnitInvited(unit=member.unit, expire_time=timestamp(member.invitation_expire_time))
        work.tell(member.unit, told)
        return member_to_proto(work.session, member)

    return invite_unit


def invitation_digest(session: Session, unit: str) -> bytes | None:
    """Return the digest of a unit's invitation that stands."""
    return session.scalar(select(Member.invitation_digest).where(Member.unit == unit))


# Signing.


def enrolling(signing: Signing) -> Command[pb.EnrolUnitRequest, pb.IssuedCertificate]:
    """Return the command that takes up an invitation."""

    def enrol_unit(work: Work, request: pb.EnrolUnitRequest) -> pb.IssuedCertificate:
        """Sign an invited unit's certificate; every earlier one is void.

        Raises InvitationInvalid, CertificateInvalid, SigningUnavailable.
        """
        member = work.session.get(Member, request.unit, with_for_update=True, populate_existing=True)
        _check_invitation(member, request.secret, work.now)
        if member is None:
            raise InvitationInvalid
        content = signing.sign(member.unit, request.certificate_request)
        newly = member.state != members.ACTIVE
        move(work, member, "EnrolUnit")
        member.invitation_digest = member.invitation_expire_time = None
        revoke_certificates(work, member.unit)
        if newly:
            work.tell(member.unit, members.UnitAdmitted(unit=member.unit))
        return _issue(work, content)

    return enrol_unit


def _check_invitation(member: Member | None, secret: str, now: datetime) -> None:
    """Raise InvitationInvalid unless the secret is that of the unit's invitation, and it stands still."""
    digest = member.invitation_digest if member else None
    expire_time = member.invitation_expire_time if member else None
    fits = hmac.compare_digest(digest or NO_DIGEST, digest_of(secret))
    if not fits or expire_time is None or expire_time <= now:
        raise InvitationInvalid


def renewing(
    signing: Signing, certificate: UnitCertificate
) -> Command[pb.RenewCertificateRequest, pb.IssuedCertificate]:
    """Return the command that renews the certificate that its caller has shown."""

    def renew_certificate(work: Work, request: pb.RenewCertificateRequest) -> pb.IssuedCertificate:
        """Sign a member's next certificate; the one before stays good. Raises what `require_member` raises."""
        hold_state(work.session, certificate.unit)
        require_member(work.session, certificate)
        return _issue(work, signing.sign(certificate.unit, request.certificate_request))

    return renew_certificate


def _issue(work: Work, content: bytes) -> pb.IssuedCertificate:
    certificate = read_certificate(content)
    save_certificate(work.session, certificate)
    expire_time = timestamp(certificate.expire_time)
    told = members.UnitCertified(unit=certificate.unit, serial=certificate.serial, expire_time=expire_time)
    work.tell(certificate.unit, told)
    return pb.IssuedCertificate(
        unit=certificate.unit, certificate=content, serial=certificate.serial, expire_time=expire_time
    )


# Leaving.


def leaving(certificate: UnitCertificate) -> Command[pb.LeaveGroupRequest, members.Member]:
    """Return the command with which the unit that has shown a certificate leaves."""

    def leave_group(work: Work, request: pb.LeaveGroupRequest) -> members.Member:
        """Let a unit go. Raises LeaveTooEarly, and what `require_member` raises."""
        require_member(work.session, certificate)
        member = changing(work, certificate.unit)
        _check_nothing_under_way(work.session, member.unit, heads_by_stream(request.heads))
        move(work, member, "LeaveGroup", "it left by itself")
        member.invitation_digest = member.invitation_expire_time = None
        revoke_certificates(work, member.unit)
        work.tell(member.unit, members.UnitRetired(unit=member.unit))
        return member_to_proto(work.session, member)

    return leave_group


def _check_nothing_under_way(session: Session, unit: str, heads: dict[str, Head]) -> None:
    """Raise LeaveTooEarly while something was not acknowledged, either way, or an engagement of the unit is open."""
    for service in UPSTREAM_SERVICES:
        stream = stream_name(unit, service)
        if stream not in heads or read_head(session, LOG, stream) != heads[stream]:
            raise LeaveTooEarly(f"Headquarters does not have all of {stream}.", unit=unit)
    downstream = downstream_name(unit)
    if read_cursor(session, LOG, LINK_FOLLOWER, downstream).sequence < read_head(session, LOG, downstream).sequence:
        raise LeaveTooEarly("The unit has not acknowledged all that headquarters told it.", unit=unit)
    of_unit = or_(GroupEngagement.home == unit, GroupEngagement.provider == unit)
    query = select(GroupEngagement.name).where(of_unit, GroupEngagement.state.not_in(OVER))
    if name := session.scalar(query.order_by(GroupEngagement.name).limit(1)):
        raise LeaveTooEarly(f"{name} is not over.", unit=unit, engagement=name)
