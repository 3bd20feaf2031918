"""What the knowledge service does about what others tell it: deliveries, other units' articles, the policy.

Each effect runs once per fact, in the transaction that records it. What no longer applies changes nothing.
"""

from sqlalchemy import select

from hanse.log.events import Fact
from hanse.names import home_of
from hanse.telling.inbox import Effect
from hanse.times import instant
from hanse.work import Work
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged
from hanse_protos.ticket.v1.events_pb2 import EngagementDelivered, TicketErased
from hanse_services.knowledge.commands import find_article, keep_publication, new_draft, tell_draft
from hanse_services.knowledge.erasing import ticket_erased
from hanse_services.knowledge.messages import empty_article, summaries_in
from hanse_services.knowledge.model import SHARED_SCOPES, Article
from hanse_services.knowledge.search import remove_from_index


def policy_acknowledged(work: Work, fact: Fact) -> None:
    """Put the policy version in force that this unit has acknowledged."""
    if isinstance(fact.payload, PolicyAcknowledged):
        work.policies.enact(work.session, fact.payload.policy)


def engagement_delivered(work: Work, fact: Fact) -> None:
    """Draft an article from a solution that this unit delivered, once per engagement.

    A solution that was sent back and delivered again replaces the draft's text, unless somebody has written on it.
    Raises PolicyMissing and UnitUnknown where the policy doesn't say which language this unit writes in.
    """
    delivered = fact.payload
    if not isinstance(delivered, EngagementDelivered) or fact.event.unit != work.unit:
        return
    engagement = delivered.engagement
    title, solution = fact.texts.get("title") or engagement.name, fact.texts.get("text", "")
    if not solution:
        # The ticket's texts were erased before this was told: there is nothing to learn from any more.
        return
    article = _article_from(work, engagement.name)
    if article is None:
        article = new_draft(
            work,
            author=fact.event.actor,
            title=title,
            body=solution,
            language=work.standards.profile(work.unit).languages[0],
            category=engagement.ticket.category,
            source=engagement.name,
        )
    elif _is_untouched(article):
        article.title, article.body, article.update_time = title, solution, work.now
    else:
        return
    tell_draft(work, article)


def _article_from(work: Work, engagement: str) -> Article | None:
    query = select(Article).where(Article.unit == work.unit, Article.source == engagement).with_for_update()
    return work.session.scalar(query)


def _is_untouched(article: Article) -> bool:
    """Whether nobody has done anything to an article since it was drafted."""
    return article.state == pb.DRAFT and article.revision == 1


def article_published(work: Work, fact: Fact) -> None:
    """Keep a copy of another unit's shared article, with the texts that were granted, and let it be found."""
    payload = fact.payload
    if not isinstance(payload, pb.ArticlePublished) or payload.article.scope not in SHARED_SCOPES:
        return
    summary = payload.article
    copy = _copy_of(work, fact, summary)
    if copy is None or copy.version >= summary.version:
        return
    copy.state, copy.scope, copy.version = pb.PUBLISHED, summary.scope, summary.version
    copy.title, copy.body = fact.texts.get("title", ""), fact.texts.get("body", "")
    copy.summaries = summaries_in(fact.texts)
    copy.language, copy.category, copy.source = summary.language, summary.category, summary.source
    copy.reviewer = fact.event.actor
    copy.publish_time = instant(summary.publish_time)
    _change(work, copy)
    keep_publication(work, copy)


def article_retired(work: Work, fact: Fact) -> None:
    """Take the copy of another unit's article out of the search. A version that comes after it is found again."""
    payload = fact.payload
    if not isinstance(payload, pb.ArticleRetired):
        return
    summary = payload.article
    copy = _copy_of(work, fact, summary)
    if copy is None or copy.version > summary.version:
        return
    # A copy that never came is kept as retired too, so that it stays out when its publication comes late.
    copy.state, copy.version = pb.RETIRED, summary.version
    _change(work, copy)
    remove_from_index(work.session, copy.name)


def _copy_of(work: Work, fact: Fact, summary: pb.ArticleSummary) -> Article | None:
    """Return the copy that a fact is about, a new one where there is none yet; None where it isn't for a copy here.

    Only an article's own unit says anything about it, and what was never published has no copies.
    """
    owner = home_of(summary.name)
    if owner == work.unit or fact.event.unit != owner or not summary.version:
        return None
    copy = find_article(work, summary.name)
    if copy is None:
        copy = empty_article(summary, fact.occur_time)
        copy.state = pb.PUBLISHED
        work.session.add(copy)
    return copy


def _change(work: Work, copy: Article) -> None:
    copy.revision += 1
    copy.update_time = work.now


EFFECTS: dict[type, Effect] = {
    PolicyAcknowledged: policy_acknowledged,
    EngagementDelivered: engagement_delivered,
    pb.ArticlePublished: article_published,
    pb.ArticleRetired: article_retired,
    TicketErased: ticket_erased,
}
"""Which fact has which effect."""
