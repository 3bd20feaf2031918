"""What comes back of articles from their events, with and without the texts that had been granted to others."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.log.events import Fact, payload_of
from hanse.log.follow import StoredRecord
from hanse.log.sealing import texts_of
from hanse.policy.store import PolicyStore
from hanse.work import Work
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_services.knowledge.model import SCHEMA, SHARED_SCOPES
from hanse_services.knowledge.restoring import RESTORES
from tests.integration.hanse_services.knowledge.support import AUTHOR, REVIEWER, Knowledge
from tests.support import cause_by


def lose_and_restore(session: Session, unit: str, records: list[StoredRecord]) -> None:
    """Lose every article, and restore them as re-seeding does: with the texts of what was published for others."""
    session.execute(text("TRUNCATE knowledge.article, knowledge.publication, knowledge.search_document"))
    for record in records:
        event = record.decoded()
        payload = payload_of(event)
        if payload and (restore := RESTORES.get(type(payload))):
            shared = isinstance(payload, pb.ArticlePublished) and payload.article.scope in SHARED_SCOPES
            fact = Fact(event, payload, texts_of(record.sealed) if shared else {})
            restore(Work(session, unit, cause_by(), fact.occur_time, PolicyStore(SCHEMA)), fact)
            session.flush()


async def restored(knowledge: Knowledge) -> None:
    """Lose what the unit knows, and get it back."""
    await knowledge.database.write(lose_and_restore, knowledge.unit, await knowledge.records())


async def test_what_was_published_for_the_group_comes_back_as_it_was_and_is_found(knowledge: Knowledge) -> None:
    name = (await knowledge.publish("Netzteil", "Bringt 11 V", zh="电源")).name
    before = await knowledge.get(name)
    await restored(knowledge)
    assert await knowledge.get(name) == before
    assert (before.author, before.reviewer, before.version) == (AUTHOR, REVIEWER, 1)
    assert await knowledge.found("电源") == [name]


async def test_the_next_versions_draft_comes_back_with_the_text_that_was_published(knowledge: Knowledge) -> None:
    name = (await knowledge.publish("Netzteil", "Bringt 11 V")).name
    await knowledge.update(name, ["body"], body="Bringt 9 V")
    await restored(knowledge)
    article = await knowledge.get(name)
    assert (article.state, article.version, article.body) == (pb.DRAFT, 1, "Bringt 11 V")
    assert await knowledge.found("Netzteil") == [name]
    await knowledge.republish(name, pb.GROUP)
    assert (await knowledge.get(name)).version == 2


async def test_an_article_whose_text_never_left_the_unit_comes_back_as_an_empty_draft(knowledge: Knowledge) -> None:
    published = (await knowledge.publish("Intern", scope=pb.UNIT)).name
    handed_in = await knowledge.draft("Entwurf")
    await knowledge.submit(handed_in.name)
    await restored(knowledge)
    article = await knowledge.get(published)
    assert (article.state, article.version, article.body) == (pb.DRAFT, 1, "")
    assert (await knowledge.get(handed_in.name)).state == pb.IN_REVIEW
    assert await knowledge.found("Intern") == []


async def test_what_was_retired_stays_retired(knowledge: Knowledge) -> None:
    name = (await knowledge.publish("Netzteil")).name
    await knowledge.retire(name)
    await restored(knowledge)
    assert (await knowledge.get(name)).state == pb.RETIRED
    assert await knowledge.found("Netzteil") == []
