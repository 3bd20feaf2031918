"""A ticket is erased: the drafts that were made of it go, and what was reviewed and published stays."""

from __future__ import annotations

from hanse.erasing import ERASED
from hanse.log.sealing import texts_of
from hanse.log.verify import verify
from hanse.names import stream_name
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_protos.log.v1.log_pb2 import LogRecord
from hanse_protos.ticket.v1.events_pb2 import EngagementDelivered, TicketErased
from hanse_protos.ticket.v1.ticket_pb2 import CLOSED, EngagementSummary, TicketSummary
from hanse_services.knowledge.model import SCHEMA
from tests.integration.hanse_services.knowledge.support import MUNICH, Knowledge
from tests.support import record_of

SHANGHAI = "units/shanghai"
TICKET = f"{SHANGHAI}/tickets/3k9m2x-4t7qzd"
ENGAGEMENT = f"{TICKET}/engagements/e1"
WORDS = "Frau Chen hat das Netzteil getauscht."


def delivery() -> LogRecord:
    ticket = TicketSummary(name=TICKET, category="display")
    payload = EngagementDelivered(engagement=EngagementSummary(name=ENGAGEMENT, provider=MUNICH, ticket=ticket))
    return record_of(payload, ENGAGEMENT, unit=MUNICH, sealed={"title": "Frau Chen", "text": WORDS})


def erasure(by: str = SHANGHAI) -> LogRecord:
    return record_of(TicketErased(ticket=TicketSummary(name=TICKET, state=CLOSED)), TICKET, unit=by)


async def drafted(knowledge: Knowledge) -> pb.Article:
    await knowledge.told(delivery())
    [article] = (await knowledge.list_articles(MUNICH)).articles
    return article


async def test_a_draft_is_erased_and_retired(knowledge: Knowledge) -> None:
    draft = await drafted(knowledge)
    await knowledge.told(erasure())
    left = await knowledge.get(draft.name)
    assert (left.state, left.title, left.body) == (pb.RETIRED, ERASED, ERASED)
    assert all(not record.sealed for record in await knowledge.records())


async def test_the_log_verifies_afterwards(knowledge: Knowledge) -> None:
    await drafted(knowledge)
    await knowledge.told(erasure())
    verification = await knowledge.database.read(verify, SCHEMA.log, stream_name(MUNICH, "knowledge"))
    assert verification.intact


async def test_of_a_published_article_only_the_drafts_are_erased(knowledge: Knowledge) -> None:
    draft = await drafted(knowledge)
    await knowledge.update(draft.name, ["title", "body"], title="Netzteil", body="Netzteil tauschen.")
    await knowledge.submit(draft.name)
    await knowledge.approve(draft.name)
    await knowledge.told(erasure())
    texts = [text for record in await knowledge.records() for text in texts_of(record.sealed).values()]
    assert sorted(texts) == ["Netzteil", "Netzteil tauschen."]
    assert (await knowledge.get(draft.name)).body == "Netzteil tauschen."


async def test_a_delivery_that_is_told_later_makes_no_draft(knowledge: Knowledge) -> None:
    await knowledge.told(erasure())
    await knowledge.told(delivery())
    assert list((await knowledge.list_articles(MUNICH)).articles) == []


async def test_only_the_tickets_home_erases(knowledge: Knowledge) -> None:
    draft = await drafted(knowledge)
    await knowledge.told(erasure(by="units/hq"))
    assert (await knowledge.get(draft.name)).body == WORDS
