"""The effects as the reactions run them: blocking, over psycopg."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hanse.telling.receiving import Receiver, open_engine
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_protos.ticket.v1.events_pb2 import EngagementDelivered
from hanse_protos.ticket.v1.ticket_pb2 import EngagementSummary
from hanse_services.knowledge.effects import EFFECTS
from hanse_services.knowledge.model import SCHEMA
from tests.integration.hanse_services.knowledge.support import MUNICH, Knowledge
from tests.support import record_of

SHANGHAI = "units/shanghai"
FOREIGN = f"{SHANGHAI}/articles/3k9m2x-000001"
ENGAGEMENT = f"{SHANGHAI}/tickets/3k9m2x-4t7qzd/engagements/e1"
REACTION = "knowledge.shared_article"


@pytest.fixture
def engine(knowledge: Knowledge) -> Iterator[Engine]:
    engine = open_engine(knowledge.database.url)
    yield engine
    engine.dispose()


@pytest.fixture
def receiver(engine: Engine) -> Receiver:
    return Receiver(engine, SCHEMA, MUNICH, sleep=lambda _seconds: None)


def dead_letters(engine: Engine) -> int:
    with Session(engine) as session:
        return session.scalar(select(func.count()).select_from(SCHEMA.dead_letter)) or 0


def message(payload: Message, resource: str, unit: str, **sealed: str) -> bytes:
    return record_of(payload, resource, unit=unit, sealed=sealed).SerializeToString()


async def test_a_shared_article_that_comes_twice_is_found_once(
    knowledge: Knowledge, receiver: Receiver, engine: Engine
) -> None:
    payload = pb.ArticlePublished(article=pb.ArticleSummary(name=FOREIGN, scope=pb.GROUP, language="zh", version=1))
    shared = message(payload, FOREIGN, SHANGHAI, title="更换电源", body="Netzteil tauschen.")
    receiver.receive(shared, EFFECTS, REACTION)
    receiver.receive(shared, EFFECTS, REACTION)
    assert await knowledge.found("電源 Netzteile") == [FOREIGN]
    assert dead_letters(engine) == 0


async def test_a_delivery_becomes_a_draft(knowledge: Knowledge, receiver: Receiver, engine: Engine) -> None:
    payload = EngagementDelivered(engagement=EngagementSummary(name=ENGAGEMENT, provider=MUNICH))
    receiver.receive(message(payload, ENGAGEMENT, MUNICH, title="黑屏", text="Tauschen."), EFFECTS, REACTION)
    assert [article.source for article in (await knowledge.list_articles(MUNICH)).articles] == [ENGAGEMENT]
    assert dead_letters(engine) == 0
