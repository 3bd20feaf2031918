"""What may be asked of the unit's knowledge."""

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from hanse.errors import ResourceNotFound
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_services.knowledge.messages import article_to_proto, publication_to_proto
from hanse_services.knowledge.model import Article
from hanse_services.knowledge.search import Hit, find
from hanse_services.knowledge.words import snippet

DEFAULT_HITS = 10


def get_article(session: Session, request: pb.GetArticleRequest) -> pb.Article:
    """Return an own article in any state, or the copy of a shared one. Raises ResourceNotFound."""
    article = session.get(Article, request.name)
    if article is None:
        raise ResourceNotFound(resource=request.name)
    return article_to_proto(article)


def list_articles(session: Session, request: pb.ListArticlesRequest) -> pb.ListArticlesResponse:
    """Return a page of the articles of a unit, the newest first: for another unit than this, those that it shares.

    Raises PageTokenInvalid.
    """
    size = page_size(request.page_size)
    query = select(Article).where(Article.unit == request.parent)
    if request.states:
        query = query.where(Article.state.in_(request.states))
    if after := decode_token(request.page_token, [str]):
        # The place of the last article is looked up, so that the token is a name and not a moment.
        last = select(Article.create_time, Article.name).where(Article.name == after[0]).scalar_subquery()
        query = query.where(tuple_(Article.create_time, Article.name) < last)
    query = query.order_by(Article.create_time.desc(), Article.name.desc()).limit(size + 1)
    articles = list(session.scalars(query))
    response = pb.ListArticlesResponse(articles=map(article_to_proto, articles[:size]))
    if len(articles) > size:
        response.next_page_token = encode_token(articles[size - 1].name)
    return response


def search_articles(session: Session, unit: str, request: pb.SearchArticlesRequest) -> pb.SearchArticlesResponse:
    """Return the published articles of this unit and the shared ones of others that fit, the best first.

    Raises ResourceNotFound for another unit's search.
    """
    if request.parent != unit:
        raise ResourceNotFound(resource=request.parent)
    hits, words = find(session, request.query, request.page_size or DEFAULT_HITS)
    return pb.SearchArticlesResponse(hits=[_to_proto(hit, words) for hit in hits])


def _to_proto(hit: Hit, words: list[str]) -> pb.SearchHit:
    publication = hit.publication
    return pb.SearchHit(
        article=publication_to_proto(hit.article, publication),
        score=hit.score,
        snippet=snippet((*publication.summaries.values(), publication.body), words),
    )
