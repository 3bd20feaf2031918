"""Void certificates, as every unit knows them.

Headquarters refuses a void certificate by its register, and one that it has never seen by the list. Peers also talk to
each other while headquarters is out of reach, so each unit keeps the list of all that are void: the group's authority
has signed it, headquarters tells it with every change, and peers pass it on to each other. A unit that was cut off
hears of it from the first peer that knows.

Where headquarters has no key of the authority there is no list until a person brings one that was signed elsewhere
(`listing`): until then peers refuse a void certificate only once the policy names the unit as a peer no more.
"""

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.errors import CertificateRevoked
from hanse.identity import UnitCertificate, is_revoked
from hanse.log.events import Fact
from hanse.work import Work
from hanse_federation.model import RevocationList
from hanse_protos.federation.v1 import membership_pb2 as pb

BEFORE_ANY = -1
"""A number that is less than any list's."""


def certificates_revoked(work: Work, fact: Fact) -> None:
    """Keep the list that headquarters has told."""
    told = fact.payload
    if isinstance(told, pb.UnitCertificatesRevoked):
        keep_list(work.session, told.number, told.revocation_list)


def keep_list(session: Session, number: int, content: bytes) -> None:
    """Keep a list that was checked, unless a later one is here."""
    session.execute(upsert(RevocationList).values(number=number, content=content).on_conflict_do_nothing())
    newest = select(func.max(RevocationList.number)).scalar_subquery()
    session.execute(delete(RevocationList).where(RevocationList.number < newest))


def newest_list(session: Session) -> bytes:
    """Return the newest list here, or nothing."""
    return session.scalar(select(RevocationList.content).order_by(RevocationList.number.desc()).limit(1)) or b""


def newest_number(session: Session) -> int:
    """Return the number of the newest list here; less than any where there is none."""
    newest = session.scalar(select(func.max(RevocationList.number)))
    return BEFORE_ANY if newest is None else newest


def refuse_revoked(session: Session, certificate: UnitCertificate) -> None:
    """Raise CertificateRevoked for a certificate that the newest list here names."""
    content = newest_list(session)
    if content and is_revoked(content, certificate.serial):
        raise CertificateRevoked(unit=certificate.unit, serial=certificate.serial)
