"""One search for Chinese, German and English."""

from __future__ import annotations

from typing import Any

import pytest

from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_services.knowledge.search import MAX_INDEXED_WORDS
from tests.integration.hanse_services.knowledge.support import Knowledge

BODY = "Das Schaltnetzteil der Anzeige liefert keine Spannung mehr. Gerät öffnen, Netzteil tauschen, Lüfter prüfen."
CHINESE = "显示屏黑屏，更换开关电源后恢复正常。"


async def article(knowledge: Knowledge, title: str = "Anzeige bleibt dunkel") -> str:
    published = await knowledge.publish(title, BODY, zh=CHINESE, en="Black screen: replace the power supply.")
    return published.name


async def test_chinese_words_of_the_summary_find_a_german_article(knowledge: Knowledge) -> None:
    name = await article(knowledge)
    assert await knowledge.found("显示屏 电源") == [name]


async def test_a_traditional_query_finds_a_simplified_summary(knowledge: Knowledge) -> None:
    name = await article(knowledge)
    assert await knowledge.found("顯示屏電源") == [name]


async def test_a_chinese_question_finds_it_too(knowledge: Knowledge) -> None:
    name = await article(knowledge)
    assert await knowledge.found("显示屏黑屏了怎么办？") == [name]


@pytest.mark.parametrize(
    "query",
    ["Netzteil", "Netzteile", "netzteil tauschen", "Wie tausche ich das Netzteil?", "Luefter", "LÜFTER", "Spannung"],
)
async def test_german_words_of_the_body_find_it(knowledge: Knowledge, query: str) -> None:
    name = await article(knowledge)
    assert await knowledge.found(query) == [name]


@pytest.mark.parametrize("query", ["Netztiel", "Schaltnetzteile", "Anzeigen", "Schaltnetz"])
async def test_misspelt_inflected_and_compounded_words_find_it(knowledge: Knowledge, query: str) -> None:
    name = await article(knowledge)
    assert await knowledge.found(query) == [name]


async def test_a_part_of_a_compound_finds_it(knowledge: Knowledge) -> None:
    published = await knowledge.publish("Defekt", "Schaltnetzteilplatine")
    assert await knowledge.found("Netzteil") == [published.name]


async def test_english_words_of_the_summary_find_it(knowledge: Knowledge) -> None:
    name = await article(knowledge)
    assert await knowledge.found("power supplies") == [name]


@pytest.mark.parametrize("query", ["Drucker", "打印机", "the printer", "?!"])
async def test_what_is_not_there_is_not_found(knowledge: Knowledge, query: str) -> None:
    await article(knowledge)
    assert await knowledge.found(query) == []


@pytest.mark.parametrize("query", ["' | !", "netzteil & | ! ( ) : * <-> \\ ''", "'; DROP TABLE knowledge.article; --"])
async def test_no_query_breaks_the_search(knowledge: Knowledge, query: str) -> None:
    await article(knowledge)
    await knowledge.search(query)


async def test_a_word_in_the_title_weighs_more_than_in_the_body(knowledge: Knowledge) -> None:
    in_body = await knowledge.publish("Anzeige dunkel", "Das Netzteil ist defekt.")
    in_title = await knowledge.publish("Netzteil defekt", "Die Anzeige bleibt dunkel.")
    assert await knowledge.found("Netzteil") == [in_title.name, in_body.name]


async def test_more_words_that_fit_weigh_more_than_where_they_stand(knowledge: Knowledge) -> None:
    some = await knowledge.publish("Netzteil", "…")
    both = await knowledge.publish("Anzeige", "Netzteil und Lüfter tauschen.")
    assert await knowledge.found("Netzteil Lüfter") == [both.name, some.name]


async def test_the_word_itself_weighs_more_than_one_that_is_only_alike(knowledge: Knowledge) -> None:
    alike = await knowledge.publish("Netzwerkteil", "…")
    exact = await knowledge.publish("Anzeige", "Netzteil")
    found = await knowledge.found("Netzteil")
    assert found[0] == exact.name
    assert set(found) <= {exact.name, alike.name}


async def test_a_hit_shows_the_passage_that_fits(knowledge: Knowledge) -> None:
    await article(knowledge)
    [hit] = await knowledge.search("Lüfter prüfen")
    assert hit.snippet == "Gerät öffnen, Netzteil tauschen, Lüfter prüfen."


async def test_a_draft_is_not_found(knowledge: Knowledge) -> None:
    await knowledge.draft("Netzteil")
    assert await knowledge.found("Netzteil") == []


async def test_an_article_in_review_is_not_found(knowledge: Knowledge) -> None:
    await knowledge.submit((await knowledge.draft("Netzteil")).name)
    assert await knowledge.found("Netzteil") == []


async def test_a_retired_article_is_not_found(knowledge: Knowledge) -> None:
    name = await article(knowledge)
    await knowledge.retire(name)
    assert await knowledge.found("Netzteil") == []


async def test_while_the_next_version_is_written_the_published_one_is_found(knowledge: Knowledge) -> None:
    name = await article(knowledge)
    await knowledge.update(name, ["body", "title"], title="Entwurf", body="Entwurf")
    [hit] = await knowledge.search("Netzteil")
    assert (hit.article.name, hit.article.state, hit.article.body) == (name, pb.PUBLISHED, BODY)
    assert await knowledge.found("Entwurf") == []


async def test_a_very_long_article_can_be_published(knowledge: Knowledge) -> None:
    body = " ".join(f"wort{number:05}" for number in range(MAX_INDEXED_WORDS // 2))
    translations: dict[str, Any] = {f"l{number}": body[:5_000] for number in range(50)}
    published = await knowledge.publish("Lang", body, **translations)
    assert await knowledge.found("wort00042") == [published.name]


async def test_pages_hold_every_article_once_the_newest_first(knowledge: Knowledge) -> None:
    names = [(await knowledge.draft(f"Artikel {number}")).name for number in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = await knowledge.list_articles(knowledge.unit, page_size=2, page_token=token)
        seen += [article.name for article in page.articles]
        token = page.next_page_token
        if not token:
            break
    assert seen == names[::-1]


async def test_a_list_can_be_of_some_states_only(knowledge: Knowledge) -> None:
    await knowledge.draft("Entwurf")
    published = await knowledge.publish("Fertig")
    page = await knowledge.list_articles(knowledge.unit, states=[pb.PUBLISHED])
    assert [found.name for found in page.articles] == [published.name]
