"""Deliveries become drafts; other units' shared articles are kept as copies."""

from __future__ import annotations

from typing import Any

import pytest

from hanse.errors import ResourceForeign
from hanse.work import Command
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_protos.log.v1.log_pb2 import LogRecord
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged
from hanse_protos.ticket.v1.events_pb2 import EngagementDelivered
from hanse_protos.ticket.v1.ticket_pb2 import EngagementSummary, TicketSummary
from hanse_services.knowledge import commands
from tests.integration.hanse_services.knowledge.support import MUNICH, REVIEWER, Knowledge
from tests.support import record_of, small_policy

SHANGHAI = "units/shanghai"
ENGAGEMENT = f"{SHANGHAI}/tickets/3k9m2x-4t7qzd/engagements/e1"
FOREIGN = f"{SHANGHAI}/articles/3k9m2x-000001"


def delivery(text: str = "Netzteil tauschen.", title: str = "显示屏黑屏", unit: str = MUNICH) -> LogRecord:
    summary = EngagementSummary(
        name=ENGAGEMENT, home=SHANGHAI, provider=MUNICH, ticket=TicketSummary(category="display")
    )
    payload = EngagementDelivered(engagement=summary)
    return record_of(payload, ENGAGEMENT, unit=unit, sealed={"title": title, "text": text})


def summary(version: int, *, name: str = FOREIGN, scope: pb.ArticleScope.ValueType = pb.GROUP) -> pb.ArticleSummary:
    return pb.ArticleSummary(name=name, state=pb.PUBLISHED, scope=scope, language="zh", version=version)


def publication(version: int, article: pb.ArticleSummary | None = None, **sealed: str) -> LogRecord:
    payload = pb.ArticlePublished(article=article or summary(version))
    return record_of(payload, payload.article.name, unit=SHANGHAI, service="knowledge", sealed=sealed)


def retirement(version: int) -> LogRecord:
    payload = pb.ArticleRetired(article=summary(version))
    return record_of(payload, FOREIGN, unit=SHANGHAI, service="knowledge")


async def drafts(knowledge: Knowledge) -> list[pb.Article]:
    return list((await knowledge.list_articles(MUNICH)).articles)


async def test_a_delivery_becomes_a_draft(knowledge: Knowledge) -> None:
    await knowledge.told(delivery())
    [draft] = await drafts(knowledge)
    assert (draft.state, draft.title, draft.body) == (pb.DRAFT, "显示屏黑屏", "Netzteil tauschen.")
    assert (draft.category, draft.source, draft.language) == ("display", ENGAGEMENT, "de")
    assert draft.author == f"{MUNICH}/agents/li"


async def test_the_draft_of_a_delivery_is_told(knowledge: Knowledge) -> None:
    await knowledge.told(delivery())
    assert await knowledge.told_types() == ["ArticleDrafted"]


async def test_a_delivery_that_is_told_twice_becomes_one_draft(knowledge: Knowledge) -> None:
    record = delivery()
    assert await knowledge.told(record)
    assert not await knowledge.told(record)
    assert len(await drafts(knowledge)) == 1


async def test_a_second_delivery_replaces_the_text_of_an_untouched_draft(knowledge: Knowledge) -> None:
    await knowledge.told(delivery("Neu starten."))
    await knowledge.told(delivery("Netzteil tauschen."))
    assert [draft.body for draft in await drafts(knowledge)] == ["Netzteil tauschen."]


async def test_a_second_delivery_leaves_a_draft_alone_that_somebody_wrote_on(knowledge: Knowledge) -> None:
    await knowledge.told(delivery("Neu starten."))
    [draft] = await drafts(knowledge)
    await knowledge.update(draft.name, ["body"], body="Erst messen.")
    await knowledge.told(delivery("Netzteil tauschen."))
    assert (await knowledge.get(draft.name)).body == "Erst messen."


async def test_another_units_delivery_becomes_no_draft_here(knowledge: Knowledge) -> None:
    await knowledge.told(delivery(unit=SHANGHAI))
    assert await drafts(knowledge) == []


async def test_a_delivery_without_a_shared_title_is_named_for_its_engagement(knowledge: Knowledge) -> None:
    await knowledge.told(delivery(title=""))
    assert [draft.title for draft in await drafts(knowledge)] == [ENGAGEMENT]


