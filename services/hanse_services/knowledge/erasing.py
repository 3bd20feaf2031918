"""What becomes of articles when the ticket that they were drafted from is erased.

A **draft** is the words of a solution as they were delivered, which may name the customer. What was never published is
erased and retired. Of a **published** article the versions of its draft are erased from the log, and the publications
stay: they were written for others to read, and a second person has made sure that they are about a fault and about
nobody. Whoever finds that one is not retires it.
"""

from sqlalchemy import select, update

from hanse.erasing import ERASED, erase_answers, erase_ticket
from hanse.log.events import Fact
from hanse.names import home_of, ticket_in
from hanse.work import Work
from hanse_protos.knowledge.v1 import knowledge_pb2 as pb
from hanse_protos.ticket.v1.events_pb2 import TicketErased
from hanse_services.knowledge.messages import summary_of
from hanse_services.knowledge.model import SCHEMA, TRANSITIONS, Article

PUBLISHED = pb.ArticlePublished.DESCRIPTOR.full_name


def ticket_erased(work: Work, fact: Fact) -> None:
    """Erase the texts that this unit's drafts took from a ticket, and what the inbox has of it."""
    payload = fact.payload
    if not isinstance(payload, TicketErased) or fact.event.unit != home_of(payload.ticket.name):
        return
    ticket = payload.ticket.name
    erase_ticket(work.session, SCHEMA, ticket)
    for article in _drafted_from(work, ticket):
        _erase_drafts(work, article)


def _drafted_from(work: Work, ticket: str) -> list[Article]:
    inside = Article.source.startswith(f"{ticket}/", autoescape=True)
    query = select(Article).where(Article.unit == work.unit, inside).order_by(Article.name).with_for_update()
    return list(work.session.scalars(query.execution_options(populate_existing=True)))


def _erase_drafts(work: Work, article: Article) -> None:
    record = SCHEMA.log.record
    of_drafts = (record.c.resource == article.name, record.c.type != PUBLISHED)
    work.session.execute(update(record).where(*of_drafts, record.c.sealed.is_not(None)).values(sealed=None))
    erase_answers(work.session, SCHEMA, [article.name], _draft_without_texts)
    if article.version:
        return
    article.title, article.body, article.summaries = ERASED, ERASED, {}
    article.revision += 1
    article.update_time = work.now
    if article.state in TRANSITIONS["RetireArticle"]:
        article.move("RetireArticle")
        work.tell(article.name, pb.ArticleRetired(article=summary_of(article)))


def _draft_without_texts(content: bytes) -> bytes | None:
    """Return the answer of a command on a draft without texts; the answers about what was published stay."""
    answer = pb.Article.FromString(content)
    if answer.state == pb.PUBLISHED or ticket_in(answer.source) == "":
        return None
    answer.title = answer.body = ERASED
    answer.ClearField("summaries")
    return answer.SerializeToString()
