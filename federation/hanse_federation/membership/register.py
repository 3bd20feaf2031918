"""Who belongs to the group: headquarters' register of the units, and who is let in by it.

    (unknown) --invite--> INVITED --enrol--> ACTIVE --revoke--> REVOKED     coming back:
        └-------------------admit--------------^ └-----leave----> RETIRED     invite, or admit

Headquarters retires a unit (`retirement`), also one that was shut out, or that has left by itself: then its work goes
to others.

The register decides whether the hub takes a unit's link (`require_member`) and stores what comes over it
(`refuse_outsider`, in the transaction), and to whom headquarters passes facts on (`active_units`). A unit is told what
it needs when it is admitted (`seeding`), so whoever comes late works like the others. What is decided is told on
headquarters' own stream, so that the history says who admitted whom.

Certificates come and go by themselves: several of a unit are good at a time. `Certificate` keeps those that
headquarters signed or has seen, so that they can be revoked by their serial numbers when the unit is, or when the
group's authority says so; from then on they are void for ever, also when the unit comes back.
"""

from collections.abc import Collection, Sequence
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.clock import utc_now
from hanse.errors import (
    CertificateExpired,
    CertificateRevoked,
    UnitNotAdmitted,
    UnitRetired,
    UnitRevoked,
    ValidationFailed,
)
from hanse.identity import UnitCertificate
from hanse.names import HEADQUARTERS
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse.times import put_time, timestamp
from hanse.transitions import next_state
from hanse.work import Cause, CommandExecutor, Work
from hanse_federation.membership.revocations import refuse_revoked
from hanse_federation.model import MEMBER_TRANSITIONS, SCHEMA, Certificate, Member
from hanse_protos.federation.v1 import membership_pb2 as pb

_REFUSALS = {pb.REVOKED: UnitRevoked, pb.RETIRED: UnitRetired}


# Deciding.


def admit_unit(work: Work, request: pb.AdmitUnitRequest) -> pb.Member:
    """Make a unit a member. Raises ValidationFailed for headquarters, which always is one."""
    member = changing(work, request.unit)
    if member.state != pb.ACTIVE:
        move(work, member, "AdmitUnit")
        work.tell(member.unit, pb.UnitAdmitted(unit=member.unit))
    return member_to_proto(work.session, member)


def revoke_unit(work: Work, request: pb.RevokeUnitRequest) -> pb.Member:
    """Shut a unit out, with every certificate it has. Raises IllegalTransition, ValidationFailed for headquarters."""
    member = changing(work, request.unit)
    move(work, member, "RevokeUnit", request.reason)
    member.invitation_digest = member.invitation_expire_time = None
    revoke_certificates(work, member.unit)
    work.tell(member.unit, pb.UnitRevoked(unit=member.unit), reason=request.reason)
    return member_to_proto(work.session, member)


def changing(work: Work, unit: str) -> Member:
    """Return a unit's row, locked until the transaction ends; a new one for a unit that is not known yet."""
    if unit == HEADQUARTERS:
        raise ValidationFailed("Headquarters always belongs to its own group.", fields="unit")
    member = work.session.get(Member, unit, with_for_update=True, populate_existing=True)
    return member or Member(unit=unit, state=pb.MEMBER_STATE_UNSPECIFIED, create_time=work.now, reason="")


def move(work: Work, member: Member, verb: str, reason: str = "") -> None:
    """Take a unit to the state where a verb leads. Raises IllegalTransition."""
    target = next_state(MEMBER_TRANSITIONS, pb.MemberState, member.unit, member.state, verb)
    member.state, member.change_time, member.actor, member.reason = target, work.now, work.cause.actor, reason
    work.session.add(member)
    work.session.flush()


def revoke_certificates(work: Work, unit: str) -> None:
    """Make every certificate void that headquarters knows of a unit."""
    standing = (Certificate.unit == unit, Certificate.revoke_time.is_(None))
    work.session.execute(update(Certificate).where(*standing).values(revoke_time=work.now))


def revoke_serials(work: Work, serials: Collection[str]) -> list[str]:
    """Make those certificates void that headquarters knows of; return the units that had one that stood, by name."""
    # Whoever comes now with a certificate that isn't known yet waits, and is then checked against the list.
    work.session.execute(text(f'LOCK TABLE "{SCHEMA.name}".certificate IN SHARE ROW EXCLUSIVE MODE'))
    standing = (Certificate.serial.in_(serials), Certificate.revoke_time.is_(None))
    voided = update(Certificate).where(*standing).values(revoke_time=work.now).returning(Certificate.unit)
    return sorted(set(work.session.scalars(voided)))


async def found(executor: CommandExecutor, units: Sequence[str]) -> None:
    """Admit the units with which a group begins. One that is known already stays as it was decided."""
    known = await executor.database.read(lambda session: set(session.scalars(select(Member.unit))))
    for unit in units:
        if unit not in known and unit != HEADQUARTERS:
            request = pb.AdmitUnitRequest(unit=unit, request_id=str(uuid5(NAMESPACE_URL, f"founding:{unit}")))
            cause = Cause(f"{HEADQUARTERS}/services/{SCHEMA.name}", request.request_id)
            await executor.execute(admit_unit, request, cause, pb.Member)