async def test_a_shared_article_is_kept_under_its_own_name(knowledge: Knowledge) -> None:
    summary: dict[str, Any] = {"summary.de": "Netzteil tauschen"}
    await knowledge.told(publication(1, title="更换电源", body="先断电。", **summary))
    copy = await knowledge.get(FOREIGN)
    assert (copy.state, copy.version, copy.title, copy.body) == (pb.PUBLISHED, 1, "更换电源", "先断电。")
    assert dict(copy.summaries) == {"de": "Netzteil tauschen"}


async def test_a_copy_holds_only_the_texts_that_were_granted(knowledge: Knowledge) -> None:
    await knowledge.told(publication(1, title="更换电源"))
    assert (await knowledge.get(FOREIGN)).body == ""


async def test_a_copy_is_found(knowledge: Knowledge) -> None:
    await knowledge.told(publication(1, title="更换电源"))
    assert await knowledge.found("更换電源") == [FOREIGN]


async def test_a_copy_is_told_by_its_own_unit_only(knowledge: Knowledge) -> None:
    own = f"{MUNICH}/articles/3k9m2x-000001"
    elsewhere = "units/hq/articles/3k9m2x-000001"
    for name in (own, elsewhere):
        await knowledge.told(publication(1, summary(1, name=name), title="untergeschoben"))
    assert await knowledge.found("untergeschoben") == []


async def test_what_is_not_shared_is_not_copied(knowledge: Knowledge) -> None:
    await knowledge.told(publication(1, summary(1, scope=pb.UNIT), title="geheim"))
    assert await knowledge.found("geheim") == []


async def test_a_new_version_replaces_the_one_before(knowledge: Knowledge) -> None:
    await knowledge.told(publication(1, title="Netzteil"))
    await knowledge.told(publication(2, title="Lüfter"))
    assert await knowledge.found("Netzteil") == []
    assert await knowledge.found("Lüfter") == [FOREIGN]


async def test_an_older_version_that_comes_late_changes_nothing(knowledge: Knowledge) -> None:
    await knowledge.told(publication(2, title="Lüfter"))
    await knowledge.told(publication(1, title="Netzteil"))
    assert (await knowledge.get(FOREIGN)).title == "Lüfter"


async def test_a_retired_copy_is_not_found(knowledge: Knowledge) -> None:
    await knowledge.told(publication(1, title="Netzteil"))
    await knowledge.told(retirement(1))
    assert await knowledge.found("Netzteil") == []
    assert (await knowledge.get(FOREIGN)).state == pb.RETIRED


async def test_a_publication_that_comes_after_its_retirement_is_not_found(knowledge: Knowledge) -> None:
    await knowledge.told(retirement(1))
    await knowledge.told(publication(1, title="Netzteil"))
    assert await knowledge.found("Netzteil") == []


async def test_a_version_after_the_retired_one_is_found_again(knowledge: Knowledge) -> None:
    await knowledge.told(publication(1, title="Netzteil"))
    await knowledge.told(retirement(1))
    await knowledge.told(publication(2, title="Netzteil"))
    assert await knowledge.found("Netzteil") == [FOREIGN]


@pytest.mark.parametrize(
    ("command", "request_type"),
    [
        (commands.submit_article, pb.SubmitArticleRequest),
        (commands.publish_article, pb.PublishArticleRequest),
        (commands.return_article, pb.ReturnArticleRequest),
        (commands.retire_article, pb.RetireArticleRequest),
    ],
)
async def test_a_copy_is_never_written_here(
    knowledge: Knowledge, command: Command[pb.SubmitArticleRequest, pb.Article], request_type: type
) -> None:
    await knowledge.told(publication(1, title="Netzteil"))
    with pytest.raises(ResourceForeign) as failure:
        await knowledge.do(command, request_type(name=FOREIGN), REVIEWER)
    assert failure.value.metadata["owner"] == SHANGHAI


async def test_the_text_of_a_copy_is_never_changed_here(knowledge: Knowledge) -> None:
    await knowledge.told(publication(1, title="Netzteil"))
    with pytest.raises(ResourceForeign):
        await knowledge.update(FOREIGN, ["title"], title="anders")
    assert (await knowledge.get(FOREIGN)).title == "Netzteil"


async def test_a_policy_that_the_unit_acknowledged_is_in_force(knowledge: Knowledge) -> None:
    payload = PolicyAcknowledged(policy=small_policy(version=2))
    await knowledge.told(record_of(payload, "policies/2", unit=MUNICH, service="policy"))
    await knowledge.draft("Netzteil")
    assert (await knowledge.records())[-1].decoded().policy_version == 2
