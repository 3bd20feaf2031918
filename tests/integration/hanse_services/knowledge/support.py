"""The knowledge service of one unit, as tests use it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from hanse.log.events import short_type
from hanse.log.follow import START, StoredRecord, read_after
from hanse.names import stream_name
from hanse.runtime import Runtime
from hanse.telling.inbox import Inbox
from hanse.work import Cause, Command, CommandExecutor
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_protos.log.v1.log_pb2 import LogRecord
from hanse_services.knowledge import commands, queries
from hanse_services.knowledge.effects import EFFECTS
from hanse_services.knowledge.model import SCHEMA

MUNICH = "units/munich"
AUTHOR = f"{MUNICH}/agents/weber"
REVIEWER = f"{MUNICH}/agents/schmidt"
PLENTY = 1_000

Request = TypeVar("Request", bound=Message)


def request_id() -> str:
    return str(uuid4())


class Knowledge:
    """What a unit knows, as its writers, its reviewers and its reactions use it."""

    def __init__(self, runtime: Runtime, executor: CommandExecutor) -> None:
        self.unit = runtime.unit
        self.database = runtime.database
        self._executor = executor
        self._inbox = Inbox(SCHEMA, runtime.unit)

    async def do(self, command: Command[Request, pb.Article], request: Request, actor: str = AUTHOR) -> pb.Article:
        """Run a command as somebody."""
        return await self._executor.execute(command, request, Cause(actor, request_id()), pb.Article)

    async def draft(
        self, title: str, body: str = "…", *, actor: str = AUTHOR, language: str = "de", **summaries: str
    ) -> pb.Article:
        article = pb.Article(title=title, body=body, language=language, summaries=summaries)
        request = pb.CreateArticleRequest(parent=self.unit, article=article, request_id=request_id())
        return await self.do(commands.create_article, request, actor)

    async def update(self, name: str, mask: Iterable[str], *, actor: str = AUTHOR, **fields: object) -> pb.Article:
        article = pb.Article(name=name, **fields)  # type: ignore[arg-type]
        request = pb.UpdateArticleRequest(article=article, update_mask=FieldMask(paths=mask), request_id=request_id())
        return await self.do(commands.update_article, request, actor)

    async def submit(self, name: str) -> pb.Article:
        return await self.do(commands.submit_article, pb.SubmitArticleRequest(name=name))

    async def approve(
        self, name: str, scope: pb.ArticleScope.ValueType = pb.GROUP, *, actor: str = REVIEWER, etag: str = ""
    ) -> pb.Article:
        """Publish what was handed in."""
        request = pb.PublishArticleRequest(name=name, scope=scope, etag=etag)
        return await self.do(commands.publish_article, request, actor)

    async def retire(self, name: str) -> pb.Article:
        return await self.do(commands.retire_article, pb.RetireArticleRequest(name=name), REVIEWER)

    async def publish(
        self, title: str, body: str = "…", scope: pb.ArticleScope.ValueType = pb.GROUP, **summaries: str
    ) -> pb.Article:
        """Draft, hand in and publish an article."""
        article = await self.draft(title, body, **summaries)
        await self.submit(article.name)
        return await self.approve(article.name, scope)

    async def republish(self, name: str, scope: pb.ArticleScope.ValueType) -> pb.Article:
        """Hand in and publish the next version."""
        await self.submit(name)
        return await self.approve(name, scope)

    async def told(self, record: LogRecord) -> bool:
        """Let the unit be told a fact; return whether that was new to it."""
        return await self.database.write(
            lambda session: self._inbox.apply(
                session, record, lambda work, fact: EFFECTS[type(fact.payload)](work, fact)
            )
        )

    async def get(self, name: str) -> pb.Article:
        return await self.database.read(queries.get_article, pb.GetArticleRequest(name=name))

    async def list_articles(self, unit: str, **fields: object) -> pb.ListArticlesResponse:
        request = pb.ListArticlesRequest(parent=unit, **fields)  # type: ignore[arg-type]
        return await self.database.read(queries.list_articles, request)

    async def search(self, query: str) -> list[pb.SearchHit]:
        request = pb.SearchArticlesRequest(parent=self.unit, query=query)
        response = await self.database.read(queries.search_articles, self.unit, request)
        return list(response.hits)

    async def found(self, query: str) -> list[str]:
        """Return the names of what is found, the best first."""
        return [hit.article.name for hit in await self.search(query)]

    async def records(self) -> list[StoredRecord]:
        """Return what the service has told."""
        stream = stream_name(self.unit, SCHEMA.name)
        return await self.database.read(read_after, SCHEMA.log, stream, START, PLENTY)

    async def told_types(self) -> list[str]:
        return [short_type(record.type) for record in await self.records()]