# Letting in.


def require_member(session: Session, certificate: UnitCertificate) -> None:
    """Check that a unit is a member and that its certificate stands.

    Raises UnitNotAdmitted, UnitRevoked, UnitRetired, CertificateRevoked; CertificateExpired where it expired while the
    link was up.
    """
    unit = certificate.unit
    if unit != HEADQUARTERS:
        refuse_outsider(unit, session.scalar(select(Member.state).where(Member.unit == unit)))
    known = session.execute(select(Certificate.revoke_time).where(Certificate.serial == certificate.serial)).first()
    if known is None:
        refuse_revoked(session, certificate)
    elif known.revoke_time:
        raise CertificateRevoked(unit=unit, serial=certificate.serial)
    if certificate.expire_time <= utc_now():
        raise CertificateExpired(unit=unit, expire_time=certificate.expire_time.isoformat())


def hold_state(session: Session, unit: str) -> None:
    """Keep a unit's state as it is until the transaction ends: asked before the unit gets or shows a new certificate.

    Whoever shuts the unit out at the same time waits, and then finds the certificate and makes it void.
    """
    session.execute(select(Member.state).where(Member.unit == unit).with_for_update(read=True))


def refuse_outsider(unit: str, state: int | None) -> None:
    """Raise UnitRevoked, UnitRetired or UnitNotAdmitted unless a unit's state is a member's; None is unknown."""
    if state != pb.ACTIVE:
        raise _REFUSALS.get(state, UnitNotAdmitted)(unit=unit)  # type: ignore[call-overload]


def save_certificate(session: Session, certificate: UnitCertificate) -> None:
    """Keep that a unit has a certificate, so that it can be revoked with the unit."""
    row = {
        "serial": certificate.serial,
        "unit": certificate.unit,
        "start_time": certificate.start_time,
        "expire_time": certificate.expire_time,
    }
    session.execute(upsert(Certificate).values(**row).on_conflict_do_nothing())


def admitted(session: Session, certificate: UnitCertificate) -> None:
    """Let a member in, and keep its certificate. Raises what `require_member` raises."""
    hold_state(session, certificate.unit)
    # Kept first: a list that comes in the meantime finds it, or is here by the time that it is looked at.
    save_certificate(session, certificate)
    require_member(session, certificate)
    refuse_revoked(session, certificate)


def hold_members(session: Session) -> None:
    """Keep the register as it is until the transaction ends.

    Who asks units for something does so before it locks an engagement, as a retirement does: that waits then, and finds
    what the unit was asked for; or it was first, and the unit is asked no more.
    """
    session.execute(text(f'LOCK TABLE "{SCHEMA.name}".member IN SHARE MODE'))


def active_units(session: Session) -> set[str]:
    """Return the members and headquarters, and keep them so until the transaction ends.

    Without the lock a unit that is admitted at the same time might miss what the transaction sends to all: it would
    neither be among those it goes to, nor find it among what it is told at admission.
    """
    hold_members(session)
    return {HEADQUARTERS, *session.scalars(select(Member.unit).where(Member.state == pb.ACTIVE))}


def units_that_left(session: Session) -> frozenset[str]:
    """Return the units that were shut out or have left: routing asks them no more."""
    return frozenset(session.scalars(select(Member.unit).where(Member.state.in_((pb.REVOKED, pb.RETIRED)))))


# Showing.


def list_members(session: Session, request: pb.ListMembersRequest) -> pb.ListMembersResponse:
    """Return a page of the units that are or were members, by name."""
    size = page_size(request.page_size)
    query = select(Member).order_by(Member.unit)
    if key := decode_token(request.page_token, [str]):
        query = query.where(Member.unit > key[0])
    rows = list(session.scalars(query.limit(size + 1)))
    token = encode_token(rows[size - 1].unit) if len(rows) > size else ""
    return pb.ListMembersResponse(members=[member_to_proto(session, row) for row in rows[:size]], next_page_token=token)


def member_to_proto(session: Session, member: Member) -> pb.Member:
    """Return a unit's membership with its newest certificate that stands."""
    message = pb.Member(
        unit=member.unit,
        state=member.state,  # type: ignore[arg-type]  # A plain int in the row.
        create_time=timestamp(member.create_time),
        change_time=timestamp(member.change_time),
        actor=member.actor,
        reason=member.reason,
    )
    put_time(message.invitation_expire_time, member.invitation_expire_time)
    if certificate := newest_certificate(session, member.unit):
        message.certificate_serial = certificate.serial
        message.certificate_expire_time.CopyFrom(timestamp(certificate.expire_time))
    return message


def newest_certificate(session: Session, unit: str) -> Certificate | None:
    """Return a unit's certificate that expires last, of those that stand."""
    standing = (Certificate.unit == unit, Certificate.revoke_time.is_(None))
    return session.scalar(select(Certificate).where(*standing).order_by(Certificate.expire_time.desc()).limit(1))
