"""What leaves a unit, and what headquarters passes on."""

from typing import Any

import pytest

from hanse.log.events import Origin, new_event
from hanse.log.sealing import seal
from hanse.policy import Standards, load_yaml
from hanse_federation.peers.outbox import concerned_peer
from hanse_federation.sharing import counterpart_of, granted, passed_on
from hanse_protos.knowledge.v1 import knowledge_pb2 as knowledge
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.ticket_pb2 import Clock, EngagementSummary
from tests.support import OCCUR_TIME, POLICY_YAML

RULES = """
sharing:
  - {events: [EngagementRequested, TicketOpened, TicketCommented], fields: ["*"], audience: COUNTERPART}
  - {events: [ArticlePublished], fields: [title], audience: GROUP}
  - {events: [TicketResolved], fields: [text], audience: HEADQUARTERS}
"""
TICKET = "units/shanghai/tickets/t1"


@pytest.fixture
def standards() -> Standards:
    """A policy that grants some fields."""
    return Standards(1, load_yaml(POLICY_YAML + RULES))


def leaving(standards: Standards, resource: str, payload: Any) -> set[str]:
    """Return the fields of a fact that leave its unit."""
    entry = new_event(Origin("units/shanghai", "li"), resource, payload, OCCUR_TIME, {"title": "a", "text": "b"})
    row = {"type": entry.type, "resource": resource, "event": entry.event, "sealed": entry.sealed}
    return {field.field for field in granted(standards, row)}


def on_ticket(payload_type: Any, holder: str) -> Any:
    """Return a payload on the ticket."""
    payload = payload_type()
    payload.ticket.name, payload.ticket.holder = TICKET, holder
    return payload


def test_what_no_rule_names_stays(standards: Standards) -> None:
    assert leaving(standards, TICKET, told.TicketPaused()) == set()


def test_a_grant_to_headquarters_leaves_field_by_field(standards: Standards) -> None:
    assert leaving(standards, TICKET, told.TicketResolved()) == {"text"}


def test_a_grant_to_the_counterpart_needs_an_engagement(standards: Standards) -> None:
    assert leaving(standards, f"{TICKET}/engagements/e1", told.EngagementRequested()) == {"title", "text"}
    assert leaving(standards, TICKET, on_ticket(told.TicketOpened, "units/shanghai")) == set()


@pytest.mark.parametrize(("holder", "fields"), [("units/shanghai", set()), ("units/munich", {"title", "text"})])
def test_a_comment_leaves_while_another_unit_works_on_the_ticket(
    standards: Standards, holder: str, fields: set[str]
) -> None:
    assert leaving(standards, TICKET, on_ticket(told.TicketCommented, holder)) == fields


@pytest.mark.parametrize(
    ("event_type", "to_counterpart", "fields"),
    [
        ("EngagementRequested", True, {"title", "text"}),
        ("EngagementRequested", False, set()),
        ("ArticlePublished", False, {"title"}),
        ("TicketResolved", True, set()),
    ],
)
def test_headquarters_passes_on_what_the_receiver_was_granted(
    standards: Standards, event_type: str, to_counterpart: bool, fields: set[str]
) -> None:
    sealed = seal({"title": "a", "text": "b"}).fields
    passed = passed_on(standards, event_type, sealed, to_counterpart=to_counterpart)
    assert {field.field for field in passed} == fields


def test_without_a_policy_nothing_is_passed_on() -> None:
    assert passed_on(None, "ArticlePublished", seal({"title": "a"}).fields, to_counterpart=True) == []


@pytest.mark.parametrize(("scope", "fields"), [("UNIT", set()), ("GROUP", {"title"}), ("PUBLIC", {"title"})])
def test_an_article_leaves_by_its_own_scope(standards: Standards, scope: str, fields: set[str]) -> None:
    published = knowledge.ArticlePublished()
    published.article.scope = knowledge.ArticleScope.Value(scope)
    assert leaving(standards, "units/shanghai/articles/a1", published) == fields


SHANGHAI, MUNICH = "units/shanghai", "units/munich"
ENGAGEMENT = EngagementSummary(name=f"{TICKET}/engagements/e1", home=SHANGHAI, provider=MUNICH, offer=1)


def clock(payload_type: Any, kind: Clock.Kind.ValueType) -> Any:
    """Return what is told of a clock, of which Munich is the party."""
    return payload_type(ticket={"name": TICKET, "holder": MUNICH}, kind=kind, party=MUNICH)


@pytest.mark.parametrize(
    ("writer", "payload", "unit"),
    [
        (SHANGHAI, on_ticket(told.TicketCommented, MUNICH), MUNICH),
        (SHANGHAI, on_ticket(told.TicketCommented, SHANGHAI), ""),
        ("units/vienna", on_ticket(told.TicketCommented, MUNICH), ""),
        (SHANGHAI, clock(told.SlaWarned, Clock.ENGAGEMENT_WORK), MUNICH),
        (SHANGHAI, clock(told.SlaBreached, Clock.RESOLUTION), ""),
        ("units/vienna", clock(told.SlaBreached, Clock.ENGAGEMENT_WORK), ""),
        (SHANGHAI, on_ticket(told.TicketPaused, MUNICH), ""),
        (SHANGHAI, told.EngagementRejected(engagement=ENGAGEMENT), MUNICH),
        (MUNICH, told.EngagementDelivered(engagement=ENGAGEMENT), SHANGHAI),
    ],
)
def test_a_fact_is_for_the_unit_that_its_writer_means(writer: str, payload: Any, unit: str) -> None:
    assert counterpart_of(writer, payload) == unit
    if hasattr(payload, "engagement"):
        # Of engagements only those go directly that the home unit has offered to a peer itself.
        assert concerned_peer(writer, payload) == ""
        payload.engagement.peer = True
    assert concerned_peer(writer, payload) == unit
