"""A ticket is erased: no copy of a stream keeps its texts, and none that is still on its way comes in."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.log.follow import StoredRecord
from hanse.names import stream_name
from hanse.policy import load_yaml
from hanse.runtime import Runtime
from hanse_federation.erasing import ticket_erased
from hanse_federation.headquarters.routing import offer_engagement
from hanse_federation.model import SCHEMA, Orphan
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.log.v1.log_pb2 import LogRecord
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import Group, Unit, engagement_summary, summary
from tests.support import OCCUR_TIME, POLICY_YAML, apply

TICKET = "units/shanghai/tickets/t1"
NAME = f"{TICKET}/engagements/e1"
ASKED, NOTED, OTHER = "显示屏黑屏", "Netzteil von Frau Chen", "Another ticket's"
PREFERENCE = """'provider.unit == "units/munich" ? 1 : 0'"""
SHARING = """
sharing:
  - {events: ["*"], fields: ["*"], audience: HEADQUARTERS}
  - {events: [EngagementRequested, EngagementWorkNoted, TicketCommented], fields: ["*"], audience: COUNTERPART}
"""


def holds(runtime: Runtime, words: str) -> bool:
    """Return whether a copy of a stream in the federation's schema holds some words."""
    with psycopg.connect(runtime.settings.database_url) as connection:
        query = "SELECT count(*) FROM federation.log_record WHERE pg_catalog.position(sealed, %s) > 0"
        [count] = connection.execute(query, [words.encode()]).fetchone() or [0]
    return bool(count)


@pytest.fixture
async def engaged(group: Group, shanghai: Unit, munich: Unit) -> str:
    """An engagement that Munich works on, and notes work on while its line is up."""
    policy = Policy(
        name="policies/1", version=1, document=load_yaml(POLICY_YAML.replace("0 - load", PREFERENCE) + SHARING)
    )
    await group.enact(policy)
    await shanghai.enact(policy)
    await munich.enact(policy)
    request = told.EngagementRequested(engagement=engagement_summary(NAME))
    await shanghai.tell((NAME, request), sealed={"title": ASKED})
    await shanghai.tell((f"{TICKET}0", told.TicketOpened(ticket=summary(f"{TICKET}0"))), sealed={"title": OTHER})
    await shanghai.caught_up()
    await group.execute(offer_engagement, pb.OfferEngagementRequest(name=NAME), pb.OfferEngagementResponse)
    await munich.caught_up()
    await says(munich, told.EngagementAccepted, ticket.ACCEPTED)
    await munich.caught_up()
    return NAME


async def says(unit: Unit, kind: Any, state: int, **sealed: str) -> None:
    """Let the provider tell something."""
    engagement = engagement_summary(NAME, provider=unit.name, offer=1, state=state)
    await unit.tell((NAME, kind(engagement=engagement)), sealed=sealed)


async def erase(shanghai: Unit) -> None:
    """Let Shanghai tell that its ticket was erased."""
    await shanghai.tell((TICKET, told.TicketErased(ticket=summary(TICKET, state=ticket.CLOSED))))
    await shanghai.caught_up()


async def react(unit: Unit) -> None:
    """Let the unit's reactions be told what headquarters told last."""
    last = (await unit.told())[-1]
    record = LogRecord(stream=last.stream, epoch=last.epoch, sequence=last.sequence, hash=last.hash, event=last.event)
    await apply(unit.runtime, SCHEMA, record, {told.TicketErased: ticket_erased})


async def is_intact(unit: Unit) -> bool:
    """Return whether every stream that headquarters and the unit share verifies at headquarters."""
    streams = [stream_name(unit.name, "ticket"), stream_name("units/hq", f"to-{unit.name.removeprefix('units/')}")]
    at_headquarters = Unit(unit.hq, unit.line, unit.hq)
    return all([(await at_headquarters.verification(stream)).intact for stream in streams])


async def test_headquarters_copies_lose_the_texts_of_that_ticket_only(
    group: Group, engaged: str, shanghai: Unit, munich: Unit
) -> None:
    await says(munich, told.EngagementWorkNoted, ticket.ACCEPTED, text=NOTED)
    await munich.caught_up()
    await erase(shanghai)
    assert not holds(group.hq, ASKED)
    assert not holds(group.hq, NOTED)
    assert holds(group.hq, OTHER)
    assert await is_intact(shanghai)
    assert await is_intact(munich)


async def test_the_provider_is_told_and_its_copy_loses_them_too(
    group: Group, engaged: str, shanghai: Unit, munich: Unit
) -> None:
    assert holds(munich.runtime, ASKED)
    await erase(shanghai)
    await munich.caught_up()
    assert (await munich.told_types())[-1] == "TicketErased"
    await react(munich)
    assert not holds(munich.runtime, ASKED)
    assert (await munich.verification(stream_name("units/hq", "to-munich"))).intact


async def test_what_waits_for_an_offline_unit_reaches_it_without_texts(
    group: Group, engaged: str, shanghai: Unit, munich: Unit
) -> None:
    munich.line.cut()
    comment = told.TicketCommented(ticket=summary(TICKET, holder="units/munich"), public=True)
    await shanghai.tell((TICKET, comment), sealed={"text": "Frau Chen calls again"})
    await erase(shanghai)
    munich.line.heal()
    await munich.caught_up()
    assert (await munich.told_types())[-2:] == ["TicketCommented", "TicketErased"]
    assert not holds(munich.runtime, "Frau Chen calls again")


async def test_what_an_offline_unit_still_sends_about_it_comes_in_without_texts(
    group: Group, engaged: str, shanghai: Unit, munich: Unit
) -> None:
    munich.line.cut()
    await says(munich, told.EngagementWorkNoted, ticket.ACCEPTED, text=NOTED)
    await erase(shanghai)
    munich.line.heal()
    await munich.caught_up()
    await shanghai.caught_up()
    assert (await shanghai.told_types())[-1] == "EngagementWorkNoted"
    assert not holds(group.hq, NOTED)
    assert not holds(shanghai.runtime, NOTED)
    assert await is_intact(munich)


async def test_a_unit_cant_erase_what_is_anothers(group: Group, engaged: str, munich: Unit) -> None:
    await munich.tell((TICKET, told.TicketErased(ticket=summary(TICKET))))
    await munich.caught_up()
    assert holds(group.hq, ASKED)


async def test_records_that_were_set_apart_lose_them_too(group: Group, engaged: str, shanghai: Unit) -> None:
    await group.hq.database.write(_set_apart, await shanghai.taken())
    await erase(shanghai)
    kept = await group.hq.database.read(lambda session: list(session.scalars(select(Orphan).order_by(Orphan.sequence))))
    assert [orphan.sealed is None for orphan in kept] == [True, False]


def _set_apart(session: Session, records: Sequence[StoredRecord]) -> None:
    for record in records[:2]:
        fields = {name: getattr(record, name) for name in ("stream", "sequence", "hash", "type", "resource", "event")}
        event_id = UUID(record.decoded().event_id)
        times = {"occur_time": OCCUR_TIME, "append_time": OCCUR_TIME}
        session.add(Orphan(**fields, **times, epoch=9, event_id=event_id, sealed=b"text"))
