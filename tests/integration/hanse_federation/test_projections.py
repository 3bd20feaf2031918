"""Headquarters' views say what the units' logs say, computed anew by the simplest means."""

import random
from collections import Counter
from datetime import timedelta

from google.protobuf.message import Message

from hanse_federation.headquarters.views import (
    MAX_RETURNING_TICKETS,
    get_traffic_report,
    list_group_tickets,
    list_matched_charges,
    list_units,
)
from hanse_protos.federation.v1 import group_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import Policy, PolicyAcknowledged
from hanse_protos.settlement.v1.settlement_pb2 import PAYABLE, RECEIVABLE, Charge, ChargePosted
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1 import ticket_pb2 as ticket
from tests.integration.hanse_federation.group import Group, Unit, eventually, start_unit, summary
from tests.support import small_policy

UNITS = ["units/shanghai", "units/munich", "units/hq"]


async def test_the_last_summary_of_each_ticket_is_shown(group: Group, munich: Unit) -> None:
    await munich.open_tickets(3)
    closed = summary("units/munich/tickets/t2", state=ticket.CLOSED, waiting_duration=timedelta(minutes=7))
    await munich.tell(("units/munich/tickets/t2", told.TicketClosed(ticket=closed)))
    await munich.caught_up()
    answer = await group.hq.database.read(list_group_tickets, pb.ListGroupTicketsRequest(parent="units/munich"))
    states = {shown.ticket.name: shown.ticket.state for shown in answer.tickets}
    assert states == {
        "units/munich/tickets/t1": ticket.NEW,
        "units/munich/tickets/t2": ticket.CLOSED,
        "units/munich/tickets/t3": ticket.NEW,
    }


async def test_pages_of_tickets_hold_each_ticket_once(group: Group, munich: Unit) -> None:
    await munich.open_tickets(25)
    await munich.caught_up()
    names, token = [], ""
    while True:
        request = pb.ListGroupTicketsRequest(parent="units/-", page_size=10, page_token=token)
        answer = await group.hq.database.read(list_group_tickets, request)
        names += [shown.ticket.name for shown in answer.tickets]
        if not (token := answer.next_page_token):
            break
    assert len(names) == len(set(names)) == 25


async def test_tickets_of_a_unit_whose_line_is_cut_are_marked_as_maybe_old(group: Group, munich: Unit) -> None:
    await munich.stop()
    await group.hub.stop()

    async def marked() -> bool:
        answer = await group.hq.database.read(list_group_tickets, pb.ListGroupTicketsRequest(parent="units/-"))
        return list(answer.unreachable) == ["units/munich"]

    await eventually(marked)


async def test_the_traffic_report_agrees_with_a_count_by_hand(group: Group, munich: Unit, shanghai: Unit) -> None:
    chance = random.Random(7)  # noqa: S311 - a seed, not a secret.
    matrix: Counter[tuple[str, str]] = Counter()
    returns, returned, waited = 0, set(), Counter[str]()
    for unit in (munich, shanghai):
        facts: list[tuple[str, Message]] = []
        for number in range(40):
            name, holder, left = f"{unit.name}/tickets/t{number}", unit.name, set()
            waiting = timedelta(seconds=chance.randrange(1_000))
            waited[unit.name] += int(waiting.total_seconds())
            facts.append((name, told.TicketOpened(ticket=summary(name))))
            for _ in range(chance.randrange(5)):
                taker = chance.choice([other for other in UNITS if other != holder])
                matrix[holder, taker] += 1
                left.add(holder)
                if taker in left:
                    returns += 1
                    returned.add(name)
                handed = told.TicketHandedOver(ticket=summary(name, holder=taker), from_unit=holder, to_unit=taker)
                facts.append((name, handed))
                holder = taker
            closed = summary(name, waiting_duration=waiting)
            facts.append((name, told.TicketClosed(ticket=closed)))
        await unit.tell(*facts)
    await munich.caught_up()
    await shanghai.caught_up()
    report = await group.hq.database.read(get_traffic_report, pb.GetTrafficReportRequest())
    assert {(each.from_unit, each.to_unit): each.count for each in report.hand_overs} == dict(matrix)
    assert (report.ping_pong_returns, report.ping_pong_tickets) == (returns, len(returned))
    named = [each.returns for each in report.returning_tickets]
    assert named == sorted(named, reverse=True)
    assert len(named) == min(len(returned), MAX_RETURNING_TICKETS)
    assert {each.unit: each.waiting_duration.seconds for each in report.units} == dict(waited)
    assert {each.unit: each.tickets for each in report.units} == {"units/munich": 40, "units/shanghai": 40}


