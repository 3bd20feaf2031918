"""The names on the broker follow from the facts that are told."""

from __future__ import annotations

import pytest

from hanse.telling.names import Subscription, event_exchange, routing_key


@pytest.mark.parametrize(
    ("event_type", "key"),
    [
        ("hanse_protos.ticket.v1.TicketOpened", "ticket.opened"),
        ("hanse_protos.ticket.v1.EngagementWorkNoted", "engagement.work_noted"),
        ("hanse_protos.policy.v1.PolicyPublished", "policy.published"),
        ("hanse_protos.knowledge.v1.ArticlePublished", "article.published"),
        ("hanse_protos.settlement.v1.ChargePosted", "charge.posted"),
        ("hanse_protos.ticket.v1.SlaWarned", "sla.warned"),
        ("hanse_protos.later.v9.SLAWarned", "sla.warned"),
        ("Happened", "happened"),
    ],
)
def test_a_routing_key_is_the_noun_and_what_it_did(event_type: str, key: str) -> None:
    assert routing_key(event_type) == key


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("engagement.*", "engagement.offered", True),
        ("engagement.*", "ticket.offered", False),
        ("engagement.*", "engagement", False),
        ("engagement.confirmed", "engagement.confirmed", True),
        ("engagement.confirmed", "engagementXconfirmed", False),
        ("#", "engagement.confirmed", True),
        ("*", "engagement.confirmed", False),
    ],
)
def test_a_pattern_matches_as_it_does_on_the_broker(pattern: str, key: str, expected: bool) -> None:
    assert Subscription("told", "ticket", pattern, "on_it").matches("ticket", key) is expected


def test_a_subscription_is_not_told_what_another_source_tells() -> None:
    assert not Subscription("told", "ticket", "#", "on_it").matches("federation", "ticket.opened")


def test_a_queue_is_durable_and_bound_to_the_exchange_of_its_source() -> None:
    queue = Subscription("settlement", "ticket", "engagement.*", "on_engagement").queue
    assert queue.name == "evt-ticket-engagement.*--settlement.on_engagement"
    assert queue.durable
    assert queue.exchange == event_exchange("ticket")
    assert queue.routing_key == "engagement.*"
