"""What comes back of tickets and engagements from their events alone, without the texts that never left the unit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from google.protobuf.message import Message
from sqlalchemy.orm import Session

from hanse.log.events import Fact, payload_of
from hanse.log.follow import StoredRecord
from hanse.policy.store import PolicyStore
from hanse.work import Work
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_protos.ticket.v1.repair_pb2 import MissedStep
from hanse_services.ticket.model import SCHEMA
from hanse_services.ticket.restoring import RESTORES
from tests.integration.hanse_services.ticket.desk import MONDAY, Desk
from tests.integration.hanse_services.ticket.engaged import Engaged
from tests.integration.hanse_services.ticket.test_repair import correct, enact, missed, repaired
from tests.support import cause_by

TABLES = ("clock", "clock_segment", "engagement", "escalation", "ticket", "customer", "team")
TEXTS = ("title", "description", "solution", "customer", "etag", "update_time", "reason")


def restore(session: Session, unit: str, records: list[StoredRecord]) -> None:
    """Restore what records say, as re-seeding does."""
    policies = PolicyStore(SCHEMA)
    for record in records:
        event = record.decoded()
        payload = payload_of(event)
        known = RESTORES.get(type(payload)) if payload else None
        if known and payload:
            fact = Fact(event, payload, {})
            known(Work(session, unit, cause_by(), fact.occur_time, policies), fact)
            session.flush()


async def lose_and_restore(desk: Desk) -> None:
    """Lose every ticket, and restore them from the log."""
    with psycopg.connect(desk.runtime.settings.database_url) as connection:
        connection.execute("TRUNCATE " + ", ".join(f"ticket.{table}" for table in TABLES) + " CASCADE")
    await desk.runtime.database.write(restore, desk.unit, await desk.records())


def without_texts(message: Any) -> Message:
    """Return a ticket or an engagement without what is lost."""
    for field in TEXTS:
        if field in message.DESCRIPTOR.fields_by_name:
            message.ClearField(field)
    kept: Message = message
    return kept


async def test_a_ticket_comes_back_with_its_state_waits_and_clocks(desk: Desk) -> None:
    name = (await desk.open()).name
    for minutes, verb in enumerate(("AssignTicket", "PauseTicket", "ResumeTicket", "EscalateTicket"), 10):
        desk.clock.advance(minutes=minutes)
        await desk.do(verb, name)
    desk.clock.advance(minutes=5)
    await desk.do("CommentTicket", name, public=True)
    before = without_texts(await desk.get(name))
    await lose_and_restore(desk)
    assert without_texts(await desk.get(name)) == before


async def test_a_ticket_that_was_solved_and_reopened_comes_back(desk: Desk) -> None:
    name, closed = (await desk.open()).name, (await desk.open()).name
    for verb in ("ResolveTicket", "ReopenTicket"):
        desk.clock.advance(minutes=20)
        await desk.do(verb, name)
    await desk.do("ResolveTicket", closed)
    desk.clock.advance(minutes=1)
    await desk.do("CloseTicket", closed)
    before = [without_texts(await desk.get(each)) for each in (name, closed)]
    await lose_and_restore(desk)
    assert [without_texts(await desk.get(each)) for each in (name, closed)] == before


async def test_clocks_that_were_repaired_come_back_repaired(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=90)
    await desk.do("CommentTicket", name, public=True)
    await correct(desk, name, missed(MissedStep.ANSWERED, MONDAY + timedelta(minutes=40)))
    desk.clock.advance(minutes=10)
    await desk.do("PauseTicket", name)
    before = (await desk.get(name)).clocks
    await lose_and_restore(desk)
    assert (await desk.get(name)).clocks == before


async def test_a_warning_that_was_told_is_not_told_again(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(minutes=40)
    await desk.evaluate(name)
    await lose_and_restore(desk)
    before = await desk.told_types()
    await desk.evaluate(name)
    assert before.count("SlaWarned") == (await desk.told_types()).count("SlaWarned") == 1


async def test_what_was_done_before_a_repair_is_not_done_again(desk: Desk) -> None:
    name = (await desk.open()).name
    desk.clock.advance(hours=7)
    assert len((await desk.evaluate(name)).actions) == 5
    await repaired(desk, name, version=await enact(desk, 11))
    await lose_and_restore(desk)
    assert list((await desk.evaluate(name)).actions) == []


async def test_a_step_that_was_skipped_comes_back_as_skipped(desk: Desk) -> None:
    name = (await desk.open()).name
    await desk.skip_step(name)
    await lose_and_restore(desk)
    desk.clock.advance(minutes=30)
    assert list((await desk.evaluate(name)).actions) == []


async def test_an_engagement_comes_back_from_both_sides(desk: Desk) -> None:
    requested = await desk.engage("RequestEngagement", (await desk.open()).name)
    engaged = Engaged(requested.name)
    await desk.is_told(engaged.offered(at=desk.clock.advance(minutes=5)))
    await desk.is_told(engaged.accepted(at=desk.clock.advance(minutes=5)))
    await desk.is_told(engaged.delivered(at=desk.clock.advance(minutes=30)))
    desk.clock.advance(minutes=5)
    await desk.engage("ConfirmEngagement", engaged.name)
    before = without_texts(await desk.engagement(engaged.name)), without_texts(await desk.get(engaged.ticket))
    await lose_and_restore(desk)
    engagement = await desk.engagement(engaged.name)
    assert (engagement.state, engagement.solution) == (pb.CONFIRMED, "Changed the board")
    assert (without_texts(engagement), without_texts(await desk.get(engaged.ticket))) == before
    assert engagement.request_time.ToDatetime(MONDAY.tzinfo) == MONDAY


async def test_a_ticket_whose_policy_is_not_here_comes_back_without_clocks(desk: Desk) -> None:
    name = (await desk.open()).name
    with psycopg.connect(desk.runtime.settings.database_url) as connection:
        connection.execute("TRUNCATE ticket.policy")
    await lose_and_restore(desk)
    with psycopg.connect(desk.runtime.settings.database_url) as connection:
        assert connection.execute("SELECT name FROM ticket.ticket").fetchall() == [(name,)]
        assert connection.execute("SELECT FROM ticket.clock").fetchall() == []