def charge(name: str, leg: int, units: int) -> ChargePosted:
    """Return one leg of a charge."""
    posted = Charge(name=name, home="units/shanghai", provider="units/munich", leg=leg)  # type: ignore[arg-type]
    posted.amount.currency_code, posted.amount.units = "EUR", units
    return ChargePosted(charge=posted)


async def test_legs_of_charges_are_matched(group: Group, munich: Unit, shanghai: Unit) -> None:
    legs = {"charges/shanghai.t1.e1": (480, 480), "charges/shanghai.t2.e1": (480, 500)}
    for name, (payable, receivable) in legs.items():
        await shanghai.tell((name, charge(name, PAYABLE, payable)), service="settlement")
        await munich.tell((name, charge(name, RECEIVABLE, receivable)), service="settlement")
    await munich.tell(("charges/shanghai.t3.e1", charge("charges/shanghai.t3.e1", RECEIVABLE, 1)), service="settlement")
    await munich.caught_up()
    await shanghai.caught_up()
    answer = await group.hq.database.read(list_matched_charges, pb.ListMatchedChargesRequest())
    assert {each.charge: each.state for each in answer.charges} == {
        "charges/shanghai.t1.e1": pb.MATCHED,
        "charges/shanghai.t2.e1": pb.DISPUTED,
        "charges/shanghai.t3.e1": pb.PENDING,
    }


async def test_a_leg_from_the_wrong_side_does_not_count(group: Group, munich: Unit) -> None:
    await munich.tell(("charges/shanghai.t4.e1", charge("charges/shanghai.t4.e1", PAYABLE, 1)), service="settlement")
    await munich.caught_up()
    answer = await group.hq.database.read(list_matched_charges, pb.ListMatchedChargesRequest())
    assert list(answer.charges) == []


async def test_what_a_third_unit_claims_to_earn_disputes_nothing(group: Group, munich: Unit, shanghai: Unit) -> None:
    name, vienna = "charges/shanghai.t5.e1", await start_unit(group, "units/vienna")
    claimed = charge(name, RECEIVABLE, 9)
    claimed.charge.provider = vienna.name
    await vienna.tell((name, claimed), service="settlement")
    for unit, leg in ((shanghai, PAYABLE), (munich, RECEIVABLE)):
        await unit.tell((name, charge(name, leg, 480)), service="settlement")
    for unit in (vienna, shanghai, munich):
        await unit.caught_up()
    answer = await group.hq.database.read(list_matched_charges, pb.ListMatchedChargesRequest())
    assert {each.provider: each.state for each in answer.charges} == {munich.name: pb.MATCHED, vienna.name: pb.PENDING}


async def test_the_newest_acknowledged_policy_version_that_was_published_is_shown(group: Group, munich: Unit) -> None:
    for version in (1, 2):
        await group.enact(small_policy(version))
    for version in (1, 2, 999):
        await munich.tell((f"policies/{version}", PolicyAcknowledged(policy=Policy(version=version))), service="policy")
    await munich.caught_up()
    units = (await group.hq.database.read(list_units, pb.ListUnitsRequest())).units
    assert [(unit.unit, unit.policy_version) for unit in units] == [("units/munich", 2)]
