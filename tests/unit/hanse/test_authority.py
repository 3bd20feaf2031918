"""Who may tell which fact: each payload that goes from unit to unit, told by everybody who could."""

from typing import Any

import pytest
from google.protobuf.message import Message

from hanse.authority import TELLERS, may_tell
from hanse.cli.roles import EFFECTS
from hanse.names import HEADQUARTERS
from hanse_federation.headquarters.absorbing import INTERESTS
from hanse_protos.log.v1.log_pb2 import Event
from hanse_protos.policy.v1.policy_pb2 import Policy, PolicyPublished
from hanse_protos.settlement.v1.settlement_pb2 import PAYABLE, RECEIVABLE, Charge, ChargePosted
from hanse_protos.ticket.v1 import events_pb2 as told
from hanse_protos.ticket.v1.ticket_pb2 import EngagementSummary
from tests.every_fact import CHARGE, ENGAGEMENT, EVERYBODY, HOME, PROVIDER, STRANGER, TOLD


def tellers(payload: Message, resource: str) -> set[str]:
    """Return who may tell a payload about a resource."""
    return {unit for unit in EVERYBODY if may_tell(Event(unit=unit, resource=resource), payload)}


@pytest.mark.parametrize(("payload", "resource", "expected"), TOLD, ids=[type(each[0]).__name__ for each in TOLD])
def test_a_payload_is_told_by_nobody_else(payload: Message, resource: str, expected: set[str]) -> None:
    assert tellers(payload, resource) == expected


def test_every_payload_that_is_opened_or_has_an_effect_says_who_may_tell_it() -> None:
    opened = {interest.payload for interest in INTERESTS.values()}
    have_effect = {payload for effects in EFFECTS.values() for payload in effects}
    assert (opened | have_effect) - TELLERS.keys() == set()
    assert {type(payload) for payload, _, _ in TOLD} == TELLERS.keys()


@pytest.mark.parametrize("payload", [each[0] for each in TOLD if each[2] - {HEADQUARTERS} and each[2] != EVERYBODY])
def test_an_event_is_about_what_its_payload_is_about(payload: Message) -> None:
    elsewhere = f"{STRANGER}/tickets/t1"
    assert {unit for unit in EVERYBODY - {HEADQUARTERS} if may_tell(Event(unit=unit, resource=elsewhere), payload)} == (
        set()
    )


def test_each_side_of_a_charge_tells_its_own_leg() -> None:
    legs: dict[Any, set[str]] = {PAYABLE: {HOME}, RECEIVABLE: {PROVIDER}}
    for leg, expected in legs.items():
        charge = Charge(leg=leg)
        charge.MergeFrom(CHARGE)
        assert tellers(ChargePosted(charge=charge), CHARGE.name) == expected


def test_a_charge_is_of_the_home_in_its_name() -> None:
    charge = Charge(name=CHARGE.name, home=STRANGER, provider=PROVIDER, leg=PAYABLE)
    assert tellers(ChargePosted(charge=charge), charge.name) == set()


def test_a_home_unit_tells_of_the_offers_that_it_made_to_a_peer() -> None:
    offered = told.EngagementOffered(engagement=EngagementSummary(name=ENGAGEMENT.name, home=HOME, peer=True))
    assert tellers(offered, ENGAGEMENT.name) == {HOME, HEADQUARTERS}


def test_a_provider_does_not_say_whose_an_engagement_is() -> None:
    declined = told.EngagementDeclined(
        engagement=EngagementSummary(name=ENGAGEMENT.name, home=PROVIDER, provider=PROVIDER)
    )
    assert tellers(declined, ENGAGEMENT.name) == set()


def test_an_independent_unit_publishes_its_own_versions() -> None:
    own = PolicyPublished(policy=Policy(name="policies/own-1", version=-999_999_999))
    assert tellers(own, "policies/own-1") == EVERYBODY


def test_what_no_unit_tells_another_is_no_fact_of_another_unit() -> None:
    assert tellers(told.TeamSet(), "units/shanghai/teams/t1") == set()
