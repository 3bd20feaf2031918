"""Headquarters tells every unit which certificates are void (`revocations`).

Where it has the authority's key it signs a list itself, with whatever command makes a certificate void. Where the key
is kept elsewhere, a person brings the list that was signed there, and it goes the same way: what it names is void here
from then on, so links close and nobody comes in with it, and every unit is told. Such a list replaces the one before in
every unit, so it is refused unless it is newer, and names all that headquarters holds void.
"""

from collections.abc import Collection, Iterable
from functools import wraps
from typing import TypeVar

import structlog
from google.protobuf.message import Message
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import RevocationListIncomplete, RevocationListOutdated, SigningUnavailable
from hanse.identity import check_revocation_list, revoked_serials
from hanse.names import HEADQUARTERS
from hanse.work import Command, Work
from hanse_federation.membership.counter import Signing
from hanse_federation.membership.register import revoke_serials
from hanse_federation.membership.revocations import keep_list, newest_list, newest_number
from hanse_federation.model import Certificate
from hanse_protos.federation.v1 import membership_pb2 as pb

Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)

MAX_NAMED_CERTIFICATES = 10
"""How many of what a list leaves out are named, at 100 bytes each at most: as many as an error's message holds."""

logger = structlog.get_logger(__name__)


def listing_revocations(command: Command[Request, Answer], signing: Signing) -> Command[Request, Answer]:
    """Return a command that also tells every unit which certificates are void, where it has made any so."""

    # A request id belongs to one command, by its name.
    @wraps(command)
    def run(work: Work, request: Request) -> Answer:
        answer = command(work, request)
        _tell_revocations(work, signing)
        return answer

    return run


def _tell_revocations(work: Work, signing: Signing) -> None:
    work.session.flush()
    revoked_now = select(Certificate.unit).where(Certificate.revoke_time == work.now).distinct()
    units = sorted(work.session.scalars(revoked_now))
    if not units:
        return
    try:
        authority = signing.authority
    except SigningUnavailable:
        logger.warning("peers can't be told of void certificates: the authority's key is not here", units=units)
        return
    serials = sorted(_void_serials(work))
    content = authority.revocation_list(serials, work.now, after=newest_number(work.session))
    _tell_list(work, units, check_revocation_list(content, authority.certificate_path.read_bytes()), content)


def _void_serials(work: Work) -> set[str]:
    """Return the serial numbers of what is void and has not expired anyway.

    Of what a list names that was signed elsewhere, headquarters may never have seen a certificate: that stays void.
    """
    named = revoked_serials(newest_list(work.session))
    known = set(work.session.scalars(select(Certificate.serial).where(Certificate.serial.in_(named))))
    return {certificate.serial for certificate in _void(work)} | named - known


def _void(work: Work) -> Iterable[Certificate]:
    void = (Certificate.revoke_time.is_not(None), Certificate.expire_time > work.now)
    return work.session.scalars(select(Certificate).where(*void).order_by(Certificate.unit, Certificate.serial))


def _tell_list(work: Work, units: Iterable[str], number: int, content: bytes) -> None:
    """Tell every unit a list that was checked, as a fact about the units whose certificates it has made void."""
    keep_list(work.session, number, content)
    for unit in units:
        work.tell(unit, pb.UnitCertificatesRevoked(unit=unit, number=number, revocation_list=content))


def publishing(authority: bytes) -> Command[pb.PublishRevocationsRequest, pb.PublishRevocationsResponse]:
    """Return the command that tells every unit a list that the authority (PEM) has signed elsewhere."""

    def publish_revocations(work: Work, request: pb.PublishRevocationsRequest) -> pb.PublishRevocationsResponse:
        """Make what a list names void, here and in every unit; a list that is here already tells nobody anything.

        Raises RevocationListInvalid, RevocationListOutdated, RevocationListIncomplete.
        """
        content = request.revocation_list
        number, serials = check_revocation_list(content, authority), revoked_serials(content)
        units = revoke_serials(work, serials)
        if content != newest_list(work.session):
            _refuse_outdated(work.session, number)
            _refuse_incomplete(work, serials)
            # What is void may be nothing that headquarters has ever seen: then it is a fact about the group.
            _tell_list(work, units or [HEADQUARTERS], number, content)
        return pb.PublishRevocationsResponse(number=number, certificate_count=len(serials), units=units)

    return publish_revocations


def _refuse_outdated(session: Session, number: int) -> None:
    """Raise RevocationListOutdated unless a list with this number would replace the newest one."""
    newest = newest_number(session)
    if number <= newest:
        raise RevocationListOutdated(
            f"The list of void certificates has the number {number}, and the newest one here has {newest}.",
            number=str(number),
            newest=str(newest),
        )


def _refuse_incomplete(work: Work, serials: Collection[str]) -> None:
    """Raise RevocationListIncomplete for a list by which peers would take again what is void."""
    missing = [f"{one.serial} of {one.unit}" for one in _void(work) if one.serial not in serials]
    if missing:
        named, more = ", ".join(missing[:MAX_NAMED_CERTIFICATES]), len(missing) - MAX_NAMED_CERTIFICATES
        and_more = f", and {more} more" if more > 0 else ""
        raise RevocationListIncomplete(f"The list leaves out what is void at headquarters: {named}{and_more}.")
