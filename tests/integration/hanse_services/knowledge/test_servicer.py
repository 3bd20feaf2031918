"""The knowledge service over gRPC: who may, and what a caller is told who may not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import pytest

from hanse.identity import Role
from hanse.migrations import service_migrations
from hanse.rpc.client import RemoteError, remote_errors
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_protos.knowledge.v1.knowledge_pb2_grpc import KnowledgeServiceStub
from hanse_services.knowledge.model import SCHEMA
from hanse_services.knowledge.servicer import served
from tests.integration.hanse_services.knowledge.support import MUNICH
from tests.support import Caller, MakeExecutor, MakeRuntime, Serve


@pytest.fixture
async def caller(make_runtime: MakeRuntime, make_executor: MakeExecutor, serve: Serve) -> AsyncIterator[Caller]:
    runtime = make_runtime(MUNICH, service_migrations("hanse_services.knowledge"))
    yield await serve(runtime, served(runtime, make_executor(runtime, SCHEMA)))


def stub(channel: grpc.aio.Channel) -> Any:
    return KnowledgeServiceStub(channel)


def creation(**fields: str) -> pb.CreateArticleRequest:
    article = pb.Article(**({"title": "Netzteil", "body": "Tauschen.", "language": "de"} | fields))  # type: ignore[arg-type]
    return pb.CreateArticleRequest(parent=MUNICH, article=article, request_id=str(uuid4()))


async def test_an_article_goes_from_an_agents_draft_to_the_search(caller: Caller) -> None:
    agent, lead = stub(caller.channel(Role.AGENT)), stub(caller.channel(Role.LEAD, actor="agents/schmidt"))
    article = await agent.CreateArticle(creation())
    await agent.SubmitArticle(pb.SubmitArticleRequest(name=article.name, request_id=str(uuid4())))
    await lead.PublishArticle(pb.PublishArticleRequest(name=article.name, request_id=str(uuid4())))
    found = await agent.SearchArticles(pb.SearchArticlesRequest(parent=MUNICH, query="Netzteile"))
    assert [hit.article.name for hit in found.hits] == [article.name]


async def test_the_same_request_makes_one_article(caller: Caller) -> None:
    agent, request = stub(caller.channel(Role.AGENT)), creation()
    assert await agent.CreateArticle(request) == await agent.CreateArticle(request)


async def test_an_agent_does_not_publish(caller: Caller) -> None:
    agent = stub(caller.channel(Role.AGENT))
    article = await agent.CreateArticle(creation())
    with pytest.raises(RemoteError) as failure, remote_errors():
        await agent.PublishArticle(pb.PublishArticleRequest(name=article.name, request_id=str(uuid4())))
    assert failure.value.reason == "ROLE_MISSING"


async def test_a_lead_who_wrote_it_does_not_publish_it(caller: Caller) -> None:
    lead = stub(caller.channel(Role.LEAD))
    article = await lead.CreateArticle(creation())
    await lead.SubmitArticle(pb.SubmitArticleRequest(name=article.name, request_id=str(uuid4())))
    with pytest.raises(RemoteError) as failure, remote_errors():
        await lead.PublishArticle(pb.PublishArticleRequest(name=article.name, request_id=str(uuid4())))
    assert (failure.value.code, failure.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "REVIEWER_IS_AUTHOR")


async def test_an_oversized_title_is_refused(caller: Caller) -> None:
    with pytest.raises(RemoteError) as failure, remote_errors():
        await stub(caller.channel(Role.AGENT)).CreateArticle(creation(title="x" * 201))
    assert (failure.value.reason, failure.value.metadata["fields"]) == ("VALIDATION_FAILED", "article.title")


async def test_another_units_search_is_not_found_here(caller: Caller) -> None:
    with pytest.raises(RemoteError) as failure, remote_errors():
        request = pb.SearchArticlesRequest(parent="units/shanghai", query="Netzteil")
        await stub(caller.channel(Role.AGENT)).SearchArticles(request)
    assert failure.value.reason == "RESOURCE_NOT_FOUND"
