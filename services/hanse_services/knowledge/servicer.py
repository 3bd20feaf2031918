"""gRPC in, domain out."""

from typing import Any

from hanse.rpc.call import cause_of
from hanse.rpc.server import Served
from hanse.runtime import Runtime
from hanse.work import Command, CommandExecutor
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_protos.knowledge.v1 import knowledge_pb2_grpc as stubs
from hanse_services.knowledge import commands, queries

Context = Any


class KnowledgeServicer(stubs.KnowledgeServiceServicer):
    """The knowledge of a unit."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self._unit = runtime.unit
        self._database = runtime.database
        self._executor = executor

    async def _change(self, command: Command[Any, pb.Article], request: Any) -> pb.Article:
        return await self._executor.execute(command, request, cause_of(request), pb.Article)

    async def CreateArticle(self, request: pb.CreateArticleRequest, context: Context) -> pb.Article:
        return await self._change(commands.create_article, request)

    async def GetArticle(self, request: pb.GetArticleRequest, context: Context) -> pb.Article:
        return await self._database.read(queries.get_article, request)

    async def ListArticles(self, request: pb.ListArticlesRequest, context: Context) -> pb.ListArticlesResponse:
        return await self._database.read(queries.list_articles, request)

    async def UpdateArticle(self, request: pb.UpdateArticleRequest, context: Context) -> pb.Article:
        return await self._change(commands.update_article, request)

    async def SubmitArticle(self, request: pb.SubmitArticleRequest, context: Context) -> pb.Article:
        return await self._change(commands.submit_article, request)

    async def PublishArticle(self, request: pb.PublishArticleRequest, context: Context) -> pb.Article:
        return await self._change(commands.publish_article, request)

    async def ReturnArticle(self, request: pb.ReturnArticleRequest, context: Context) -> pb.Article:
        return await self._change(commands.return_article, request)

    async def RetireArticle(self, request: pb.RetireArticleRequest, context: Context) -> pb.Article:
        return await self._change(commands.retire_article, request)

    async def SearchArticles(self, request: pb.SearchArticlesRequest, context: Context) -> pb.SearchArticlesResponse:
        return await self._database.read(queries.search_articles, self._unit, request)


def served(runtime: Runtime, executor: CommandExecutor) -> list[Served]:
    """Return the servicer of the unit's knowledge."""
    servicer = KnowledgeServicer(runtime, executor)
    return [
        Served("hanse_protos.knowledge.v1.KnowledgeService", stubs.add_KnowledgeServiceServicer_to_server, servicer)
    ]
