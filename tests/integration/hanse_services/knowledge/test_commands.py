"""What writers and reviewers may do, and what is told of it."""

from __future__ import annotations

from itertools import product

import pytest

from hanse.errors import (
    EtagMismatch,
    HanseError,
    IllegalTransition,
    ResourceNotFound,
    ReviewerIsAuthor,
    ValidationFailed,
)
from hanse.log.sealing import texts_of
from hanse.policy.errors import CategoryUnknown
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_services.knowledge import commands
from hanse_services.knowledge.model import TRANSITIONS, Publication
from tests.integration.hanse_services.knowledge.support import AUTHOR, MUNICH, REVIEWER, Knowledge, request_id


async def test_a_draft_is_for_its_own_unit_unless_somebody_says_otherwise(knowledge: Knowledge) -> None:
    article = await knowledge.draft("Netzteil")
    assert (article.state, article.scope, article.author, article.version) == (pb.DRAFT, pb.UNIT, AUTHOR, 0)


async def test_an_article_is_written_in_its_own_unit_only(knowledge: Knowledge) -> None:
    request = pb.CreateArticleRequest(parent="units/shanghai", article=pb.Article(title="x"), request_id=request_id())
    with pytest.raises(ResourceNotFound):
        await knowledge.do(commands.create_article, request)


async def test_a_category_has_to_be_in_the_policy(knowledge: Knowledge) -> None:
    article = await knowledge.draft("Netzteil")
    with pytest.raises(CategoryUnknown):
        await knowledge.update(article.name, ["category"], category="unheard-of")


async def test_publishing_makes_the_next_version(knowledge: Knowledge) -> None:
    first = await knowledge.publish("Netzteil")
    await knowledge.update(first.name, ["body"], body="neu")
    second = await knowledge.republish(first.name, pb.GROUP)
    assert (first.version, second.version) == (1, 2)


async def test_every_published_text_is_kept(knowledge: Knowledge) -> None:
    article = await knowledge.publish("Netzteil", "alt")
    await knowledge.update(article.name, ["body"], body="neu")
    await knowledge.republish(article.name, pb.GROUP)
    async with knowledge.database.engine.connect() as connection:
        table = Publication.__table__
        rows = await connection.execute(table.select().order_by(table.c.version))
    assert [(row.version, row.body) for row in rows] == [(1, "alt"), (2, "neu")]


async def test_only_the_fields_of_the_mask_change(knowledge: Knowledge) -> None:
    article = await knowledge.draft("Netzteil", "Text")
    changed = await knowledge.update(article.name, ["summaries"], title="anders", summaries={"zh": "电源"})
    assert (changed.title, changed.body, dict(changed.summaries)) == ("Netzteil", "Text", {"zh": "电源"})


@pytest.mark.parametrize("mask", [[], ["state"], ["title", "author"]])
async def test_a_mask_names_what_can_be_changed(knowledge: Knowledge, mask: list[str]) -> None:
    article = await knowledge.draft("Netzteil")
    with pytest.raises(ValidationFailed) as failure:
        await knowledge.update(article.name, mask, title="anders")
    assert failure.value.metadata["fields"] == "update_mask"


async def test_the_author_cannot_publish(knowledge: Knowledge) -> None:
    article = await knowledge.draft("Netzteil")
    await knowledge.submit(article.name)
    with pytest.raises(ReviewerIsAuthor):
        await knowledge.approve(article.name, actor=AUTHOR)
    assert (await knowledge.get(article.name)).state == pb.IN_REVIEW


async def test_whoever_wrote_on_a_draft_cannot_publish_it(knowledge: Knowledge) -> None:
    article = await knowledge.draft("Netzteil")
    await knowledge.update(article.name, ["body"], actor=REVIEWER, body="neu")
    await knowledge.submit(article.name)
    with pytest.raises(ReviewerIsAuthor):
        await knowledge.approve(article.name, actor=REVIEWER)


async def test_whoever_wrote_on_an_earlier_version_can_review_the_next(knowledge: Knowledge) -> None:
    article = await knowledge.draft("Netzteil")
    await knowledge.update(article.name, ["body"], actor=REVIEWER, body="neu")
    await knowledge.submit(article.name)
    await knowledge.approve(article.name, actor=f"{MUNICH}/agents/huber")
    await knowledge.update(article.name, ["body"], body="noch neuer")
    assert (await knowledge.republish(article.name, pb.GROUP)).reviewer == REVIEWER


async def test_a_stale_etag_changes_nothing(knowledge: Knowledge) -> None:
    article = await knowledge.draft("Netzteil")
    await knowledge.submit(article.name)
    with pytest.raises(EtagMismatch):
        await knowledge.approve(article.name, etag=article.etag)
    assert (await knowledge.get(article.name)).version == 0


