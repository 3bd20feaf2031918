"""What writers and reviewers may do."""

from collections.abc import Callable

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from sqlalchemy import select

from hanse.errors import ResourceForeign, ResourceNotFound, ReviewerIsAuthor, ValidationFailed
from hanse.etags import check_etag
from hanse.names import new_id
from hanse.policy.errors import CategoryUnknown
from hanse.validation import validate
from hanse.work import Work
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_services.knowledge.messages import article_to_proto, sealed_texts, summary_of
from hanse_services.knowledge.model import SHARED_SCOPES, Article, Publication, etag_of
from hanse_services.knowledge.search import index_publication, remove_from_index

SETTERS: dict[str, Callable[[Article, pb.Article], None]] = {
    "title": lambda article, asked: setattr(article, "title", asked.title),
    "body": lambda article, asked: setattr(article, "body", asked.body),
    "language": lambda article, asked: setattr(article, "language", asked.language),
    "summaries": lambda article, asked: setattr(article, "summaries", dict(asked.summaries)),
    "category": lambda article, asked: setattr(article, "category", asked.category),
    "scope": lambda article, asked: setattr(article, "scope", asked.scope or pb.UNIT),
}
"""What an update mask may name, and what each name changes."""


def create_article(work: Work, request: pb.CreateArticleRequest) -> pb.Article:
    """Draft an article. Raises ResourceNotFound for another unit, CategoryUnknown, PolicyMissing."""
    if request.parent != work.unit:
        raise ResourceNotFound(resource=request.parent)
    asked = request.article
    _check_category(work, asked.category)
    article = new_draft(
        work,
        author=work.cause.actor,
        title=asked.title,
        body=asked.body,
        language=asked.language,
        category=asked.category,
    )
    article.scope = asked.scope or pb.UNIT
    article.summaries = dict(asked.summaries)
    tell_draft(work, article)
    return article_to_proto(article)


def new_draft(
    work: Work, *, author: str, title: str, body: str, language: str, category: str, source: str = ""
) -> Article:
    """Add a draft of this unit to the session. It is for the unit only, until somebody says otherwise."""
    article = Article(
        name=f"{work.unit}/articles/{new_id()}",
        unit=work.unit,
        revision=1,
        version=0,
        state=pb.DRAFT,
        scope=pb.UNIT,
        title=title,
        body=body,
        language=language,
        summaries={},
        category=category,
        source=source,
        author=author,
        writers=[author],
        reviewer="",
        create_time=work.now,
        update_time=work.now,
    )
    work.session.add(article)
    return article


def update_article(work: Work, request: pb.UpdateArticleRequest) -> pb.Article:
    """Change the fields of a draft that the mask names; a published article becomes the draft of its next version.

    Raises ValidationFailed for a mask that names nothing, or what can't be changed; ResourceNotFound, ResourceForeign,
    EtagMismatch, IllegalTransition, CategoryUnknown, PolicyMissing.
    """
    fields = _fields_of(request.update_mask)
    article = own_article(work, request.article.name, request.etag)
    article.move("UpdateArticle")
    if "category" in fields:
        _check_category(work, request.article.category)
    for field in fields:
        SETTERS[field](article, request.article)
    # The request holds only what changes, so it is the result that has to keep the contract's rules.
    validate(article_to_proto(article))
    if work.cause.actor not in article.writers:
        article.writers = [*article.writers, work.cause.actor]
    tell_draft(work, article)
    return _kept(work, article)


def _fields_of(mask: FieldMask) -> list[str]:
    wrong = [path for path in mask.paths if path not in SETTERS]
    if wrong or not mask.paths:
        raise ValidationFailed(
            f"update_mask: {', '.join(wrong) or 'it names nothing'}",
            hint=f"Name what to change, of: {', '.join(SETTERS)}.",
            fields="update_mask",
        )
    return list(mask.paths)


def submit_article(work: Work, request: pb.SubmitArticleRequest) -> pb.Article:
    """Hand a draft in for review. Raises ResourceNotFound, ResourceForeign, EtagMismatch, IllegalTransition."""
    article = own_article(work, request.name, request.etag)
    article.move("SubmitArticle")
    work.tell(article.name, pb.ArticleSubmitted(article=summary_of(article)))
    return _kept(work, article)


