"""What the conditions of a policy see of a ticket, gathered from whatever says what the ticket is.

A ticket, its row and its summary in an event have the same facts under the same names, so that the desk, headquarters
and a provider gather the same ones.
"""

from __future__ import annotations

from typing import Protocol

from hanse.enums import name_of
from hanse.policy.standards import Standards
from hanse_protos.policy.v1.policy_pb2 import TicketFacts
from hanse_protos.ticket.v1.ticket_pb2 import ORDINARY, CustomerClass, Priority

WAITING_FOR = ("customer", "vendor", "user", "implementation", "other")
"""Whom a ticket can wait for."""


class Described(Protocol):
    """A ticket, its row, or its summary."""

    @property
    def priority(self) -> Priority.ValueType: ...
    @property
    def category(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def tier(self) -> int: ...
    @property
    def product(self) -> str: ...
    @property
    def service(self) -> str: ...
    @property
    def customer_class(self) -> CustomerClass.ValueType: ...
    @property
    def returns(self) -> int: ...


def facts_of(standards: Standards, ticket: Described, home: str) -> TicketFacts:
    """Gather what conditions may know of a ticket of a home unit. Raises `CategoryUnknown` and `UnitUnknown`."""
    return standards.facts(
        priority=name_of(Priority, ticket.priority),
        category=ticket.category,
        language=ticket.language,
        tier=ticket.tier,
        home=home,
        product=ticket.product,
        service=ticket.service,
        customer_class=class_name(ticket.customer_class),
        returns=ticket.returns,
    )


def class_name(customer_class: CustomerClass.ValueType) -> str:
    """Return a customer's class as conditions have it. Who was never put into one is ordinary."""
    return name_of(CustomerClass, customer_class or ORDINARY)
