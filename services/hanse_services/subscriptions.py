"""Who is told what inside a unit.

The relay declares these queues before it publishes anything, so that nothing told is lost while reactions are not
running. The relay's process may not import nameko, and so not the reactions themselves; the process of the reactions
(`hanse_services.react`) checks at its start, and a test checks at every change, that their decorators say the same.
"""

from hanse.telling.names import Subscription

REACTIONS = (
    "hanse_services.ticket.reactions:TicketReactions",
    "hanse_services.knowledge.reactions:KnowledgeReactions",
    "hanse_services.settlement.reactions:SettlementReactions",
    "hanse_services.policy.reactions:PolicyReactions",
    # The federation's copy of the policy. It is named here and never imported by a service.
    "hanse_federation.reactions:FederationReactions",
)
"""The classes of reactions, one for each service."""

SUBSCRIPTIONS = (
    Subscription("ticket", "federation", "engagement.*", "on_engagement"),
    Subscription("ticket", "federation", "complaint.*", "on_complaint"),
    Subscription("ticket", "federation", "ticket.*", "on_ticket"),
    Subscription("ticket", "federation", "sla.*", "on_sla"),
    Subscription("ticket", "policy", "policy.acknowledged", "on_policy"),
    Subscription("ticket", "policy", "policy.tuned", "on_tuning"),
    Subscription("knowledge", "ticket", "engagement.delivered", "delivery"),
    Subscription("knowledge", "ticket", "ticket.erased", "erased_here"),
    Subscription("knowledge", "federation", "ticket.erased", "erased_elsewhere"),
    Subscription("knowledge", "federation", "article.*", "shared_article"),
    Subscription("knowledge", "policy", "policy.acknowledged", "policy"),
    Subscription("settlement", "ticket", "engagement.confirmed", "confirmed_here"),
    Subscription("settlement", "federation", "engagement.confirmed", "confirmed_elsewhere"),
    Subscription("settlement", "policy", "policy.acknowledged", "policy"),
    Subscription("policy", "federation", "policy.*", "policy"),
    Subscription("federation", "policy", "policy.acknowledged", "on_policy"),
    Subscription("federation", "ticket", "ticket.erased", "erased_here"),
    Subscription("federation", "federation", "ticket.erased", "erased_elsewhere"),
    Subscription("federation", "federation", "unit.certificates_revoked", "certificates_revoked"),
)
"""Every reaction: service, source, pattern, method."""
