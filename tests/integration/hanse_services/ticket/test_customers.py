"""Classes of customers, and the services of the catalogue, on the way into a ticket."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hanse.identity import Role
from hanse.policy import load_yaml
from hanse.policy.store import PolicyStore
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import service_pb2_grpc as stubs
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.model import SCHEMA
from tests.integration.hanse_services.ticket.desk import POLICY_YAML, Desk, new_request_id, refused

CHEN = "C-2001"


def customers(desk: Desk) -> Any:
    return stubs.CustomerServiceStub(desk.caller.channel(Role.LEAD, actor="agents/wang"))


def classified(name: str, customer_class: pb.CustomerClass.ValueType) -> rpc.ClassifyCustomerRequest:
    return rpc.ClassifyCustomerRequest(name=name, customer_class=customer_class, request_id=new_request_id())


async def test_a_ticket_has_its_customers_class_and_the_service_of_its_category(desk: Desk) -> None:
    ticket = await desk.open(contact=pb.Contact(reference=CHEN, customer_class=pb.VIP))
    assert (ticket.customer_class, ticket.service) == (pb.VIP, "displays")
    assert (await desk.get(ticket.name)).customer_class == pb.VIP
    opened = told.TicketOpened.FromString((await desk.records())[-1].decoded().payload)
    assert (opened.ticket.customer_class, opened.ticket.service) == (pb.VIP, "displays")


async def test_without_a_contact_the_customer_is_ordinary(desk: Desk) -> None:
    assert (await desk.open()).customer_class == pb.ORDINARY


async def test_a_known_customer_keeps_the_class_where_the_contact_says_none(desk: Desk) -> None:
    await desk.open(contact=pb.Contact(reference=CHEN, customer_class=pb.VVIP))
    assert (await desk.open(contact=pb.Contact(reference=CHEN))).customer_class == pb.VVIP


async def test_a_new_class_counts_for_the_next_ticket_and_not_for_the_open_one(desk: Desk) -> None:
    first = await desk.open(contact=pb.Contact(reference=CHEN))
    customer = await customers(desk).ClassifyCustomer(classified(first.customer, pb.VIP))
    assert customer.customer_class == pb.VIP
    assert (await desk.open(contact=pb.Contact(reference=CHEN))).customer_class == pb.VIP
    assert (await desk.get(first.name)).customer_class == pb.ORDINARY


async def test_the_class_is_told_once_and_without_the_person(desk: Desk) -> None:
    ticket = await desk.open(contact=pb.Contact(reference=CHEN))
    for _ in range(2):
        await customers(desk).ClassifyCustomer(classified(ticket.customer, pb.VIP))
    *_, last = await desk.records()
    assert await desk.told_types() == ["TicketOpened", "CustomerClassified"]
    expected = told.CustomerClassified(customer=ticket.customer, customer_class=pb.VIP)
    assert told.CustomerClassified.FromString(last.decoded().payload) == expected


async def test_a_service_that_is_named_is_kept(desk: Desk) -> None:
    assert (await desk.open(service="on-site")).service == "on-site"


async def test_a_service_that_nobody_offers_is_refused(desk: Desk) -> None:
    with refused() as refusal:
        await desk.open(service="gold")
    assert refusal.reason == "SERVICE_UNKNOWN"


CLASSES_YAML = POLICY_YAML.replace(
    "targets:\n",
    """targets:
  - {id: key, when: 'ticket.customer_class in ["VVIP", "VIP"]', response: 30m, resolution: 5h}
  - {id: prospect, when: 'ticket.customer_class == "PROSPECTIVE"', response: 15m, resolution: 40h}
""",
    1,
)


async def test_each_class_of_customers_has_the_clocks_of_its_own_target_the_prospective_among_them(desk: Desk) -> None:
    classes = Policy(name="policies/2", version=2, document=load_yaml(CLASSES_YAML))
    await desk.runtime.database.write(PolicyStore(SCHEMA).enact, classes)
    promised = {}
    for customer_class in (pb.VVIP, pb.VIP, pb.ORDINARY, pb.PROSPECTIVE):
        contact = pb.Contact(reference=f"C-{customer_class}", customer_class=customer_class)
        clocks = (await desk.open(contact=contact)).clocks
        name = pb.CustomerClass.Name(customer_class)
        promised[name] = [(clock.target, clock.target_duration.ToTimedelta()) for clock in clocks]
    hour = timedelta(hours=1)
    key = [("key", hour / 2), ("key", 5 * hour)]
    assert {name: sorted(found) for name, found in promised.items()} == {
        "VVIP": key,
        "VIP": key,
        "ORDINARY": [("every", hour), ("every", 10 * hour)],
        "PROSPECTIVE": [("prospect", hour / 4), ("prospect", 40 * hour)],
    }