async def test_the_etag_of_the_last_answer_is_taken(knowledge: Knowledge) -> None:
    submitted = await knowledge.submit((await knowledge.draft("Netzteil")).name)
    published = await knowledge.approve(submitted.name, etag=submitted.etag)
    assert published.etag != submitted.etag


async def in_state(knowledge: Knowledge, state: pb.ArticleState.ValueType) -> str:
    article = await knowledge.draft("Netzteil")
    if state != pb.DRAFT:
        await knowledge.submit(article.name)
    if state in {pb.PUBLISHED, pb.RETIRED}:
        await knowledge.approve(article.name)
    if state == pb.RETIRED:
        await knowledge.retire(article.name)
    return article.name


async def attempt(knowledge: Knowledge, verb: str, name: str) -> pb.Article:
    if verb == "UpdateArticle":
        return await knowledge.update(name, ["title"], title="anders")
    if verb == "SubmitArticle":
        return await knowledge.submit(name)
    if verb == "PublishArticle":
        return await knowledge.approve(name)
    if verb == "RetireArticle":
        return await knowledge.retire(name)
    request = pb.ReturnArticleRequest(name=name, reason="zu kurz")
    return await knowledge.do(commands.return_article, request, REVIEWER)


STATES = [pb.DRAFT, pb.IN_REVIEW, pb.PUBLISHED, pb.RETIRED]


@pytest.mark.parametrize(("verb", "state"), list(product(TRANSITIONS, STATES)))
async def test_each_verb_leads_where_the_table_says(
    knowledge: Knowledge, verb: str, state: pb.ArticleState.ValueType
) -> None:
    name = await in_state(knowledge, state)
    told_before = await knowledge.told_types()
    if state in TRANSITIONS[verb]:
        assert (await attempt(knowledge, verb, name)).state == TRANSITIONS[verb][state]
    else:
        with pytest.raises(IllegalTransition):
            await attempt(knowledge, verb, name)
        assert (await knowledge.get(name)).state == state
        assert await knowledge.told_types() == told_before


@pytest.mark.parametrize("verb", TRANSITIONS)
async def test_what_does_not_exist_is_not_found(knowledge: Knowledge, verb: str) -> None:
    with pytest.raises(ResourceNotFound):
        await attempt(knowledge, verb, f"{MUNICH}/articles/nowhere")


async def test_each_step_is_told(knowledge: Knowledge) -> None:
    article = await knowledge.publish("Netzteil")
    await knowledge.retire(article.name)
    assert await knowledge.told_types() == ["ArticleDrafted", "ArticleSubmitted", "ArticlePublished", "ArticleRetired"]


async def test_what_is_told_of_a_publication_holds_its_texts_sealed(knowledge: Knowledge) -> None:
    await knowledge.publish("Netzteil", "Tauschen.", zh="更换电源", en="Replace it.")
    record = (await knowledge.records())[-1]
    assert texts_of(record.sealed) == {
        "title": "Netzteil",
        "body": "Tauschen.",
        "summary.zh": "更换电源",
        "summary.en": "Replace it.",
    }
    assert b"Netzteil" not in record.event


async def test_when_an_article_is_shared_no_more_others_are_told_that_their_copy_is_over(knowledge: Knowledge) -> None:
    article = await knowledge.publish("Netzteil", scope=pb.GROUP)
    await knowledge.update(article.name, ["scope"], scope=pb.UNIT)
    await knowledge.republish(article.name, pb.UNIT)
    retired, published = (await knowledge.records())[-2:]
    over = pb.ArticleRetired.FromString(retired.decoded().payload).article
    now = pb.ArticlePublished.FromString(published.decoded().payload).article
    assert (over.scope, over.version, over.state) == (pb.GROUP, 1, pb.RETIRED)
    assert (now.scope, now.version, now.state) == (pb.UNIT, 2, pb.PUBLISHED)


async def test_an_article_is_retired_in_the_scope_in_which_it_was_published(knowledge: Knowledge) -> None:
    article = await knowledge.publish("Netzteil", scope=pb.GROUP)
    await knowledge.update(article.name, ["scope"], scope=pb.UNIT)
    await knowledge.retire(article.name)
    record = (await knowledge.records())[-1]
    assert pb.ArticleRetired.FromString(record.decoded().payload).article.scope == pb.GROUP


async def test_a_refused_command_is_an_error_with_a_hint(knowledge: Knowledge) -> None:
    article = await knowledge.publish("Netzteil")
    with pytest.raises(HanseError) as failure:
        await knowledge.submit(article.name)
    assert "UpdateArticle" in failure.value.hint