def return_article(work: Work, request: pb.ReturnArticleRequest) -> pb.Article:
    """Send an article back to its author. Raises ResourceNotFound, ResourceForeign, EtagMismatch, IllegalTransition."""
    article = own_article(work, request.name, request.etag)
    article.move("ReturnArticle")
    work.tell(article.name, pb.ArticleReturned(article=summary_of(article)), text=request.reason)
    return _kept(work, article)


def publish_article(work: Work, request: pb.PublishArticleRequest) -> pb.Article:
    """Publish the next version of an article: from now on this is the one that is found.

    Raises ReviewerIsAuthor for whoever wrote on it; ResourceNotFound, ResourceForeign, EtagMismatch, IllegalTransition.
    """
    article = own_article(work, request.name, request.etag)
    before = published(work, article)
    article.move("PublishArticle")
    if work.cause.actor in article.writers:
        raise ReviewerIsAuthor(resource=article.name, actor=work.cause.actor)
    article.scope = request.scope or article.scope
    if before and before.scope in SHARED_SCOPES and article.scope not in SHARED_SCOPES:
        # The other units don't hear of an article that isn't theirs any more: they hear that their version is over.
        _tell_retired(work, article, before)
    article.version += 1
    article.reviewer = work.cause.actor
    article.writers = [article.author]
    article.publish_time = work.now
    keep_publication(work, article)
    work.tell(
        article.name, pb.ArticlePublished(article=summary_of(article)), occur_time=work.now, **sealed_texts(article)
    )
    return _kept(work, article)


def keep_publication(work: Work, article: Article) -> None:
    """Add what an article says now to its history, and let it be found."""
    publication = Publication(
        article=article.name,
        version=article.version,
        scope=article.scope,
        title=article.title,
        body=article.body,
        language=article.language,
        summaries=article.summaries,
        category=article.category,
        reviewer=article.reviewer,
        publish_time=article.publish_time,
    )
    # Without a relationship between the two, the order of their inserts has to be said.
    work.session.flush()
    work.session.add(publication)
    index_publication(work.session, publication)


def retire_article(work: Work, request: pb.RetireArticleRequest) -> pb.Article:
    """Take an article out of the search, for good. Raises ResourceNotFound, ResourceForeign, EtagMismatch,
    IllegalTransition.
    """
    article = own_article(work, request.name, request.etag)
    before = published(work, article)
    article.move("RetireArticle")
    remove_from_index(work.session, article.name)
    _tell_retired(work, article, before)
    return _kept(work, article)


def _tell_retired(work: Work, article: Article, before: Publication | None) -> None:
    """Tell that a publication is over: with its own scope, so that everybody hears it who heard of the publication."""
    summary = summary_of(article)
    summary.state = pb.RETIRED
    if before:
        summary.scope = before.scope
    work.tell(article.name, pb.ArticleRetired(article=summary))


def own_article(work: Work, name: str, etag: str) -> Article:
    """Load and lock an article of this unit. Raises ResourceNotFound, ResourceForeign for a copy, EtagMismatch."""
    article = find_article(work, name)
    if article is None:
        raise ResourceNotFound(resource=name)
    if article.unit != work.unit:
        raise ResourceForeign(resource=name, owner=article.unit)
    check_etag(article.name, etag_of(article), etag)
    return article


def find_article(work: Work, name: str) -> Article | None:
    """Load and lock an article, if it is here."""
    work.session.flush()
    query = select(Article).where(Article.name == name).with_for_update()
    return work.session.scalar(query.execution_options(populate_existing=True))


def published(work: Work, article: Article) -> Publication | None:
    """Return what an article said when it was last published, or None."""
    return work.session.get(Publication, (article.name, article.version)) if article.version else None


def tell_draft(work: Work, article: Article) -> None:
    """Tell that there is a new draft, or a new text of one."""
    payload: Message = pb.ArticleDrafted(article=summary_of(article))
    work.tell(article.name, payload, occur_time=work.now, **sealed_texts(article))


def _check_category(work: Work, category: str) -> None:
    if category and category not in (known.id for known in work.standards.document.categories):
        raise CategoryUnknown(category=category, policy_version=str(work.standards.version))


def _kept(work: Work, article: Article) -> pb.Article:
    """Count the change of an article, and return the answer of the command that made it."""
    article.revision += 1
    article.update_time = work.now
    return article_to_proto(article)
