"""Headquarters tells every unit which certificates are void (`revocations`), with whatever command makes any so."""

from datetime import datetime
from functools import wraps
from typing import TypeVar

import structlog
from google.protobuf.message import Message
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import SigningUnavailable
from hanse.identity import check_revocation_list
from hanse.work import Command, Work
from hanse_federation.membership.counter import Signing
from hanse_federation.model import Certificate
from hanse_protos.federation.v1 import membership_pb2 as pb

Request = TypeVar("Request", bound=Message)
Answer = TypeVar("Answer", bound=Message)

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
    content = authority.revocation_list(_void_serials(work.session, work.now), work.now)
    number = check_revocation_list(content, authority.certificate_path.read_bytes())
    for unit in units:
        work.tell(unit, pb.UnitCertificatesRevoked(unit=unit, number=number, revocation_list=content))


def _void_serials(session: Session, now: datetime) -> list[str]:
    """Return the serial numbers of what is void and has not expired anyway."""
    void = (Certificate.revoke_time.is_not(None), Certificate.expire_time > now)
    return list(session.scalars(select(Certificate.serial).where(*void).order_by(Certificate.serial)))
