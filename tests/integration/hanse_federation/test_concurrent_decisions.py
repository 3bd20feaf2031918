"""Two transactions of headquarters at a time: two of its services, or one while its hub lets a unit in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.config import tls_files
from hanse.identity import UnitCertificate, read_certificate
from hanse.identity.unit_files import next_request
from hanse.names import HEADQUARTERS
from hanse.policy.store import PolicyStore
from hanse.work import Cause, Work
from hanse_federation.headquarters.routing import offer_engagement
from hanse_federation.membership.counter import Signing, renewing
from hanse_federation.membership.register import admitted
from hanse_federation.model import SCHEMA, Certificate, GroupEngagement
from hanse_protos.federation.v1 import enrolment_pb2, group_pb2
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary
from tests.integration.hanse_federation.test_membership import MUNICH, revoke
from tests.integration.hanse_federation.test_retirement import retire
from tests.integration.hanse_federation.test_routing import NAME, sharing_policy
from tests.interleaving import interleaved
from tests.support import MakeUnitFolder


@pytest.fixture
async def certificate(group: Group, unit_folder: MakeUnitFolder) -> UnitCertificate:
    """The certificate of Munich, which was admitted and never came yet."""
    await group.admit(MUNICH)
    return read_certificate((unit_folder(MUNICH) / "unit.crt").read_bytes())


def work_in(session: Session, group: Group, actor: str) -> Work:
    return Work(session, group.hq.unit, Cause(actor, "r"), group.now, PolicyStore(SCHEMA))


async def standing(group: Group) -> list[str]:
    """Return the serial numbers of Munich's certificates that aren't void."""
    query = select(Certificate.serial).where(Certificate.unit == MUNICH, Certificate.revoke_time.is_(None))
    return await group.hq.database.read(lambda session: list(session.scalars(query)))


async def test_a_certificate_that_is_renewed_while_its_unit_is_shut_out_is_void_too(
    group: Group, certificate: UnitCertificate, tmp_path: Path
) -> None:
    signing_request = next_request(tls_files(tmp_path), MUNICH, [])

    def renew(session: Session) -> None:
        request = enrolment_pb2.RenewCertificateRequest(certificate_request=signing_request)
        renewing(Signing(group.hq.settings), certificate)(work_in(session, group, f"{MUNICH}/services/link"), request)

    await interleaved(group.hq.database, renew, partial(revoke, group, MUNICH))
    assert await standing(group) == []


async def test_a_certificate_that_is_first_shown_while_its_unit_is_shut_out_is_void_too(
    group: Group, certificate: UnitCertificate
) -> None:
    def let_in(session: Session) -> None:
        admitted(session, certificate)

    await interleaved(group.hq.database, let_in, partial(revoke, group, MUNICH))
    assert await standing(group) == []


async def test_what_is_offered_to_a_unit_while_it_is_retired_is_offered_to_another(
    group: Group, shanghai: Unit, munich: Unit
) -> None:
    await group.enact(sharing_policy())
    await shanghai.tell((NAME, told.EngagementRequested(engagement=engagement_summary(NAME))))
    await shanghai.caught_up()

    def offer(session: Session) -> str:
        work = work_in(session, group, f"{HEADQUARTERS}/services/escalation")
        return offer_engagement(work, group_pb2.OfferEngagementRequest(name=NAME)).offer.provider

    provider, retired = await interleaved(group.hq.database, offer, partial(retire, group))
    assert (provider, list(retired.reassigned_engagements)) == (MUNICH, [NAME])
    row = await group.hq.database.read(lambda session: session.get_one(GroupEngagement, NAME))
    assert (row.state, row.provider, row.offer) == (ticket.OFFERED, HEADQUARTERS, 2)
